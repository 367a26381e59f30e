"""Which files decord reads exactly."""

from pathlib import Path

from av.error import FFmpegError

from gcvideo.data.decoding.bitstream import starts_closed_group
from gcvideo.data.decoding.index import StreamIndex

PLAIN_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
PLAIN_CODECS = ("h264", "vp8", "vp9")
PLAIN_PIXELS = ("yuv420p", "yuvj420p")
FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
EBML_ID = b"\x1aE\xdf\xa3"
NARROWEST_PLAIN_WIDTH = 17  # decord refuses 16 and less


def starts_as_plain(path: Path) -> bool:
    """Return whether the first bytes are those of an MP4 or Matroska file, and not of a playlist.

    ISO/IEC 14496-12, 4.2: a box is its size and its type. RFC 8794, 8.1: the EBML header's id.
    """
    with path.open("rb") as file:
        start = file.read(8)
    return start[4:] in FIRST_BOXES or start[:4] == EBML_ID


def why_not_plain(index: StreamIndex) -> str | None:
    """Return why decord may return other frames than asked for; None for a file that is plain if undamaged.

    decord is exact on MP4 and Matroska files of H.264 with closed groups of pictures, VP8 and VP9,
    with sound time stamps. It numbers frames wrongly, without a word, on open groups, edit lists
    and false key-frame flags, and an edit list can make it wait for ever.
    """
    return _container_reason(index) or _packet_reason(index) or _picture_reason(index)


def _container_reason(index: StreamIndex) -> str | None:
    context = index.context
    videos = len(index.container.streams.video)
    if index.container.format.name not in PLAIN_CONTAINERS:
        return f"its container is {index.container.format.name}"
    if videos != 1:
        return f"it has {videos} video streams"
    if index.codec not in PLAIN_CODECS:
        return f"its codec is {index.codec}"
    if context.pix_fmt not in PLAIN_PIXELS:
        return f"its pixels are {context.pix_fmt}"
    if context.width < NARROWEST_PLAIN_WIDTH:
        return f"it is only {context.width} pixels wide"
    return None


def _packet_reason(index: StreamIndex) -> str | None:
    packets, presentation = index.packets, index.presentation
    if presentation is None:
        return "its time stamps do not order its frames"
    if len(presentation.shown) != len(packets):
        return f"{len(packets) - len(presentation.shown)} of its {len(packets)} packets are not shown"
    if index.stream.frames not in (0, len(packets)):  # 0: the container does not say
        return f"its container states {index.stream.frames} frames and holds {len(packets)}"
    if any(packet.is_corrupt for packet in packets):
        return "a packet is cut short"
    if any(packet.has_sidedata("new_extradata") for packet in packets):
        return "its codec parameters change on the way"
    if not all(
        starts_closed_group(packets[key], index.codec, index.context.extradata) for key in index.key_positions
    ):
        return "a key packet does not start a closed group of pictures"
    stated_keys = {entry.timestamp for entry in index.stream.index_entries if entry.is_keyframe}
    true_keys = {time for key in index.key_positions for time in (packets[key].dts, packets[key].pts)}
    if not stated_keys <= true_keys:  # PyAV corrects false flags from the packets, decord does not
        return "its container flags key frames that are none"
    if index.context.has_b_frames and not any(presentation.reordered):
        # An encoder that reserves a reordering buffer, or times that only copy decoding order.
        return "its codec may reorder frames and its time stamps do not"
    return None


def _picture_reason(index: StreamIndex) -> str | None:
    index.context.flush_buffers()
    try:
        frames = index.context.decode(index.packets[0]) + index.context.decode(None)
    except FFmpegError as error:
        return f"its first frame does not decode ({error.strerror})"
    index.context.flush_buffers()
    if len(frames) != 1:
        return f"its first packet holds {len(frames)} frames"
    if frames[0].rotation:
        return f"it is shown turned by {frames[0].rotation} degrees"
    if (frames[0].width, frames[0].height) != (index.context.width, index.context.height):
        return "its frames have another size than its container states"
    return None
