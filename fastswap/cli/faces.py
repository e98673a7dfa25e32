"""`fastswap faces`: who is in a face set, and corrections to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastswap.cli.verb import Verb


@dataclass(kw_only=True)
class FacesList(Verb):
    """Show who is in a face set, and write a contact sheet (persons.jpg) into it."""

    faces: tyro.conf.Positional[Path]
    """The face set."""

    def run(self) -> Any:
        from fastswap.faceset.edit import list_persons

        return list_persons(self.faces)


@dataclass(kw_only=True)
class _FacesEdit(Verb):
    faces: tyro.conf.Positional[Path]
    """The face set."""
    persons: tyro.conf.Positional[tuple[int, ...]]
    """Numbers of persons, as `fastswap faces list` shows them."""

    def edit(self, name: str) -> Any:
        from fastswap.faceset import FaceSet, edit

        edits = {"keep": edit.keep, "drop": edit.drop, "merge": edit.merge}
        edits[name](FaceSet.open(self.faces), self.persons)
        return edit.list_persons(self.faces)


@dataclass(kw_only=True)
class FacesKeep(_FacesEdit):
    """Drop everybody but these persons."""

    def run(self) -> Any:
        return self.edit("keep")


@dataclass(kw_only=True)
class FacesDrop(_FacesEdit):
    """Take persons out of the set: neither trained on nor replaced. Their pictures move to dropped/."""

    def run(self) -> Any:
        return self.edit("drop")


@dataclass(kw_only=True)
class FacesMerge(_FacesEdit):
    """Make several numbers one person: the first."""

    def run(self) -> Any:
        return self.edit("merge")


_subcommand = tyro.conf.subcommand
FacesVerb = (
    Annotated[FacesList, _subcommand("list")]
    | Annotated[FacesKeep, _subcommand("keep")]
    | Annotated[FacesDrop, _subcommand("drop")]
    | Annotated[FacesMerge, _subcommand("merge")]
)
