"""Reading a video with NVIDIA DALI: decoded by the GPU's own unit (NVDEC), and the frames stay on the GPU.

Of DALI's readers this is the experimental one. It finds frames by their time stamps, so that a variable frame rate does
no harm, and copies luma as it is; the older one takes luma and chroma through texture filters and cuts fractions off.

**Colours.** DALI hands out interleaved pictures of three full-size channels, and the kernels here want NV12. On a GPU
it is asked for YCbCr: luma is the decoder's, to the bit. Chroma it has doubled by bilinear interpolation between chroma
samples in the middle of four luma samples, and rounded. That is undone: with c the stored row and u the doubled one,
u[2i] = (3 c[i] + c[i-1]) / 4 and u[2i+1] = (3 c[i] + c[i+1]) / 4, so that, borders replicated, exactly

    c[i] = (3 (u[2i] + u[2i+1]) - (u[2i-1] + u[2i+2])) / 4

and DALI's rounding leaves at most 1 level of error (a mean over four would miss sharp edges by up to 90).

On a CPU, DALI 2.4 fails when it is asked for YCbCr. There it gives RGB, which its swscale makes with BT.601 whatever
the tags say, and the same matrix leads back: to within 1 level for 999 of 1000 samples of a camera's pictures, farther
off in colours that RGB cannot hold. The CPU half is here so that all of this is tested without a GPU; users' frames
come from PyAV there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad
from torch.utils.dlpack import from_dlpack

from fastswap.errors import InputError
from fastswap.ops.planes import Planes
from fastswap.video import _orientation
from fastswap.video._timetable import Timetable
from fastswap.video.frame import Frame, VideoInfo

_READER = "video"
_BATCH_FRAMES = 8
_BATCH_BYTES = 64 << 20
"""What DALI hands over at a time: a 4K picture of three channels is 25 MB, and two batches are being decoded ahead."""
_AHEAD = 2
_KR, _KB = 0.299, 0.114
"""BT.601: the shares of red and blue in luma."""
_TAPS = (-0.25, 0.75, 0.75, -0.25)


def pipeline(listing: Path, batch: int, *, cuda: bool, device_id: int | None) -> Any:
    """The DALI pipeline: uint8 [batch, 1, H, W, 3], YCbCr on a GPU and RGB on a CPU, frame after frame, over and over.

    listing: a text file of one line, "path 0 first end": frames [first, end) of the path.
    """
    from nvidia.dali import fn, pipeline_def, types

    @pipeline_def(  # type: ignore[untyped-decorator]
        batch_size=batch, num_threads=1, device_id=device_id, prefetch_queue_depth=_AHEAD
    )
    def video() -> Any:
        outputs: Any = fn.experimental.readers.video(
            name=_READER,
            device="gpu" if cuda else "cpu",
            file_list=str(listing),
            file_list_format="frames",
            file_list_include_end=False,
            sequence_length=1,
            image_type=types.YCbCr if cuda else types.RGB,
        )
        return outputs[0]  # the other is the label

    return video()


def frames(info: VideoInfo, times: Timetable, device: str, first: int = 0, end: int | None = None) -> Iterator[Frame]:
    """The frames [first, end) of the file, on `device`, numbered and timed as in the whole. On a GPU they are ready for
    the stream that is current. Raises InputError where DALI gives up."""
    target = torch.device(device)
    end = len(times) if end is None else end
    batch = max(1, min(_BATCH_FRAMES, _BATCH_BYTES // (info.width * info.height * 3), end - first))
    with _listing(info.path, first, end) as listing:
        source = _built(info.path, listing, batch, target)
        seen = source.reader_meta(_READER)["epoch_size"]
        if seen != end - first:
            raise InputError(f"{info.path}: DALI sees {seen} frames of {end - first}")
        for start in range(first, end, batch):
            count = min(batch, end - start)
            for index, planes in enumerate(_planes(info, source, count, target), start):
                yield Frame(planes, index, times.pts[index], info.time_base, times.duration[index])


def _built(path: Path, listing: Path, batch: int, device: torch.device) -> Any:
    cuda = device.type == "cuda"
    index = device.index if device.index is not None else torch.cuda.current_device() if cuda else None
    with _explained(path):
        source = pipeline(listing, batch, cuda=cuda, device_id=index)
        source.build()
        return source


@contextmanager
def _listing(path: Path, first: int, end: int) -> Iterator[Path]:
    """The file list, which names a link to the file. DALI keeps what it knows of a path for the life of the process, so
    that a path must not be used twice: another file may have come under it. And a name of ours has no spaces."""
    with tempfile.TemporaryDirectory(prefix="fastswap-") as folder:
        link, listing = Path(folder) / "video", Path(folder) / "list.txt"
        link.symlink_to(path.resolve())
        listing.write_text(f"{link} 0 {first} {end}\n", encoding="utf-8")
        yield listing


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """DALI's errors are RuntimeErrors of many lines, in which the reason is what was "encountered"."""
    try:
        yield
    except RuntimeError as error:
        lines = " ".join(str(error).partition("encountered:")[2].split("\n")[:3]) or str(error)
        reason = " ".join(lines.split())
        raise InputError(f"{path}: DALI gives up ({reason})") from error


def _planes(info: VideoInfo, source: Any, count: int, device: torch.device) -> list[Planes]:
    """The next `count` frames, upright. A batch that reaches past the last frame begins again with the first ones,
    which are left out here."""
    with _explained(info.path):
        (pictures,) = source.run()
    samples = from_dlpack(pictures.as_tensor())[:count, 0]
    if device.type == "cpu":
        samples = ycbcr(samples, full_range=info.colour.full_range)
    luma, chroma = nv12(samples)
    colour = _orientation.turn_colour(info.colour, info.orientation.inverse(), info.width, info.height)
    batch = _orientation.turn(Planes("nv12", (luma, chroma), colour), info.orientation)
    if device.type == "cuda":  # DALI takes the memory of its batch back on a stream of its own
        torch.cuda.current_stream(device).synchronize()
    return [batch.frame(index) for index in range(count)]  # parts of one piece of memory, but none of another's


def nv12(pictures: Tensor) -> tuple[Tensor, Tensor]:  # [n, H, W, 3], H and W even
    """Luma uint8 [n, H, W] and chroma uint8 [n, H / 2, W / 2, 2] of YCbCr pictures whose chroma DALI doubled."""
    luma = _rounded(pictures[..., 0])
    taps = torch.tensor(_TAPS, device=pictures.device)
    kernel = (taps[:, None] * taps).expand(2, 1, 4, 4)
    doubled = pictures[..., 1:].permute(0, 3, 1, 2).float()
    chroma = conv2d(pad(doubled, (1, 1, 1, 1), mode="replicate"), kernel, stride=2, groups=2)
    return luma, _rounded(chroma.permute(0, 2, 3, 1))


def ycbcr(pictures: Tensor, *, full_range: bool) -> Tensor:  # [n, H, W, 3] RGB 0..255
    """Float [n, H, W, 3], BT.601: the inverse of what swscale does where it is told nothing."""
    red, green, blue = pictures.float().unbind(-1)
    luma = _KR * red + (1 - _KR - _KB) * green + _KB * blue
    blueness, redness = (blue - luma) / (2 * (1 - _KB)), (red - luma) / (2 * (1 - _KR))
    if not full_range:
        luma, blueness, redness = luma * (219 / 255) + 16, blueness * (224 / 255), redness * (224 / 255)
    return torch.stack((luma, blueness + 128, redness + 128), dim=-1)


def _rounded(samples: Tensor) -> Tensor:
    if samples.dtype == torch.uint8:
        return samples.contiguous()
    return samples.round().clamp(0, 255).to(torch.uint8).contiguous()
