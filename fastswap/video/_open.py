"""`open_video`: what a user names, by its content: a video, a picture, an animation, or a folder of pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType

from fastswap.errors import InputError
from fastswap.video import _animations, _av_reader, _pictures
from fastswap.video._choice import reader_of
from fastswap.video._upload import uploaded
from fastswap.video.decoders import check_decoder
from fastswap.video.frame import Frame, VideoInfo
from fastswap.video.segments import Part


class Video:
    """A source of frames. Iterating starts from the first frame, each time anew; as a context manager it closes what is
    open at the end. Memory does not grow with the number of frames."""

    def __init__(self, info: VideoInfo, read: Callable[[VideoInfo], Iterator[Frame]], device: str = "cpu") -> None:
        self.info = info
        self._read = read
        self._device = device
        self._open: list[Generator[Frame]] = []

    def __iter__(self) -> Iterator[Frame]:
        frames = self._frames()
        self._open.append(frames)
        return frames

    def _frames(self) -> Generator[Frame]:
        frames = self._read(self.info)
        yield from frames if self._device == "cpu" else uploaded(frames, self._device)

    def close(self) -> None:
        """Ends every iteration that is under way."""
        for frames in self._open:
            with suppress(ValueError):  # being advanced by another thread: it closes the file when it ends
                frames.close()
        self._open.clear()

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_video(path: Path, *, device: str = "cpu", decoder: str = "auto", part: Part | None = None) -> Video:
    """Opens a video file, a picture, an animation or a folder of pictures.

    device: where the planes of its frames are put, a torch device; on a GPU they are ready for the stream that is
    current where the iterator is advanced. decoder: "av" decodes on the CPU, "dali" on the GPU's own unit (on a CPU: as
    DALI does), "auto" on the GPU what DALI gives there as PyAV would, the rest on the CPU. The colours are the same to
    the bit, or within what `_dali_reader` says. part: some of the frames of a video file (see `segments.split`),
    numbered and timed as in the whole.
    Raises InputError, in one line, for what is missing, unreadable, empty, damaged, HDR, or neither of these, and for
    what a decoder that was named does not read; MissingDependencyError where it is not here; UsageError for the name of
    none; while a part is read, PartError where it is not what it was when the video was split.
    """
    check_decoder(decoder)
    path = Path(path)
    span = None if part is None or part.is_whole else (part.first, part.end)
    if path.is_dir():
        _need(path, os.R_OK | os.X_OK)
        return Video(_pictures.info_of_folder(path), _pictures.frames_of_pictures, device)
    if not path.exists():
        raise InputError(f"{path} does not exist: name a video, a picture, or a folder of pictures")
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder: name a video, a picture, or a folder of pictures")
    _need(path, os.R_OK)
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes): copy or download it again")
    found = _pictures.kind(path)
    if found is not None and span is not None:
        raise ValueError(f"{path} is no video file: it has no parts")
    if found == "picture":
        return Video(_pictures.info_of_picture(path), _pictures.frames_of_pictures, device)
    if found == "clip":
        return Video(_animations.info_of_clip(path), _animations.frames_of_clip, device)
    info, by_av = _av_reader.probe(path), partial(_av_reader.frames, part=part)
    return Video(info, reader_of(info, device, decoder, by_av, span), device)


def _need(path: Path, access: int) -> None:
    if not os.access(path, access):
        raise InputError(f"{path} may not be read: give yourself the right to read it")
