"""Copying the sound of the source, packet by packet, beside the frames."""

from __future__ import annotations

import io
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

from fastswap.errors import InputError
from fastswap.video._containers import audio_streams, clock_start, open_input, packets

_OWN_METADATA = frozenset({"encoder", "major_brand", "minor_version", "compatible_brands", "duration"})
"""Tags that tell of the container itself."""


def check_audio(path: Path, container_name: str, source: Path) -> None:
    """Raises InputError where the container cannot hold the source's sound as it is."""
    import av

    with open_input(source) as container, av.open(io.BytesIO(), "w", format=container_name) as output:
        held = output.supported_codecs
        for stream in audio_streams(container):
            codec = stream.codec_context.codec.canonical_name
            if codec not in held:
                raise InputError(
                    f"{path.name}: a {path.suffix} file cannot hold the source's {codec} sound: write a .mkv"
                )


def audio_rate(source: Path) -> int:
    """Samples a second of the source's first sound."""
    with open_input(source) as container:
        return int(audio_streams(container)[0].codec_context.sample_rate)


class SourceCopy:
    """What an output takes over from its source: the sound, muxed up to a time, and the tags of the file.

    start: seconds that the source's clock shows at its beginning, taken off every time stamp.
    """

    def __init__(self, source: Path, output: Any) -> None:
        self._stack = ExitStack()
        container = self._stack.enter_context(open_input(source))
        streams = audio_streams(container)
        self._output = output
        self._targets = {stream.index: output.add_stream_from_template(stream) for stream in streams}
        for stream in streams:
            self._targets[stream.index].metadata.update(stream.metadata)
        self.start = clock_start(container)
        output.metadata.update({k: v for k, v in container.metadata.items() if k.lower() not in _OWN_METADATA})
        self._packets = packets(source, container, streams) if streams else iter(())
        self._next = next(self._packets, None)

    def advance(self, seconds: Fraction | None) -> None:
        """Muxes every packet that starts before `seconds`; all that is left where None."""
        while self._next is not None:
            packet = self._next
            if packet.dts is not None:
                if seconds is not None and packet.dts * packet.time_base - self.start > seconds:
                    return
                self._mux(packet)
            self._next = next(self._packets, None)

    def _mux(self, packet: Any) -> None:
        offset = round(self.start / packet.time_base)
        packet.dts -= offset
        if packet.pts is not None:
            packet.pts -= offset
        packet.stream = self._targets[packet.stream_index]
        self._output.mux(packet)

    def close(self) -> None:
        self._stack.close()
