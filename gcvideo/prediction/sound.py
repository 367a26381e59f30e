"""The sound of a video, taken over into a copy of it."""

import logging
import math
from collections.abc import Iterator

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec import Codec
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet

log = logging.getLogger(__name__)

USUAL_RATE = 48000


class Silence:
    """The sound of what has none."""

    start_seconds = math.inf

    def begin(self, *, zero: float) -> None:
        pass

    def write_until(self, seconds: float) -> None:
        pass


class Sound:
    """All sound tracks of a video, written into another container piece by piece, beside its pictures.

    A track is copied as it is; one that the other container cannot hold is encoded anew as AAC.

    Args:
        source: The video, of which nothing has been read yet.
        target: The container to write to, before its first packet.
    """

    def __init__(self, source: InputContainer, target: OutputContainer) -> None:
        self._source = source
        self._target = target
        self._streams = [stream for stream in source.streams.audio if stream.codec_context is not None]
        self._tracks = {stream.index: track_in(target, stream) for stream in self._streams}
        self._packets: Iterator[Packet] = iter(())
        self._waiting: Packet | None = None

    @property
    def start_seconds(self) -> float:
        """Return when it begins, by the clock of the source; infinity where there is no sound."""
        starts = [
            s.start_time * s.time_base for s in self._streams if s.start_time is not None and s.time_base
        ]
        return float(min(starts, default=math.inf))

    def begin(self, *, zero: float) -> None:
        """Set the moment of the source's clock at which the copy's begins."""
        self._packets = self._taken_over(zero)
        self._waiting = next(self._packets, None)

    def write_until(self, seconds: float) -> None:
        """Write what is heard up to this moment of the copy."""
        while self._waiting is not None and begins(self._waiting) <= seconds:
            self._target.mux(self._waiting)
            self._waiting = next(self._packets, None)

    def _taken_over(self, zero: float) -> Iterator[Packet]:
        """Yield the packets of all tracks, as they follow one another in the source."""
        latest: dict[int, int] = {}
        num_lost = 0
        for packet in self._source.demux(*self._streams) if self._streams else ():
            try:
                packets = self._tracks[packet.stream.index].taken_over(shifted(packet, by=-zero))
            except FFmpegError:
                num_lost += 1
                continue
            for each in packets:
                if each.dts is not None and each.dts > latest.get(each.stream_index, each.dts - 1):
                    latest[each.stream_index] = each.dts
                    yield each
                else:
                    num_lost += 1
        if num_lost:
            log.warning(
                "%s: %d packets of its sound are damaged or out of order, and left out",
                self._source.name,
                num_lost,
            )


class CopiedTrack:
    """A sound track whose packets are taken over as they are."""

    def __init__(self, source: AudioStream, target: OutputContainer) -> None:
        self._stream = target.add_stream_from_template(source)

    def taken_over(self, packet: Packet) -> list[Packet]:
        if packet.size == 0:  # there is no decoder that waits for the end
            return []
        packet.stream = self._stream
        return [packet]


class EncodedTrack:
    """A sound track that is decoded and encoded as AAC, in at most two channels."""

    def __init__(self, source: AudioStream, target: OutputContainer) -> None:
        rates = Codec("aac", "w").audio_rates or []
        rate = source.rate if source.rate in rates else USUAL_RATE
        layout = "mono" if source.channels == 1 else "stereo"
        self._stream = target.add_stream("aac", rate=rate, layout=layout)
        self._resampler = AudioResampler("fltp", layout, rate)

    def taken_over(self, packet: Packet) -> list[Packet]:
        frames: list[AudioFrame | None] = [*packet.decode()]
        if packet.size == 0:
            frames.append(None)
        heard = [one for frame in frames for one in self._resampler.resample(frame)]
        encoded = [one for frame in heard for one in self._stream.encode(frame)]
        return encoded + (self._stream.encode(None) if packet.size == 0 else [])


def track_in(target: OutputContainer, source: AudioStream) -> CopiedTrack | EncodedTrack:
    """Return the track of the target that takes over one of the source."""
    codec = source.codec_context.codec.canonical_name
    # FFmpeg puts PCM into mp4, though not in every number of channels, and browsers do not play it.
    if codec in target.supported_codecs and not codec.startswith("pcm_"):
        return CopiedTrack(source, target)
    log.info("%s: its sound is %s, and becomes AAC in the mp4", source.container.name, codec)
    return EncodedTrack(source, target)


def shifted(packet: Packet, *, by: float) -> Packet:
    """Return the packet with its time stamps moved by some seconds."""
    if packet.dts is not None:
        ticks = round(by / packet.time_base)
        packet.pts = (packet.dts if packet.pts is None else packet.pts) + ticks
        packet.dts += ticks
    return packet


def begins(packet: Packet) -> float:
    """Return the decoding time of a packet that has one, in seconds."""
    return float((packet.dts or 0) * packet.time_base)
