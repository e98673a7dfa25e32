"""Videos and pictures in and out, as native frames.

with open_video(Path("a.mp4")) as video, write_video(Path("b.mp4"), video.info) as writer:
    for frame in video:
        writer.write(frame)
"""

from fastswap.video._open import Video, open_video
from fastswap.video._write import write_video
from fastswap.video._writer import VideoWriter
from fastswap.video.frame import ColourTags, Frame, VideoInfo

__all__ = ["ColourTags", "Frame", "Video", "VideoInfo", "VideoWriter", "open_video", "write_video"]
