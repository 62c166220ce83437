"""Charts of one run as SVG text for a page without scripts: measurements in, markup out.

Colours come from the page's style sheet, so that they follow its light and dark theme. Every chart is drawn
for a given width in pixels, since letters that shrink with a picture cannot be read on a telephone.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from inference.wording import percent, rate, seconds, significant

PHASE_WORDS = {
    "load": "loading",
    "import": "importing",
    "warmup": "warming up",
    "start": "starting",
    "read": "reading",
    "preprocess": "preprocessing",
    "forward": "forward",
    "postprocess": "postprocessing",
    "wait": "waiting",
}
"""What a reader calls the phases, in the order of the bars: what is paid again and again comes first."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 16, 30, 46
_NAME_WIDTH, _VALUE_WIDTH = 118, 100
_TOO_NARROW = 500
"""Below this width in pixels, names stand above their bars instead of beside them."""
_TICK_GAP = 70
_LETTER_WIDTH = 6.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart that can be drawn for any width."""

    title: str
    """The finding, in one plain sentence without a full stop."""
    alt: str
    """What a person who cannot see the chart should know."""
    draw: Callable[[int], str]
    """From a width in pixels to an `svg` element."""


def throughput_chart(
    points: Sequence[tuple[float, float]], *, average: float | None, setup_s: float | None
) -> Chart | None:
    """Images/s over the seconds of a run, as steps; None without points.

    `points` are pairs of (end of a window in seconds, images/s in it), as `results.throughput` gives them.
    `average` is drawn as a dashed line, and the first `setup_s` seconds are marked.
    """
    if not points:
        return None
    end_s, best = points[-1][0], max(y for _, y in points)
    title = f"Throughput over time: at best {rate(best)}"
    alt = f"Step chart of images per second over {seconds(end_s)}, at best {rate(best)}"
    if average is not None:
        alt += f", {rate(average)} end to end"
    if setup_s is not None:
        alt += f"; the first image is worked on after {seconds(setup_s)}"

    def draw(width: int) -> str:
        return _throughput_svg(points, average, setup_s, width=width, height=270, title=title, alt=f"{alt}.")

    return Chart(title=title, alt=f"{alt}.", draw=draw)


def phases_chart(phases: Mapping[str, float]) -> Chart | None:
    """Seconds of worker time by phase, one bar each; None where no time was measured."""
    spent = {phase: phases[phase] for phase in PHASE_WORDS if phases.get(phase, 0.0) > 0}
    total = sum(spent.values())
    if not total:
        return None
    most = max(spent, key=lambda phase: spent[phase])
    title = f"Where the workers’ time went: {PHASE_WORDS[most]} took {percent(spent[most] / total)}"
    parts = [f"{PHASE_WORDS[phase]} {seconds(s)} ({percent(s / total)})" for phase, s in spent.items()]
    alt = f"Bars of worker time by phase: {', '.join(parts)}."

    def draw(width: int) -> str:
        return _phases_svg(spent, total, width=width, title=title, alt=alt)

    return Chart(title=title, alt=alt, draw=draw)


def ticks(top: float, count: int) -> list[float]:
    """Round numbers from 0 to at most `top`, about `count` steps of 1, 2 or 5 times a power of ten."""
    if top <= 0:
        return [0.0]
    rough = top / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    return [step * number for number in range(int(top / step * 1.0001) + 1)]


def _throughput_svg(
    points: Sequence[tuple[float, float]],
    average: float | None,
    setup_s: float | None,
    *,
    width: int,
    height: int,
    title: str,
    alt: str,
) -> str:
    end_s = points[-1][0]
    top = max([average or 0.0, *(y for _, y in points)]) * 1.12 or 1.0
    right, bottom = width - _RIGHT, height - _BOTTOM

    def x(time_s: float) -> float:
        return round(_LEFT + time_s / end_s * (right - _LEFT), 1)

    def y(images_per_s: float) -> float:
        return round(bottom - images_per_s / top * (bottom - _TOP), 1)

    parts = [_text(0, 13, "images/s", "axis-title")]
    for value in ticks(top, 5):
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y(value)}" y2="{y(value)}"/>')
        parts.append(_text(_LEFT - 8, y(value) + 4, _tick(value), "tick", "end"))
    parts += _time_axis(end_s, x, right, bottom, height, "seconds since the run began")
    setup_x = x(min(setup_s or 0.0, end_s))
    if setup_s:
        parts.append(_setup(setup_x, bottom, seconds(setup_s)))
    steps = "".join(f"V{y(value)}H{x(moment)}" for moment, value in points)
    parts.append(f'<path class="area" d="M{_LEFT} {bottom}{steps}V{bottom}Z"/>')
    parts.append(f'<path class="line" d="M{_LEFT} {bottom}{steps}"/>')
    if average:
        parts.append(f'<line class="average" x1="{_LEFT}" x2="{right}" y1="{y(average)}" y2="{y(average)}"/>')
        words = f"{rate(average)} end to end"
        # The curve lies at zero during set-up, and above its mean most of the time after it.
        if len(words) * _LETTER_WIDTH + 12 < setup_x - _LEFT:
            parts.append(_text(_LEFT + 7, y(average) - 7, words, "label"))
        else:
            below = y(average) + 17
            parts.append(_text(right - 4, below if below < bottom - 4 else y(average) - 7, words, "label", "end"))
    return _svg(width, height, title, alt, parts)


def _setup(until_x: float, bottom: float, duration: str) -> str:
    """A shade over the seconds before the first image, named where the name fits."""
    shade = f'<rect class="setup" x="{_LEFT}" y="{_TOP}" width="{until_x - _LEFT:.1f}" height="{bottom - _TOP}"/>'
    for words in (f"set-up {duration}", "set-up"):
        if len(words) * _LETTER_WIDTH + 12 < until_x - _LEFT:
            return shade + _text(_LEFT + 7, _TOP + 16, words, "label")
    return shade


def _phases_svg(spent: Mapping[str, float], total: float, *, width: int, title: str, alt: str) -> str:
    beside = width >= _TOO_NARROW
    row = 30 if beside else 44
    left, right = (_NAME_WIDTH, width - _VALUE_WIDTH) if beside else (4, width - 8)
    bottom = 8 + row * len(spent)
    height = bottom + _BOTTOM
    longest = max(spent.values())

    def x(duration_s: float) -> float:
        return round(left + duration_s / longest * (right - left), 1)

    parts = _time_axis(longest, x, right, bottom, height, "seconds of worker time", grid_top=6)
    for number, (phase, duration_s) in enumerate(spent.items()):
        bar_y = 8 + row * number + (3 if beside else 20)
        name, value = PHASE_WORDS[phase], f"{seconds(duration_s)} · {percent(duration_s / total)}"
        bar = max(1.5, x(duration_s) - left)
        parts.append(
            f'<rect class="phase {phase}" x="{left}" y="{bar_y}" width="{bar:.1f}" height="20" rx="2">'
            f"<title>{html.escape(f'{name}: {value}')}</title></rect>"
        )
        if beside:
            parts.append(_text(left - 8, bar_y + 14, name, "name", "end"))
            parts.append(_text(left + bar + 7, bar_y + 14, value, "label"))
        else:
            parts.append(_text(left, bar_y - 6, name, "name"))
            parts.append(_text(right, bar_y - 6, value, "label", "end"))
    return _svg(width, height, title, alt, parts)


def _time_axis(
    end_s: float,
    x: Callable[[float], float],
    right: float,
    bottom: float,
    height: float,
    title: str,
    *,
    grid_top: float | None = None,
) -> list[str]:
    """Ticks and title below a plot from `x(0)` to `right`; upright grid lines from `grid_top` if given."""
    left = x(0)
    parts = []
    for value in ticks(end_s, max(2, int((right - left) / _TICK_GAP))):
        if grid_top is not None:
            parts.append(f'<line class="grid" x1="{x(value)}" x2="{x(value)}" y1="{grid_top}" y2="{bottom}"/>')
        parts.append(f'<line class="axis" x1="{x(value)}" x2="{x(value)}" y1="{bottom}" y2="{bottom + 5}"/>')
        parts.append(_text(x(value), bottom + 19, _tick(value), "tick", "middle"))
    parts.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    parts.append(_text((left + right) / 2, height - 7, title, "axis-title", "middle"))
    return parts


def _svg(width: int, height: float, title: str, alt: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height:g}" role="img" aria-label="{html.escape(alt)}">'
        f"<title>{html.escape(title)}</title>{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{html.escape(words)}</text>'


def _tick(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{float(significant(value, 2).replace(',', '')):g}"
