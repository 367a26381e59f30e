"""`gcvideo predict --live`: the classes of a camera or a stream, as it goes on."""

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter
from rich.console import Group
from rich.live import Live
from rich.text import Text

from gcvideo.cli.class_bars import class_bars
from gcvideo.cli.inputs import load
from gcvideo.cli.options import chosen_views
from gcvideo.data.decoding.pyav import upright_rgb
from gcvideo.prediction.annotated import caption
from gcvideo.prediction.live import LiveFrame, LiveReader, newest_for
from gcvideo.prediction.live_predictor import LivePrediction, LivePredictor
from gcvideo.prediction.live_recording import LiveRecording
from gcvideo.prediction.live_source import live_source
from gcvideo.prediction.live_window import LiveWindow
from gcvideo.prediction.timeline import Ranked
from gcvideo.printable import printable
from gcvideo.terminal import Terminal

log = logging.getLogger(__name__)

ONLY_LIVE = ("every", "smoothing_seconds", "window", "reconnect_seconds", "source_options")
NEVER_LIVE = ("threshold", "root", "num_clips", "timeline", "hop_seconds", "num_workers")
TERMINATED = 128 + signal.SIGTERM


def check_live(options: Any, given: Sequence[str]) -> None:
    """Refuse options that cannot be meant.

    Args:
        options: What was parsed.
        given: As it was given.

    Raises:
        ValueError: They exclude each other, or a value is impossible.
    """
    names = {
        argument.partition("=")[0].partition(".")[0].removeprefix("--")
        for argument in given
        if argument.startswith("--")
    }
    if options.live is None:
        if alone := [name for name in ONLY_LIVE if name in names]:
            raise ValueError(f"{alone[0]} is given without live; add --live SOURCE")
        return
    if options.videos:
        raise ValueError(
            f"{options.videos[0]} is given with live, which watches {options.live} alone; drop one"
        )
    if excluded := [name for name in NEVER_LIVE if name in names]:
        raise ValueError(f"{excluded[0]} is given with live, where it has no meaning; drop one")
    if "out" in names and not options.annotate:
        raise ValueError("out is given with live, which writes a recording alone; add --annotate")
    if not options.every > 0:
        raise ValueError(f"every is {options.every}; expected more than 0 seconds")
    for name in ("smoothing_seconds", "reconnect_seconds"):
        if options[name] is not None and not options[name] >= 0:
            raise ValueError(f"{name} is {options[name]}; expected 0 or more")


def watch(options: Any) -> None:
    """Predict what comes, until it ends or Ctrl-C, after which the recording is whole too."""
    # What to watch, and with what
    source = live_source(options.live, options.source_options)
    model, data = load(options.checkpoint, device=options.device)
    predict = LivePredictor(
        model,
        data,
        chosen_views(options, data.test_views),
        every_seconds=options.every,
        smoothing_seconds=options.smoothing_seconds,
    )
    newest = newest_for(data.clip)

    # Who looks at every frame
    pictures = Pictures()
    reader = LiveReader(source, newest, reconnect_seconds=options.reconnect_seconds, watch=pictures.add)
    if options.window:
        pictures.window = LiveWindow(on_close=reader.stop)
    if options.annotate:
        began = time.strftime("%Y%m%d-%H%M%S")
        pictures.recording = LiveRecording(options.out / "annotated" / f"live-{began}.mp4")

    # Predict; Ctrl-C and SIGTERM end this like any other error
    try:
        with sigterm_is_an_exception(), bars(source.name) as show:
            pictures.start()
            reader.start()
            for prediction in predict(newest):
                pictures.top = prediction.smoothed
                show(prediction)
                if pictures.failure():
                    break
    finally:
        reader.stop()
        pictures.close()
        log_figures(predict, reader)
    if failure := newest.failure or pictures.failure():
        raise failure


class Pictures:
    """The recording and the window, where asked for, and the classes that they show."""

    def __init__(self) -> None:
        self.top: Sequence[Ranked] = ()
        self.recording: LiveRecording | None = None
        self.window: LiveWindow | None = None
        self._reformatter = VideoReformatter()

    @property
    def _threads(self) -> list[LiveRecording | LiveWindow]:
        return [thread for thread in (self.recording, self.window) if thread is not None]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def add(self, frame: LiveFrame) -> None:
        """Hand a frame on; this waits for nothing."""
        if self.recording is not None:
            self.recording.add(frame, self.top)
        if self.window is not None:
            self.window.show(lambda: self._captioned(frame))

    def _captioned(self, frame: LiveFrame) -> np.ndarray:
        return caption(upright_rgb(frame.picture, self._reformatter, name="live"), self.top)

    def failure(self) -> ValueError | None:
        """Return what has gone wrong."""
        return next((thread.failure for thread in self._threads if thread.failure), None)

    def close(self) -> None:
        """Take the window away, and finish the recording."""
        for thread in self._threads:
            thread.close()
        if (recording := self.recording) is None:
            return
        if recording.num_left_out:
            log.warning("frames not in the recording, since encoding was slower: %d", recording.num_left_out)
        if recording.num_frames and not recording.failure:
            log.info("wrote %d frames to %s", recording.num_frames, recording.file)


@contextmanager
def bars(name: str) -> Iterator[Callable[[LivePrediction], None]]:
    """Yield what shows a prediction: bars in the terminal, and a line for another program."""
    is_terminal = sys.stderr.isatty()
    if not is_terminal:
        yield write_line
        return
    writes_lines = not sys.stdout.isatty()
    # What else is written to standard error then appears above; standard output stays what it is.
    with Live(console=Terminal(stderr=True), auto_refresh=False, redirect_stdout=False) as live:

        def show(prediction: LivePrediction) -> None:
            when = (
                f"{name}  {prediction.end_seconds:.1f} s  latency {prediction.latency_seconds * 1000:.0f} ms"
            )
            lines = [("", name, probability) for name, probability in prediction.smoothed]
            live.update(Group(Text(printable(when), style="bold"), class_bars(lines)), refresh=True)
            if writes_lines:
                write_line(prediction)

        yield show


def write_line(prediction: LivePrediction) -> None:
    """Write a prediction to standard output, for another program to read at once.

    Raises:
        ValueError: That program has gone.
    """
    try:
        sys.stdout.write(json.dumps(prediction.as_json()) + "\n")
        sys.stdout.flush()
    except BrokenPipeError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # which Python flushes in the end
        raise ValueError("standard output was closed by the program that read it") from error


@contextmanager
def sigterm_is_an_exception() -> Iterator[None]:
    """Let SIGTERM end what is done in order, with the exit code that a shell reports of it."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def log_figures(predict: LivePredictor, reader: LiveReader) -> None:
    """Log how many predictions there were, how late they came, and what was left out."""
    if not predict.latencies:
        return
    median, most = np.percentile(predict.latencies, [50, 95]) * 1000
    log.info(
        "predictions: %d, of %d frames; from a clip's last frame to its classes: median %.0f ms, 95 %% "
        "within %.0f ms",
        predict.num_predictions,
        reader.num_frames,
        median,
        most,
    )
    if predict.num_late:
        log.info("predictions left out, since the one before was not done: %d", predict.num_late)
    if reader.num_damaged:
        log.warning("damaged pictures, left out: %d", reader.num_damaged)
