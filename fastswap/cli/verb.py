"""What every verb has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
