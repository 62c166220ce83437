"""A stretch of time that a person looks into: drawn on a chart or set by a slider, and kept in the address."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from pages.ui import format, state
from pages.ui.lines import BRUSH

FROM, TO = "from", "to"
"""Parameters of the address, in seconds since the run began."""

Stretch = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A chart or a slider that shows the stretch, and on which it is chosen."""

    name: str
    number: int
    of: object
    """What runs it is about."""
    at_first: Stretch | None
    """What it showed when it was made."""
    now: Stretch | None
    """What a person has made of that."""

    @property
    def key(self) -> str:
        """Of the widget."""
        return f"{self.name}-{self.number}"


def asked(until_s: float) -> tuple[Stretch | None, str | None]:
    """The stretch in the address, if there is one, and a sentence where what stands there is none."""
    low, high = st.query_params.get(FROM), st.query_params.get(TO)
    if low is None and high is None:
        return None, None
    begin_s, end_s = _number(low, 0.0), _number(high, until_s)
    if begin_s is None or end_s is None or not 0 <= begin_s < min(end_s, until_s):
        what = f"from {format.shortened(low or 0, 20)} to {format.shortened(high or 'the end', 20)}"
        whole = f"these runs go from 0 to {format.seconds(until_s)}"
        return None, f"The address asks for the seconds {what}, which is no stretch of time here: {whole}."
    return _whole_steps((begin_s, end_s), until_s), None


def _number(text: str | None, missing: float) -> float | None:
    if text is None:
        return missing
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def step_of(until_s: float) -> float:
    """How finely a stretch of so long a run is chosen: 1, 0.1, 0.01 … s, at least 200 steps."""
    return float(10.0 ** math.floor(math.log10(max(until_s, 0.1) / 200)))


def _whole_steps(stretch: Stretch, until_s: float) -> Stretch | None:
    """The stretch in whole steps, at least one long; None for all of the time."""
    step = step_of(until_s)
    last = math.ceil(until_s / step)
    low = min(max(0, round(stretch[0] / step)), last - 1)
    high = max(low + 1, min(last, round(stretch[1] / step)))
    return None if (low, high) == (0, last) else (_decimal(low * step), _decimal(high * step))


def _decimal(value: float) -> float:
    """Without the noise of binary fractions, so that the address stays short."""
    return round(value, 6)


def control(name: str, chosen: Stretch | None, of: object) -> Control:
    """The control of this name for these runs, so that it shows the stretch that is chosen.

    A person who moves it sees the stretch already: it must not be made anew under the pointer. Where the stretch came
    from elsewhere, a new one begins with it. To set the one that is there would not do: what a browser sends while
    the news are on their way to it still has the old stretch, as if a person had chosen that again.
    """
    known: Control | None = state.remembered(name)
    if known is not None and (known.of, known.now) == (of, chosen):
        forgotten = known.now != known.at_first and state.value(known.key) is None  # it was not drawn for a while
        if not forgotten:
            return known
    number = 0 if known is None else known.number + 1
    made = Control(name=name, number=number, of=of, at_first=chosen, now=chosen)
    state.remember(name, made)
    return made


def _moved(control: Control, chosen: Stretch | None) -> None:
    """Keep what a control was moved to; what is still heard of one that is gone does not count."""
    known: Control | None = state.remembered(control.name)
    if known is not None and known.key == control.key:
        state.remember(control.name, replace(known, now=chosen))
        _keep(chosen)


def drawn(chart: Control, until_s: float) -> None:
    """Keep what was just drawn on a chart; its callback."""
    _moved(chart, selected(state.value(chart.key), until_s))


def selected(found: Mapping[str, Any] | None, until_s: float) -> Stretch | None:
    """The stretch in a chart's state of selection; None where nothing is selected."""
    ends = ((found or {}).get("selection", {}).get(BRUSH) or {}).get("time_s")
    if not ends or len(ends) != 2 or ends[0] == ends[1]:
        return None
    return _whole_steps((min(ends), max(ends)), until_s)


def draw_slider(chosen: Stretch | None, until_s: float, of: object) -> None:
    """The same choice by keyboard, with a button that ends it."""
    step = step_of(until_s)
    whole = (0.0, _decimal(math.ceil(until_s / step) * step))
    slider = control("stretch-slider", chosen, of)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.slider(
            "Stretch of time (seconds since the run began)",
            *whole,
            slider.at_first or whole,
            key=slider.key,
            step=step,
            format="%g",
            on_change=_slid,
            args=(slider, until_s),
            help="Also by dragging over the chart. What follows shows only this stretch; the address keeps it.",
        )
        st.button(
            "Show the whole run",
            icon=":material/zoom_out_map:",
            disabled=chosen is None,
            on_click=_keep,
            args=(None,),
            help="No stretch is chosen." if chosen is None else None,
        )


def _slid(slider: Control, until_s: float) -> None:
    _moved(slider, _whole_steps(state.value(slider.key), until_s))


def _keep(chosen: Stretch | None) -> None:
    """Write the stretch into the address, or take it out."""
    for name, value in zip((FROM, TO), chosen or (None, None), strict=True):
        if value is None:
            st.query_params.pop(name, None)
        else:
            st.query_params[name] = f"{value:g}"
