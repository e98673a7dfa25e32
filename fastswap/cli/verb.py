"""What every verb has, and the flags that several share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

Device = Literal["auto", "cpu", "cuda"]
Input = Annotated[Path, tyro.conf.arg(aliases=["-i"], metavar="INPUT")]
Ray = Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")]
Jobs = Annotated[int | None, tyro.conf.arg(metavar="N")]
Output = Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="OUTPUT")]


@dataclass(kw_only=True)
class Verb:
    json: bool = False
    """Print one JSON object with the result as the last line of stdout."""
    debug: bool = False
    """Show the traceback of an error."""
    quiet: bool = False
    """No progress bar and no notes."""

    def run(self) -> Any:
        """Does what the verb says and returns a summary dataclass."""
        raise NotImplementedError
