"""Plots as SVG text: no library, no network, legible on a telephone."""

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 380, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 8, 34

STYLE = """
svg { width: 100%; height: auto; display: block; }
svg text { font: 11px system-ui, sans-serif; fill: var(--quiet); }
svg .bar { fill: var(--accent); }
svg .bar:hover { fill: var(--ink); }
svg line { stroke: var(--line); }
"""


def bar_plot(
    title: str, names: Sequence[str], values: Sequence[float], *, named: Sequence[str], unit: str
) -> str:
    """One bar a name.

    Args:
        title: What screen readers say.
        names: What each bar is; shown when it is pointed at.
        values: Their heights, from 0.
        named: The names that also stand below their bars: empty strings where nothing does.
        unit: Of the values.
    """
    top = nice_ceiling(max(values, default=0))
    width = (WIDTH - _LEFT - _RIGHT) / max(1, len(values))
    height = HEIGHT - _TOP - _BOTTOM
    parts = [_axis(top, unit)]
    for place, (name, value, label) in enumerate(zip(names, values, named, strict=True)):
        x, tall = _LEFT + place * width, value / top * height
        gap = min(2.0, width * 0.15)
        parts.append(
            f'<rect class="bar" x="{x + gap / 2:.2f}" y="{_TOP + height - tall:.2f}" '
            f'width="{max(0.3, width - gap):.2f}" height="{tall:.2f}">'
            f"<title>{escape(name)}: {value:,g} {escape(unit)}</title></rect>"
        )
        if label:
            parts.append(
                f'<text x="{x + width / 2:.2f}" y="{HEIGHT - _BOTTOM + 15}" '
                f'text-anchor="middle">{escape(label)}</text>'
            )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def histogram(title: str, values: Sequence[float], *, num_bins: int, unit: str) -> str:
    """How many values fall into each of equally wide bins, from 0 to the 99.5th percentile.

    The last bin also counts everything above it, and its label says so.
    """
    ordered = sorted(values)
    last = ordered[int(0.995 * (len(ordered) - 1))] if ordered else 1.0
    step = nice_ceiling(max(last, 1e-9) / num_bins)
    num_bins = max(1, -int(-last // step))
    counts = [0] * num_bins
    for value in values:
        counts[min(num_bins - 1, int(value / step))] += 1
    over = ordered[-1] > num_bins * step if ordered else False
    edges = [f"{n * step:g}" for n in range(num_bins)]
    names = [f"{n * step:g} to {(n + 1) * step:g} {unit}" for n in range(num_bins)]
    if over:
        names[-1] = f"{edges[-1]} {unit} and more"
    every = max(1, -(-num_bins // 8))
    named = [edge if n % every == 0 else "" for n, edge in enumerate(edges)]
    return bar_plot(title, names, counts, named=named, unit="videos")


def nice_ceiling(value: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is at least the value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** int(f"{value:e}".partition("e")[2])
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * (1 - 1e-9))


def _axis(top: float, unit: str) -> str:
    parts = []
    for part in (0.0, 0.5, 1.0):
        y = _TOP + (1 - part) * (HEIGHT - _TOP - _BOTTOM)
        parts.append(
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{short(top * part)}</text>'
        )
    parts.append(f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 3}" text-anchor="end">{escape(unit)}</text>')
    return "".join(parts)


def short(value: float) -> str:
    """A number in few letters: 12 000 is 12k."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
