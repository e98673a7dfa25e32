"""`write_video`: what a user names, by its ending: a video file, a GIF, a picture, or a folder of pictures."""

from __future__ import annotations

from pathlib import Path

from fastswap.errors import InputError, UsageError
from fastswap.video import _encoders
from fastswap.video._av_writer import AvWriter
from fastswap.video._gif_writer import GifWriter
from fastswap.video._picture_writer import FORMATS, FolderWriter, PictureWriter
from fastswap.video._writer import VideoWriter, check_target
from fastswap.video.encoders import check_encoder
from fastswap.video.frame import VideoInfo


def write_video(
    path: Path,
    source: VideoInfo,
    *,
    codec: str = "auto",
    encoder: str = "auto",
    quality: int | None = None,
    pictures: str = "png",
    alone: bool = False,
) -> VideoWriter:
    """A writer of `path` for frames read from `source`: same count, times, size, depth, colour tags, sound, subtitles,
    chapters and titles.

    path: .mp4, .m4v, .mov, .mkv, .webm, .avi or .gif for a video; a picture's ending for one picture; no ending, or
    an existing folder, for a folder of pictures named as in the source (.jpg stay so, all others become .png).
    codec: auto, h264, hevc, vp9, av1 or ffv1; quality: on the codec's own scale, 0 lossless (None: visually lossless).
    encoder: cpu, nvenc, or auto: NVENC where the GPU has it, else the CPU with all cores.
    pictures: png or jpg: what a folder's pictures are where the source is a video, whose frames have no names.
    alone: without the source's sound, subtitles, chapters and tags, for parts of a video that are joined later.
    What was turned upright is turned back in .mp4 and .mov, which tell players to turn it; elsewhere it stays upright.
    Raises InputError where the output cannot take the source or cannot be written, UsageError for a name, codec,
    encoder or quality that does not exist, or an encoder that is not here; all before any work.
    """
    path = Path(path)
    check_encoder(encoder, pictures)
    check_target(path, source.path)
    if path.is_dir() or not path.suffix or (source.is_pictures and not _names_file(path)):
        _refuse_nvenc(path, encoder)
        return FolderWriter(path, source, f".{pictures}")
    suffix = path.suffix.lower()
    if suffix in FORMATS:
        _refuse_nvenc(path, encoder)
        if not (source.is_pictures and source.path.is_file()):
            raise UsageError(
                f"{path.name} names one picture, but {source.path.name} has many: name a video or a folder"
            )
        return PictureWriter(path, source)
    if suffix == ".gif":
        _refuse_nvenc(path, encoder)
        if source.has_audio and not alone:
            raise InputError(f"{path.name}: a .gif has no sound, and {source.path.name} has: write a .mp4 or .mkv")
        return GifWriter(path, source)
    return AvWriter(path, source, codec=codec, encoder=encoder, quality=quality, alone=alone)


def _refuse_nvenc(path: Path, encoder: str) -> None:
    if encoder == "nvenc":
        raise UsageError(f"{path.name}: NVENC encodes videos, not pictures or GIFs: leave the encoder to auto")


def _names_file(path: Path) -> bool:
    return path.suffix.lower() in FORMATS or path.suffix.lower() in _encoders.CONTAINERS
