"""What charts on a page without scripts are made of: a frame with axes, text, marks and legends, as SVG text."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inference.wording import plain, significant

BOTTOM = 46
"""Pixels under a plot, for the ticks and the title of its axis."""
LETTER_WIDTH = 6.6
"""Of a letter in a chart, in pixels, as a rule of thumb."""

_LEFT, _RIGHT, _TOP = 50, 16, 30
_TICK_GAP = 70

_MARKS = {
    "naive": "M-4-4h8v8h-8Z",
    "actor": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0Z",
    "batched": "M0-5L5 4H-5Z",
    "pipelined": "M0-5.5L5.5 0L0 5.5L-5.5 0Z",
}
"""Square, circle, triangle and diamond around 0 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart that can be drawn for any width."""

    title: str
    """The finding, in one plain sentence without a full stop."""
    alt: str
    """What a person who cannot see the chart should know."""
    draw: Callable[[int], str]
    """From a width in pixels to an `svg` element."""
    legend: str = ""
    """What colours and signs mean, as markup; empty where the chart itself says it."""
    named_when_wide: bool = False
    """Whether the wide drawing names its lines itself and needs no legend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A frame with seconds from left to right and values from 0 upwards; all lengths in pixels."""

    width: int
    height: int
    end_s: float
    top: float
    """The value at the upper edge."""

    @property
    def left(self) -> int:
        """Where the first second begins."""
        return _LEFT

    @property
    def right(self) -> int:
        """Where the last second ends."""
        return self.width - _RIGHT

    @property
    def above(self) -> int:
        """The upper edge."""
        return _TOP

    @property
    def bottom(self) -> int:
        """Where a value of 0 lies."""
        return self.height - BOTTOM

    def x(self, time_s: float) -> float:
        """The place of a moment."""
        return round(_LEFT + time_s / self.end_s * (self.right - _LEFT), 1)

    def y(self, value: float) -> float:
        """The place of a value."""
        return round(self.bottom - value / self.top * (self.bottom - _TOP), 1)

    def axes(self, unit: str) -> list[str]:
        """Grid, ticks and titles of both axes, with `unit` at the upright one."""
        parts = [text(0, 13, unit, "axis-title")]
        for value in ticks(self.top, 5):
            y = self.y(value)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{self.right}" y1="{y}" y2="{y}"/>')
            parts.append(text(_LEFT - 8, y + 4, _tick(value), "tick", "end"))
        return parts + time_axis(self.end_s, self.x, self.right, self.bottom, "seconds since the run began")

    def across(self, value: float) -> str:
        """A dashed line at this value."""
        y = self.y(value)
        return f'<line class="average" x1="{_LEFT}" x2="{self.right}" y1="{y}" y2="{y}"/>'


def ticks(top: float, number: int) -> list[float]:
    """Round numbers from 0 to at most `top`, about `number` steps of 1, 2 or 5 times a power of ten."""
    if top <= 0:
        return [0.0]
    rough = top / max(1, number)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    return [step * count for count in range(int(top / step * 1.0001) + 1)]


def time_axis(
    end_s: float,
    x: Callable[[float], float],
    right: float,
    bottom: float,
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
        parts.append(text(x(value), bottom + 19, _tick(value), "tick", "middle"))
    parts.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    parts.append(text((left + right) / 2, bottom + BOTTOM - 7, title, "axis-title", "middle"))
    return parts


def svg(width: int, height: float, title: str, alt: str, parts: Sequence[str]) -> str:
    """A picture with a title and a description; foreign text in them is shown literally."""
    return (
        f'<svg viewBox="0 0 {width} {height:g}" role="img" aria-label="{escaped(alt)}">'
        f"<title>{escaped(title)}</title>{''.join(parts)}</svg>"
    )


def text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    """Words at a place; `kind` is a class of the style sheet."""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escaped(words)}</text>'


def bar(kind: str, x: float, y: float, width: float, height: float, hover: str = "") -> str:
    """A bar, with words that show on hover."""
    title = f"<title>{escaped(hover)}</title>" if hover else ""
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:.1f}" height="{height:g}" rx="2">{title}</rect>'


def mark(strategy: str, x: float, y: float, hover: str = "") -> str:
    """The sign of a strategy at a place, with words that show on hover."""
    title = f"<title>{escaped(hover)}</title>" if hover else ""
    shape = _MARKS.get(strategy, _MARKS["actor"])
    return f'<path class="mark" transform="translate({x:g} {y:g})" d="{shape}">{title}</path>'


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Pairs of a sign, which is markup, and what it means."""
    return f'<ul class="legend">{"".join(f"<li>{sign}{escaped(words)}</li>" for sign, words in entries)}</ul>\n'


def legend_mark(strategy: str, dash: int) -> str:
    """The sign of one line in a legend."""
    return (
        f'<svg class="swatch {escaped(strategy)}" viewBox="0 0 34 14" aria-hidden="true">'
        f'<path class="line dash-{dash}" d="M0 7H34"/>{mark(strategy, 17, 7)}</svg>'
    )


def escaped(words: str) -> str:
    """Text for an element or an attribute, invisible characters spelled out."""
    return html.escape(plain(words))


def _tick(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{float(significant(value, 2).replace(',', '')):g}"
