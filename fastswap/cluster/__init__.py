"""Work on a video, or a folder of videos, by several processes: on this machine, or on all of a Ray cluster."""

from fastswap.cluster.run import convert, extract

__all__ = ["convert", "extract"]
