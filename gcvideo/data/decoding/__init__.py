"""Video files in, exactly the frames asked for out: `open_video(path).frames_at(indices)`."""

from gcvideo.data.decoding.frames import FrameFolderReader, FrameNames
from gcvideo.data.decoding.index import stated_frame_rate
from gcvideo.data.decoding.opening import Backend, OpenAny, OpenReader, open_record, open_video
from gcvideo.data.decoding.reader import AscendingReader, DecodeError, VideoReader

__all__ = [
    "AscendingReader",
    "Backend",
    "DecodeError",
    "FrameFolderReader",
    "FrameNames",
    "OpenAny",
    "OpenReader",
    "VideoReader",
    "open_record",
    "open_video",
    "stated_frame_rate",
]
