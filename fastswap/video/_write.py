"""`write_video`: what a user names, by its ending: a video file, a GIF, a picture, or a folder of pictures."""

from __future__ import annotations

from pathlib import Path

from fastswap.errors import InputError, UsageError
from fastswap.video import _encoders
from fastswap.video._av_writer import AvWriter
from fastswap.video._gif_writer import GifWriter
from fastswap.video._picture_writer import FORMATS, FolderWriter, PictureWriter
from fastswap.video._writer import VideoWriter, check_target
from fastswap.video.frame import VideoInfo


def write_video(path: Path, source: VideoInfo, *, codec: str = "auto", quality: int | None = None) -> VideoWriter:
    """A writer of `path` for frames read from `source`: same count, times, size, depth, colour tags and sound.

    path: .mp4, .m4v, .mov, .mkv, .webm, .avi or .gif for a video; a picture's ending for one picture; no ending, or
    an existing folder, for a folder of pictures named as in the source (.jpg stay so, all others become .png).
    codec: auto, h264, hevc, vp9, av1 or ffv1; quality: the encoder's own number, 0 lossless (None: visually lossless).
    What was turned upright is turned back in .mp4 and .mov, which tell players to turn it; elsewhere it stays upright.
    Raises InputError where the output cannot take the source or cannot be written, UsageError for a name, codec or
    quality that does not exist; both before any work.
    """
    path = Path(path)
    check_target(path, source.path)
    if path.is_dir() or not path.suffix or (source.is_pictures and not _names_file(path)):
        return FolderWriter(path, source)
    if path.suffix.lower() in FORMATS:
        if not (source.is_pictures and source.path.is_file()):
            raise UsageError(
                f"{path.name} names one picture, but {source.path.name} has many: name a video or a folder"
            )
        return PictureWriter(path, source)
    if path.suffix.lower() == ".gif":
        if source.has_audio:
            raise InputError(f"{path.name}: a .gif has no sound, and {source.path.name} has: write a .mp4 or .mkv")
        return GifWriter(path, source)
    return AvWriter(path, source, codec, quality)


def _names_file(path: Path) -> bool:
    return path.suffix.lower() in FORMATS or path.suffix.lower() in _encoders.CONTAINERS
