"""A folder of videos, told from a folder of pictures by what is in it."""

from __future__ import annotations

from pathlib import Path

from fastswap.errors import InputError
from fastswap.video._containers import moving_stream, open_input
from fastswap.video._pictures import list_pictures


def videos_in(folder: Path) -> list[Path]:
    """The videos of a folder, by name; none where it is no folder, or holds pictures, or neither. An animation whose
    name is a picture's (.gif, .webp) counts as a picture. Raises InputError where it holds videos and pictures."""
    if not folder.is_dir():
        return []
    pictures = list_pictures(folder)
    others = {p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")} - set(pictures)
    videos = sorted(path for path in others if _is_video(path))
    if videos and pictures:
        raise InputError(
            f"{folder} holds videos ({videos[0].name}, ...) and pictures ({pictures[0].name}, ...): "
            "put them into folders of their own"
        )
    return videos


def _is_video(path: Path) -> bool:
    try:
        with open_input(path) as container:
            return moving_stream(container) is not None
    except InputError:
        return False
