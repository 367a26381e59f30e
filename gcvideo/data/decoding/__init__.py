"""Video files in, exactly the frames asked for out: `open_video(path).frames_at(indices)`."""

from gcvideo.data.decoding.opening import Backend, open_video
from gcvideo.data.decoding.reader import DecodeError, VideoReader

__all__ = ["Backend", "DecodeError", "VideoReader", "open_video"]
