"""Charts as SVG text for a page without scripts: measurements in, markup out.

Colours come from the page's style sheet, so that they follow its light and dark theme. Every chart is drawn
for a given width in pixels, since letters that shrink with a picture cannot be read on a telephone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from inference.export_svg import (
    BOTTOM,
    LETTER_WIDTH,
    Chart,
    Plot,
    bar,
    escaped,
    legend,
    legend_mark,
    mark,
    svg,
    text,
    time_axis,
)
from inference.wording import percent, rate, seconds

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

MOST_LABELS = 4
"""More lines than this are named in a legend alone: their names would cover the lines."""

_NAME_WIDTH, _VALUE_WIDTH = 118, 100
_TOO_NARROW = 500
"""Below this width in pixels, names stand above their bars instead of beside them."""
_MARKED = 8
"""How many points of a line carry a mark, with its value on hover."""
_LABEL_GAP = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One run's line of a chart."""

    label: str
    strategy: str
    points: Sequence[tuple[float, float]]
    """Pairs of (seconds since the run began, value)."""


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
        top = max([average or 0.0, *(y for _, y in points)]) * 1.12 or 1.0
        plot = Plot(width=width, height=270, end_s=end_s, top=top)
        parts = [*plot.axes("images/s"), *_steps(plot, points, setup_s)]
        if average:
            parts += _average(plot, average, plot.x(min(setup_s or 0.0, end_s)))
        return svg(width, plot.height, title, f"{alt}.", parts)

    return Chart(title=title, alt=f"{alt}.", draw=draw)


def lines_chart(
    lines: Sequence[Line],
    *,
    title: str,
    unit: str,
    of: str,
    written: Callable[[float], str],
    most: float | None = None,
    most_words: str = "",
) -> Chart | None:
    """One line per run on one time axis, each with the mark of its strategy; None without points.

    `unit` stands at the axis, `of` says what is drawn, and `written` puts a value with its unit into words. A
    dashed line at `most`, named `most_words`, is what could be reached at best.
    """
    drawn = [line for line in lines if line.points]
    if not drawn:
        return None
    end_s = max(line.points[-1][0] for line in drawn)
    top = max([most or 0.0, *(y for line in drawn for _, y in line.points)]) * 1.12 or 1.0
    parts = [
        f"{line.label}: at most {written(max(y for _, y in line.points))}, until {seconds(line.points[-1][0])}"
        for line in drawn
    ]
    alt = f"Line chart of {of} over time. {'; '.join(parts)}{f'; {most_words}' if most else ''}."
    dashes = dict(zip((line.label for line in drawn), dashes_of([line.strategy for line in drawn]), strict=True))

    def draw(width: int) -> str:
        plot = Plot(width=width, height=290, end_s=end_s, top=top)
        marks = plot.axes(unit)
        if most:
            marks.append(plot.across(most))
            marks.append(text(plot.right - 4, plot.y(most) - 6, most_words, "label", "end"))
        marks += [_line(plot, line, dashes[line.label], written) for line in drawn]
        if width >= _TOO_NARROW and 1 < len(drawn) <= MOST_LABELS:
            marks += _end_labels(plot, drawn)
        return svg(width, plot.height, title, alt, marks)

    entries = [(legend_mark(line.strategy, dashes[line.label]), line.label) for line in drawn]
    return Chart(
        title=title,
        alt=alt,
        draw=draw,
        legend=legend(entries) if len(drawn) > 1 else "",
        named_when_wide=len(drawn) <= MOST_LABELS,
    )


def dashes_of(strategies: Sequence[str]) -> list[int]:
    """How often each strategy came before: lines of one colour differ in their dashes."""
    return [strategies[:number].count(strategy) % 4 for number, strategy in enumerate(strategies)]


def phases_chart(phases: Mapping[str, float]) -> Chart | None:
    """Seconds of worker time by phase, one bar each; None where no time was measured."""
    spent = _spent(phases)
    total = sum(spent.values())
    if not total:
        return None
    most = max(spent, key=lambda phase: spent[phase])
    title = f"Where the workers’ time went: {PHASE_WORDS[most]} took {percent(spent[most] / total)}"
    alt = f"Bars of worker time by phase: {_phases_text(spent)}."

    def draw(width: int) -> str:
        return _phases_svg(spent, total, width=width, title=title, alt=alt)

    return Chart(title=title, alt=alt, draw=draw)


def stacked_phases_chart(rows: Sequence[tuple[str, str, Mapping[str, float]]]) -> Chart | None:
    """One stacked bar of worker time for each (label, strategy, seconds by phase); None where none was measured."""
    bars = [(label, strategy, spent) for label, strategy, phases in rows if (spent := _spent(phases))]
    if not bars:
        return None
    shares = [(label, spent.get("load", 0.0) / sum(spent.values())) for label, _, spent in bars]
    title = f"Loading takes {percent(shares[0][1])} of the worker time of {shares[0][0]}"
    title += "".join(f", {percent(share)} of {label}" for label, share in shares[1:3])
    parts = [f"{label}: {_phases_text(spent)}" for label, _, spent in bars]
    alt = f"Stacked bars of worker time by phase. {'; '.join(parts)}."

    def draw(width: int) -> str:
        return _stacked_svg(bars, width=width, title=title, alt=alt)

    phases = {phase for *_, spent in bars for phase in spent}
    return Chart(
        title=title, alt=alt, draw=draw, legend=phase_legend(phases, forward="forward, in the run’s own colour")
    )


def phase_legend(phases: set[str], *, forward: str = "forward") -> str:
    """The colours of these phases with their names; `forward` says what that phase's colour is."""
    words = PHASE_WORDS | {"forward": forward}
    swatch = '<svg class="swatch" viewBox="0 0 14 14" aria-hidden="true"><rect class="phase {}" {}/></svg>'
    place = 'x="1" y="1" width="12" height="12"'
    return legend([(swatch.format(phase, place), word) for phase, word in words.items() if phase in phases])


def shares_chart(rows: Sequence[tuple[str, str, Sequence[tuple[str, float]]]], *, title: str) -> Chart | None:
    """Shares of 0 to 1 as bars: (label, strategy, pairs of what it is and its share) for each run."""
    drawn = [(label, strategy, pairs) for label, strategy, pairs in rows if pairs]
    if not drawn:
        return None
    texts = [", ".join(f"{what} {percent(share)}" for what, share in pairs) for *_, pairs in drawn]
    parts = [f"{label}: {words}" for (label, *_), words in zip(drawn, texts, strict=True)]
    alt = f"Bars of shares of the images. {'; '.join(parts)}."

    def draw(width: int) -> str:
        parts: list[str] = []
        y, left, right = 4.0, 4, width - 150
        for label, strategy, pairs in drawn:
            parts.append(text(left, y + 12, label, "name"))
            y += 20
            for what, share in pairs:
                length = max(1.5, share * (right - left))
                kind = "share" if what == pairs[0][0] else "share other"
                parts.append(f'<g class="{escaped(strategy)}">{bar(kind, left, y, length, 13)}</g>')
                parts.append(text(left + length + 7, y + 11, f"{what} {percent(share)}", "label"))
                y += 19
            y += 8
        return svg(width, y, title, alt, parts)

    return Chart(title=title, alt=alt, draw=draw)


# -- pieces --------------------------------------------------------------------------------------------------------


def _steps(plot: Plot, points: Sequence[tuple[float, float]], setup_s: float | None) -> list[str]:
    parts = []
    if setup_s:
        parts.append(_setup(plot, plot.x(min(setup_s, plot.end_s)), seconds(setup_s)))
    steps = "".join(f"V{plot.y(value)}H{plot.x(moment)}" for moment, value in points)
    parts.append(f'<path class="area" d="M{plot.left} {plot.bottom}{steps}V{plot.bottom}Z"/>')
    parts.append(f'<path class="line" d="M{plot.left} {plot.bottom}{steps}"/>')
    return parts


def _average(plot: Plot, average: float, setup_x: float) -> list[str]:
    words = f"{rate(average)} end to end"
    # The curve lies at zero during set-up, and above its mean most of the time after it.
    if len(words) * LETTER_WIDTH + 12 < setup_x - plot.left:
        return [plot.across(average), text(plot.left + 7, plot.y(average) - 7, words, "label")]
    below = plot.y(average) + 17
    y = below if below < plot.bottom - 4 else plot.y(average) - 7
    return [plot.across(average), text(plot.right - 4, y, words, "label", "end")]


def _setup(plot: Plot, until_x: float, duration: str) -> str:
    """A shade over the seconds before the first image, named where the name fits."""
    width, height = until_x - plot.left, plot.bottom - plot.above
    shade = f'<rect class="setup" x="{plot.left}" y="{plot.above}" width="{width:.1f}" height="{height}"/>'
    for words in (f"set-up {duration}", "set-up"):
        if len(words) * LETTER_WIDTH + 12 < width:
            return shade + text(plot.left + 7, plot.above + 16, words, "label")
    return shade


def _line(plot: Plot, line: Line, dash: int, written: Callable[[float], str]) -> str:
    places = [(plot.x(moment), plot.y(value)) for moment, value in line.points]
    path = "L".join(f"{x:g} {y:g}" for x, y in places)
    marks = [
        mark(line.strategy, *places[n], f"{line.label}: {written(line.points[n][1])} at {seconds(line.points[n][0])}")
        for n in range(len(places) - 1, -1, -max(1, len(places) // _MARKED))
    ]
    return f'<g class="{escaped(line.strategy)}"><path class="line dash-{dash}" d="M{path}"/>{"".join(marks)}</g>'


def _end_labels(plot: Plot, lines: Sequence[Line]) -> list[str]:
    """The names of the lines at their ends, moved up where two would touch."""
    parts, highest = [], float("inf")
    for line in sorted(lines, key=lambda line: line.points[-1][1]):
        end_s, value = line.points[-1]
        x, width = plot.x(end_s), len(line.label) * LETTER_WIDTH
        beside = x + width + 14 < plot.right
        near = [y for moment, y in line.points if beside or moment >= end_s - plot.end_s * width / plot.right]
        # A name above its line must clear all of the line that lies under it.
        y = min(plot.y(value) + 4 if beside else plot.y(max(near)) - 12, highest - _LABEL_GAP)
        highest = y
        parts.append(text(x + 10 if beside else x, max(y, 12), line.label, "label", "start" if beside else "end"))
    return parts


def _spent(phases: Mapping[str, float]) -> dict[str, float]:
    return {phase: phases[phase] for phase in PHASE_WORDS if phases.get(phase, 0.0) > 0}


def _phases_text(spent: Mapping[str, float]) -> str:
    total = sum(spent.values())
    return ", ".join(f"{PHASE_WORDS[phase]} {seconds(s)} ({percent(s / total)})" for phase, s in spent.items())


def _phases_svg(spent: Mapping[str, float], total: float, *, width: int, title: str, alt: str) -> str:
    beside = width >= _TOO_NARROW
    row = 30 if beside else 44
    left, right = (_NAME_WIDTH, width - _VALUE_WIDTH) if beside else (4, width - 8)
    bottom = 8 + row * len(spent)
    longest = max(spent.values())

    def x(duration_s: float) -> float:
        return round(left + duration_s / longest * (right - left), 1)

    parts = time_axis(longest, x, right, bottom, "seconds of worker time", grid_top=6)
    for number, (phase, duration_s) in enumerate(spent.items()):
        bar_y = 8 + row * number + (3 if beside else 20)
        name, value = PHASE_WORDS[phase], f"{seconds(duration_s)} · {percent(duration_s / total)}"
        length = max(1.5, x(duration_s) - left)
        parts.append(bar(f"phase {phase}", left, bar_y, length, 20, f"{name}: {value}"))
        if beside:
            parts.append(text(left - 8, bar_y + 14, name, "name", "end"))
            parts.append(text(left + length + 7, bar_y + 14, value, "label"))
        else:
            parts.append(text(left, bar_y - 6, name, "name"))
            parts.append(text(right, bar_y - 6, value, "label", "end"))
    return svg(width, bottom + BOTTOM, title, alt, parts)


def _stacked_svg(bars: Sequence[tuple[str, str, Mapping[str, float]]], *, width: int, title: str, alt: str) -> str:
    left, right, row = 4, width - 12, 50
    bottom = 4 + row * len(bars)
    longest = max(sum(spent.values()) for *_, spent in bars)

    def x(duration_s: float) -> float:
        return round(left + duration_s / longest * (right - left), 1)

    parts = time_axis(longest, x, right, bottom, "seconds of worker time", grid_top=6)
    for number, (label, strategy, spent) in enumerate(bars):
        y, at, total = 4 + row * number, 0.0, sum(spent.values())
        parts.append(text(left, y + 14, label, "name"))
        pieces = []
        for phase, duration_s in spent.items():
            words = f"{label}, {PHASE_WORDS[phase]}: {seconds(duration_s)}, {percent(duration_s / total)}"
            pieces.append(bar(f"phase {phase}", x(at), y + 20, x(at + duration_s) - x(at), 22, words))
            at += duration_s
        parts.append(f'<g class="{escaped(strategy)}">{"".join(pieces)}</g>')
    return svg(width, bottom + BOTTOM, title, alt, parts)
