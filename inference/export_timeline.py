"""What each process did when, and how busy the processors were, as charts for a page without scripts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from inference.export_charts import PHASE_WORDS, Line, lines_chart, phase_legend
from inference.export_svg import BOTTOM, Chart, escaped, svg, text, time_axis
from inference.lanes import SETUP, Bar, bars, lane_names
from inference.results import RunRecord, Span
from inference.usage import mean_busy, use_over_time
from inference.wording import count, seconds, significant

MAX_LANES = 8
"""Lanes that are drawn; the others are counted."""
SLOTS = 225
"""Slots of time where work is finer than that: four pixels of the wide drawing."""

_LEFT, _RIGHT, _LANE = 78, 16, 26
_THICKNESS = {"load": 0.92, "import": 0.92, "warmup": 0.92, "wait": 0.28}
_OTHER_THICKNESS = 0.6


def timeline_chart(spans: Sequence[Span], *, title: str, until_s: float = 0.0) -> Chart | None:
    """One lane per process: loading stands out, waiting is hollow; None without spans.

    `until_s` widens the time axis, so that several timelines share one scale.
    """
    if not spans:
        return None
    names = lane_names(spans)
    shown = list(names)[:MAX_LANES]
    drawn, _ = bars([span for span in spans if span.worker in set(shown)], slots=SLOTS)
    end_s = max(until_s, *(bar.end_s for bar in drawn))
    alt = f"Timeline of {count(len(names), 'lane')} over {seconds(max(span.end_s for span in spans))}. {title}."

    def draw(width: int) -> str:
        bottom = 4 + _LANE * len(shown)
        right = width - _RIGHT

        def x(time_s: float) -> float:
            return round(_LEFT + time_s / end_s * (right - _LEFT), 1)

        parts = time_axis(end_s, x, right, bottom, "seconds since the run began", grid_top=2)
        for number, lane in enumerate(shown):
            top = 4 + _LANE * number
            parts.append(text(_LEFT - 8, top + _LANE / 2 + 4, names[lane], "tick", "end"))
            of_lane = [bar for bar in drawn if bar.lane == lane]
            parts += [_marks(names[lane], phase, group, x, top) for phase, group in _by_phase(of_lane).items()]
        return svg(width, bottom + BOTTOM, title, alt, parts)

    return Chart(title=title, alt=alt, draw=draw, legend=phase_legend({bar.phase for bar in drawn}))


def timeline_note(spans: Sequence[Span]) -> str:
    """What the timeline of these spans leaves out, in sentences; empty if nothing."""
    if not spans:
        return ""
    names = lane_names(spans)
    shown = set(list(names)[:MAX_LANES])
    notes = []
    if len(names) > len(shown):
        notes.append(f"{count(len(names) - len(shown), 'more lane')} not drawn.")
    _, slot_s = bars([span for span in spans if span.worker in shown], slots=SLOTS)
    if slot_s is not None:
        notes.append(f"Work shorter than {seconds(slot_s)} is drawn as what took most of that time.")
    return " ".join(notes)


def busy_chart(runs: Sequence[tuple[str, RunRecord]]) -> tuple[Chart | None, str]:
    """CPUs that were busy over time for each (label, run), and a remark; no chart where none was sampled."""
    uses = {label: use_over_time(run.samples) for label, run in runs}
    drawn = [(label, run) for label, run in runs if uses[label]]
    numbers = {(run.hardware or {}).get("cpus") for _, run in drawn}
    cpus = numbers.pop() if len(numbers) == 1 else None
    chart = lines_chart(
        [
            Line(label=label, strategy=run.config.strategy, points=[(use.at_s, use.busy) for use in uses[label]])
            for label, run in drawn
        ],
        title=_busy_title([(label, mean_busy(uses[label])) for label, _ in drawn]),
        unit="CPUs busy",
        of="busy CPUs",
        written=lambda busy: f"{significant(busy, 2)} CPUs",
        most=cpus,
        most_words=f"all {count(cpus, 'CPU')}" if cpus else "",
    )
    return chart, "Of the whole machine, whatever used them."


def _busy_title(means: Sequence[tuple[str, float | None]]) -> str:
    """How many processors were busy in the mean, in a few words."""
    parts = [f"{label} {significant(busy, 2)}" for label, busy in means[:3] if busy is not None]
    return f"CPUs busy in the mean: {', '.join(parts)}" if parts else "CPUs busy over time"


def _by_phase(drawn: Sequence[Bar]) -> dict[str, list[Bar]]:
    """The marks of a lane by phase; what is paid once lies on top of what was rounded to slots."""
    groups: dict[str, list[Bar]] = defaultdict(list)
    for bar in sorted(drawn, key=lambda bar: bar.phase in SETUP):
        groups[bar.phase].append(bar)
    return groups


def _marks(lane: str, phase: str, group: Sequence[Bar], x: Callable[[float], float], top: float) -> str:
    """All marks of one phase in a lane as one path, which says on hover what they amount to."""
    height = round(_LANE * _THICKNESS.get(phase, _OTHER_THICKNESS), 1)
    y = round(top + (_LANE - height) / 2, 1)
    path = "".join(
        f"M{x(bar.start_s):g} {y:g}h{max(0.6, x(bar.end_s) - x(bar.start_s)):.1f}v{height:g}H{x(bar.start_s):g}Z"
        for bar in group
    )
    spent = seconds(sum(bar.end_s - bar.start_s for bar in group))
    times = f", {len(group):,} times" if phase == "load" and len(group) > 1 else ""
    hover = f"{lane}: {PHASE_WORDS.get(phase, phase)} {spent}{times}"
    return f'<path class="phase {escaped(phase)}" d="{path}"><title>{escaped(hover)}</title></path>'
