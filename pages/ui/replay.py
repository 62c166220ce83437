"""A recorded comparison played again: what is played, its clock, and what of it had been measured by any second."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from inference import replay
from inference.arms import Arm, headline
from inference.hardware import chip, from_dict
from inference.replay import Clock, Recording, Scene
from inference.results import RunRecord, throughput
from inference.setting_words import dataset_words
from inference.store import RunSummary, Store
from pages.ui import comparison, format, state, widgets, words
from pages.ui.charts import Figure
from pages.ui.cutting import until
from pages.ui.lines import throughput_chart
from pages.ui.timeline import timeline_chart

TICK_S = 0.5
PICTURES = 8
ECHO_S = 3.0
"""For so long, a position that a playing clock gave the slider is no person's wish when it comes back."""
MOST_SIDES = 4
"""More sides than this do not fit a screen: the baseline and the fastest are played."""
TOGETHER, IN_TURN = "side by side", "one after another"
ORDERS = (TOGETHER, IN_TURN)

MARKS = {"naive": ("■", "orange"), "actor": ("●", "blue"), "batched": ("▲", "green"), "pipelined": ("◆", "violet")}
"""Shape and colour of the strategies in the charts, as text has them."""

LARGE = """<style>
.st-key-replay-origin [data-testid="stMarkdown"] p { font-size: 1.15rem; }
.st-key-replay-clock [data-testid="stMarkdown"] p { font-size: clamp(1.6rem, 3vw, 2.4rem); font-weight: 650; }
.st-key-replay-clock [data-testid="stMarkdown"] p span { font-size: 0.6em; }
.st-key-replay-sides [data-testid="stMetricValue"] { font-size: clamp(2.1rem, 4.2vw, 3.6rem); line-height: 1.15; }
.st-key-replay-sides [data-testid="stMarkdown"] p { font-size: clamp(1.2rem, 2vw, 1.6rem); }
</style>"""
"""Figures that can be read from the back of a meeting room."""

DEFINITIONS = {
    "Images": "Images that came out by this second of the run. From the times at which answers were ready.",
    "Images/s": "Images that came out by this second divided by the seconds since the run began.",
    "Model loads": "Loads of the model that had begun by this second. From the load spans.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One run that is played."""

    label: str
    """What it is called; plain text."""
    scene: Scene
    timeline: Figure
    """Of the whole run, on the time axis that all parts share."""

    @property
    def record(self) -> RunRecord:
        """The whole run."""
        return self.scene.recording.record

    @property
    def strategy(self) -> str:
        """The strategy of the run."""
        return self.record.config.strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A comparison made ready to be played; whatever takes long has been done."""

    order: str
    """One of `ORDERS`."""
    arms: tuple[Arm, ...]
    """All sides of the comparison, also those that are not played."""
    parts: tuple[Part, ...]
    throughput: Figure
    """Of the whole runs."""
    length_s: float

    @property
    def key(self) -> str:
        """The name under which a session keeps the clock."""
        return " ".join(["replay", self.order, *(part.record.id for part in self.parts)])

    def current(self, position_s: float) -> tuple[Part, ...]:
        """The parts whose workers and pictures are shown: all, or the one that is going on."""
        if self.order == TOGETHER:
            return self.parts
        return (self.parts[replay.playing_at([part.scene for part in self.parts], position_s)],)


# -- getting ready -----------------------------------------------------------------------------------------


def staged(store: Store, runs: Sequence[RunSummary], order: str) -> Stage:
    """The comparison of these finished runs in an order of `ORDERS`; kept, because ended runs never change."""
    names = tuple((run.id, run.name) for run in runs if run.name)
    return _staged(str(store.home), tuple(run.id for run in runs), names, order)


@st.cache_resource(max_entries=4, show_spinner="Preparing the replay")
def _staged(home: str, run_ids: tuple[str, ...], names: tuple[tuple[str, str], ...], order: str) -> Stage:
    arms = comparison.measured(Store(Path(home)), run_ids, names=dict(names)).arms
    played = _played(arms)
    if order == TOGETHER:
        named = [(arm.label, arm.median) for arm in played]
        scenes = replay.side_by_side([Recording.of(run) for _, run in named])
    else:
        labels = {run.id: arm.label for arm in played for run in arm.runs}
        runs = {run.id: run for arm in played for run in arm.runs}
        in_turn = [run_id for run_id in run_ids if run_id in runs]
        named = [(f"{number}. {labels[run_id]}", runs[run_id]) for number, run_id in enumerate(in_turn, start=1)]
        scenes = replay.one_after_another([Recording.of(run) for _, run in named])
    return _stage(order, arms, named, scenes)


def _played(arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
    if len(arms) <= MOST_SIDES:
        return arms
    return arms[0], max(arms[1:], key=lambda arm: arm.speedup.ratio if arm.speedup else 0.0)


def _stage(order: str, arms: tuple[Arm, ...], named: Sequence[tuple[str, RunRecord]], scenes: Sequence[Scene]) -> Stage:
    longest_s = max(scene.recording.length_s for scene in scenes)
    return Stage(
        order=order,
        arms=arms,
        parts=tuple(
            Part(
                label=label,
                scene=scene,
                timeline=timeline_chart(run.spans, until_s=longest_s, strategy=run.config.strategy),
            )
            for (label, run), scene in zip(named, scenes, strict=True)
        ),
        throughput=throughput_chart(
            {label: throughput(run.predictions) for label, run in named},
            strategies={label: run.config.strategy for label, run in named},
            until_s=longest_s,
        ),
        length_s=max(scene.ends_s for scene in scenes),
    )


# -- playing -----------------------------------------------------------------------------------------------


def draw(store: Store, stage: Stage) -> None:
    """The replay with its controls; it moves by itself while it is playing."""
    st.html(LARGE)
    if state.value("replay-position") is None:  # the slider was not drawn last: this page has just been opened
        state.remember(stage.key, _clock(stage).paused())
    clock = _look(stage)
    # The interval is fixed when a fragment is made, so the page is redrawn when playing begins or ends.
    st.fragment(_draw, run_every=TICK_S if clock.playing else None)(store, stage, clock.playing)


def _look(stage: Stage) -> Clock:
    """The clock as it is now."""
    clock = _clock(stage).at(time.monotonic())
    state.remember(stage.key, clock)
    return clock


def _clock(stage: Stage) -> Clock:
    speed = state.remembered("replay-speed") or 1.0
    return state.remembered(stage.key) or Clock(length_s=stage.length_s, speed=speed)


def _draw(store: Store, stage: Stage, drawn_playing: bool) -> None:
    clock = _look(stage)
    if clock.playing != drawn_playing:
        st.rerun()
    _answer(stage, clock)
    _controls(stage, clock)
    _sides(stage, clock)
    _evidence(stage, clock)
    grid = st.grid(min(len(stage.current(clock.position_s)), 2), min_column_width=340, gap="medium")
    for part in stage.current(clock.position_s):
        with grid.cell():
            _pictures(store, part, clock.position_s)


def _answer(stage: Stage, clock: Clock) -> None:
    """The finding once everything has been played; until then, what is being played."""
    names = words.joined([part.label for part in stage.parts])
    said = headline(stage.arms) if clock.ended else f"{names}, {stage.order}"
    st.header(format.literal(f"Recorded: {said}"), anchor=False)


def _controls(stage: Stage, clock: Clock) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="replay-controls"):
        st.button(
            "Pause" if clock.playing else "Play",
            key="replay-play",
            type="primary",
            icon=":material/pause:" if clock.playing else ":material/play_arrow:",
            shortcut="P",
            on_click=_toggle,
            args=(stage,),
        )
        st.button("Restart", key="replay-restart", icon=":material/replay:", on_click=_restart, args=(stage,))
        state.assign({"replay-speed": clock.speed})
        st.segmented_control(
            "Speed",
            replay.SPEEDS,
            format_func=lambda speed: f"{speed:g} ×",
            key="replay-speed",
            required=True,
            label_visibility="collapsed",
            on_change=_change_speed,
            args=(stage,),
        )
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="replay-clock"):
        st.markdown(_clock_text(clock), width="content")
        _show_position(clock)
        st.slider(
            "Position in seconds",
            min_value=0.0,
            max_value=max(replay.whole_steps_s(stage.length_s), replay.step_s(stage.length_s)),
            step=replay.step_s(stage.length_s),
            format="%.1f s",
            key="replay-position",
            label_visibility="collapsed",
            on_change=_wind,
            args=(stage,),
        )


def _clock_text(clock: Clock) -> str:
    position, length = (format.literal(f"{seconds:,.1f}") for seconds in (clock.position_s, clock.length_s))
    return f"{position} of {length} s :gray[{clock.speed:g} × recorded speed]"


def _toggle(stage: Stage) -> None:
    clock = _look(stage)
    state.remember(stage.key, clock.paused() if clock.playing else clock.played(time.monotonic()))


def _restart(stage: Stage) -> None:
    state.remember(stage.key, _look(stage).moved(0.0).played(time.monotonic()))


def _show_position(clock: Clock) -> None:
    step_s = replay.step_s(clock.length_s)
    shown_s, now_s = round(clock.position_s / step_s) * step_s, time.monotonic()
    recent = [(at_s, position_s) for at_s, position_s in _recently_shown() if now_s - at_s < ECHO_S]
    state.remember("replay-shown", (*recent, (now_s, shown_s)) if clock.playing else tuple(recent))
    state.remember("replay-stands", shown_s)
    state.assign({"replay-position": shown_s})


def _recently_shown() -> tuple[tuple[float, float], ...]:
    """When the slider of a playing clock was put where, of late."""
    return state.remembered("replay-shown") or ()


def _wind(stage: Stage) -> None:
    clock, asked_s = _look(stage), state.value("replay-position")
    # A browser that is behind sends back where the slider was put a moment ago: nobody asked for that.
    echoes = [state.remembered("replay-stands"), *(position_s for _, position_s in _recently_shown())]
    if all(abs(asked_s - echo_s) > replay.step_s(clock.length_s) / 2 for echo_s in echoes):
        state.remember(stage.key, clock.moved(asked_s))


def _change_speed(stage: Stage) -> None:
    speed = state.value("replay-speed")
    state.remember("replay-speed", speed)
    state.remember(stage.key, _look(stage).at_speed(speed))


# -- what had been measured --------------------------------------------------------------------------------


def _sides(stage: Stage, clock: Clock) -> None:
    """Each run's figures, large."""
    grid = st.grid(min(len(stage.parts), 2), min_column_width=340, gap="small", key="replay-sides")
    for number, part in enumerate(stage.parts):
        with grid.cell(), st.container(border=True, gap="small", key=f"replay-side-{number}"):
            _side(part, clock.position_s)


def _side(part: Part, position_s: float) -> None:
    recording, second = part.scene.recording, part.scene.second(position_s)
    progress = recording.progress(second)
    shape, colour = MARKS[part.strategy]
    st.markdown(f":{colour}[{shape}] **{format.literal(part.label)}** :gray[{format.literal(progress.phase)}]")
    done = f"{progress.images_done:,} of {format.count(progress.images_total, 'image')}"
    share = progress.images_done / progress.images_total if progress.images_total else 0.0
    st.progress(share, text=format.literal(f"{done} after {format.seconds(progress.elapsed_s)}"))
    figures = {
        "Images": f"{progress.images_done:,}",
        "Images/s": format.rate_number(recording.images_per_s(second)),
        "Model loads": f"{recording.model_loads(second):,}",
    }
    with st.grid(len(figures), min_column_width=96, gap="xsmall"):
        for label, value in figures.items():
            st.metric(label, format.literal(value), help=DEFINITIONS[label])


def _evidence(stage: Stage, clock: Clock) -> None:
    """Throughput and workers, as far as they had come."""
    if stage.throughput.chart is not None:
        widgets.show(_throughput_until(stage, clock), key="replay-throughput")
    for number, part in enumerate(stage.current(clock.position_s)):
        widgets.show(_timeline_until(part, clock.position_s), key=f"replay-timeline-{number}")


def _throughput_until(stage: Stage, clock: Clock) -> Figure:
    if clock.ended:
        return until(stage.throughput, math.inf, title=f"Recorded: {stage.throughput.title}")
    lines: dict[str, float] = {}
    for number, part in enumerate(stage.parts, start=1):
        recording, second = part.scene.recording, part.scene.second(clock.position_s)
        name = format.plain(part.label)
        # Where there are many, lines are numbered in the chart.
        for text in (name, f"{number}  {name}", str(number)):
            lines[text] = math.inf if recording.ended(second) else second
    # Lines are named at their ends, which they have not reached.
    names = words.joined([f"{MARKS[part.strategy][0]} {part.label}" for part in stage.parts])
    title = f"Recorded: images per second so far, {names}"
    return until(stage.throughput, clock.position_s, title=title, lines=lines)


def _timeline_until(part: Part, position_s: float) -> Figure:
    recording, second = part.scene.recording, part.scene.second(position_s)
    loads = recording.model_loads(second)
    times = "once" if loads == 1 else f"{loads:,} times"
    if recording.ended(second):
        return until(part.timeline, math.inf, title=f"Recorded: {part.label} loaded the model {times}")
    title = f"{part.label} has loaded the model {times} so far" if loads else f"{part.label} is setting up"
    return until(part.timeline, second, title=f"Recorded: {title}")


def _pictures(store: Store, part: Part, position_s: float) -> None:
    """The latest pictures of a run with their answers, the newest first."""
    moment = part.scene.recording.as_of(part.scene.second(position_s))
    st.markdown(f"**{format.literal(f'Recorded: the latest pictures of {part.label}')}**")
    latest = moment.predictions[-PICTURES:]
    if not latest:
        st.caption("None is done yet.")
        return
    config = moment.config
    widgets.gallery(store.home, config.dataset, latest[::-1], columns=PICTURES // 2, model=config.model)


# -- where it comes from -----------------------------------------------------------------------------------


def draw_origin(runs: Sequence[RunRecord]) -> None:
    """That this is a recording, of when, on which machine, and of what."""
    first = runs[0]
    machines = dict.fromkeys(chip(from_dict(run.hardware)) for run in runs if run.hardware)
    told = dict.fromkeys(
        f"{format.shortened(run.config.model, 40)} on {format.shortened(dataset_words(run.config.dataset), 40)}"
        for run in runs
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="replay-origin"):
        st.badge("recorded", icon=":material/history:", color="violet", help="Nothing is measured while this plays.")
        st.badge(format.literal(format.moment(first.started_at or first.created_at)), color="gray")
        for machine in machines or {"machine unknown": None}:
            st.badge(format.in_badge(machine), icon=":material/memory:", color="gray")
        for what in told:
            st.badge(format.in_badge(what), icon=":material/image:", color="gray")
