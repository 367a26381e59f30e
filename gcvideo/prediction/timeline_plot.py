"""A picture of what a network sees along a video."""

from pathlib import Path

from matplotlib.figure import Figure

from gcvideo.atomic import replacing
from gcvideo.prediction.timeline import Timeline
from gcvideo.printable import printable

MOST_CURVES = 6


def plot_timeline(timeline: Timeline, *, title: str, file: Path) -> None:
    """Plot how probable the classes that are seen somewhere are over time, and a strip of when each is."""
    segments = timeline.segments()
    leading = list(dict.fromkeys(segment.name for segment in segments))
    by_time_led = {
        name: sum(s.end_seconds - s.start_seconds for s in segments if s.name == name) for name in leading
    }
    by_time = sorted(leading, key=by_time_led.__getitem__, reverse=True)
    shown, rows = by_time[:MOST_CURVES], timeline.rows_of(by_time)
    colours = {name: f"C{number}" for number, name in enumerate(shown)}

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    curves, strip = figure.subplots(2, 1, sharex=True, height_ratios=(6, 1))
    middles = [(window.start_seconds + window.end_seconds) / 2 for window in timeline.windows]
    for name, colour in colours.items():
        curve = [dict([*window.top, *(window.told or ())]).get(name, 0.0) for window in timeline.windows]
        curves.plot(middles, curve, color=colour, label=_plain(name), marker="o", markersize=3)
    curves.set(ylim=(0, 1.02), ylabel="probability", title=_plain(title))
    curves.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False)
    for segment in segments:
        span = (segment.start_seconds, segment.end_seconds - segment.start_seconds)
        strip.broken_barh([span], (rows[segment.name], 1), color=colours.get(segment.name, "lightgrey"))
    strip.set(yticks=[], xlabel="seconds", xlim=(timeline.boundaries[0], timeline.boundaries[-1]))
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as unfinished:
        figure.savefig(unfinished, format="png", dpi=120)


def _plain(name: str) -> str:
    """Return a name that matplotlib writes as it stands: a dollar sign would begin a formula."""
    return printable(name).replace("$", r"\$")
