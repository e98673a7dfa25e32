"""What a conversion writes: the swapped video, beside it a video of what was pasted, or one frame as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fastswap.conversion.settings import ConvertSettings
from fastswap.video import Frame, Video, VideoInfo, VideoWriter, write_video


@dataclass(frozen=True)
class Outputs:
    """The writers of a conversion. masks: of the pasted alpha, where that is asked for."""

    video: VideoWriter
    masks: VideoWriter | None = None

    def write(self, frame: Frame) -> None:
        self.video.write(frame)

    def stop(self) -> None:
        """No more frames will come: what was written so far becomes whole files."""
        self.video.stop()
        if self.masks is not None:
            self.masks.stop()


@contextmanager
def outputs(settings: ConvertSettings, source: VideoInfo, *, alone: bool = False) -> Iterator[Outputs]:
    """The writers of `settings.output` and `settings.mask_output`: whole files where the block ends well, else none.
    alone: see `write_video`, which also tells what is raised."""
    if settings.still is not None:
        source = replace(source, is_pictures=True)  # of which one picture can be written
    with ExitStack() as stack:
        video, masks = _writer(settings, settings.output, source, alone=alone), None
        if settings.mask_output is not None:
            masks = stack.enter_context(_writer(settings, settings.mask_output, source, alone=True))
        yield Outputs(stack.enter_context(video), masks)


def _writer(settings: ConvertSettings, path: Path, source: VideoInfo, *, alone: bool) -> VideoWriter:
    return write_video(
        path,
        source,
        codec=settings.codec,
        encoder=settings.encoder,
        quality=settings.quality,
        pictures=settings.pictures,
        alone=alone,
    )


def single(video: Video, number: int) -> Video:
    """Of a video the one frame of this number."""

    def read(_: VideoInfo) -> Iterator[Frame]:
        for frame in video:
            if frame.index == number:
                yield frame
                return

    return Video(replace(video.info, frames=1), read)
