"""How busy the machine was while a run went, band under band on the time axis of the workers' timeline."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from inference.results import MACHINE, Sample
from inference.usage import Use, even_edges, gpu_lanes, mean_busy, use_over_time, worker_use_over_time
from pages.ui import format
from pages.ui.charts import FIT_WIDTH, LEFT_EXTENT, TEXT_COLOUR, Figure, colour_of, readable, time_axis, tooltips

MOST_GPUS = 4
"""Of more GPUs than this the rest is only counted."""
NOTHING = "How busy the machine was"
MEMORY = "memory in use"
_CPU_HEIGHT, _OTHER_HEIGHT, _GAP = 84, 44, 24
_ALL, _WORKERS = "everything on this machine", "this run's workers"
_ALL_FILL = "#8A9096"
_OPACITY = {_ALL: 0.35, _WORKERS: 0.75}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One quantity over time: (when its stretch ended, its share of the band's full height)."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Band:
    """One strip of the chart, from zero to what there is."""

    title: str
    full: str
    """What its upper edge stands for, with the unit."""
    height: int
    lines: Sequence[_Line]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Used:
    """All that is known of one run's use, up to the end of its time axis."""

    machine: Sequence[Use]
    workers: Sequence[Use]
    gpus: Mapping[str, Sequence[Use]]

    @property
    def main(self) -> Sequence[Use]:
        return self.machine or self.workers


def usage_chart(
    samples: Sequence[Sample],
    *,
    hardware: Mapping[str, Any] | None,
    until_s: float,
    strategy: str,
    title: str | None = None,
    from_s: float = 0.0,
) -> Figure:
    """Cores busy with the workers' share of them, memory in use and each GPU, from `from_s` to `until_s`.

    `hardware` is that of the run's record. A run without samples of the machine shows what its workers used.
    """
    machine = _between(use_over_time(samples, MACHINE), from_s, until_s)
    used = _Used(
        machine=machine,
        # Along the machine's own stretches: along others, the workers would at times seem to use more than all did.
        workers=worker_use_over_time(samples, [use.at_s for use in machine] or even_edges(until_s, from_s)),
        gpus={lane: _between(use_over_time(samples, lane), from_s, until_s) for lane in gpu_lanes(samples)},
    )
    if not used.main:
        return Figure(
            chart=None, title=title or NOTHING, alt="No samples of the machine or of the workers were kept so far."
        )
    known = hardware or {}
    cores = _cores(known, used.main)
    chart = _chart(_bands(used, known, cores), _columns(used, cores), (from_s, until_s), strategy)
    finding = _finding(used, cores)
    alt_text = _alt(used, finding, until_s - from_s)
    return Figure(chart=readable(chart), title=title or finding, alt=alt_text, note=_note(used))


def _between(uses: Sequence[Use], from_s: float, until_s: float) -> list[Use]:
    """The stretches from `from_s` to `until_s`; those that reach beyond are cut off there."""
    moments = [use.at_s for use in uses]
    first = bisect.bisect_right(moments, from_s) if from_s > 0 else 0
    last = bisect.bisect_left(moments, until_s)
    kept = [*uses[first:last], *(use._replace(at_s=until_s) for use in uses[last : last + 1])]
    if first > 0 and kept:
        kept.insert(0, Use(from_s, kept[0].busy, uses[first - 1].memory_bytes))
    return kept if len(kept) > 1 else []


def _cores(hardware: Mapping[str, Any], uses: Sequence[Use]) -> float:
    """How many cores there are, or at least must be."""
    known = hardware.get("cpu_limit") or hardware.get("cpus")
    return max(float(known or 1.0), *(1.0 if known else math.ceil(use.busy) for use in uses))


def _bands(used: _Used, hardware: Mapping[str, Any], cores: float) -> list[_Band]:
    top = max(cores, *(use.busy for use in used.main))
    lines = {_ALL: used.machine, _WORKERS: used.workers}
    memory_bytes = max(int(hardware.get("memory_bytes") or 0), *(use.memory_bytes for use in used.main))
    bands = [
        _Band(
            title="cores busy",
            full=_cores_text(top),
            height=_CPU_HEIGHT,
            lines=[
                _Line(name=name, points=[(use.at_s, use.busy / top) for use in uses]) for name, uses in lines.items()
            ],
        ),
        _memory_band(MEMORY if used.machine else "memory of the workers", used.main, memory_bytes, bool(used.machine)),
    ]
    for lane, uses in list(used.gpus.items())[:MOST_GPUS]:
        share = _Line(name=_ALL, points=[(use.at_s, min(1.0, use.busy)) for use in uses])
        bands.append(_Band(title=f"{_gpu_name(lane)} busy", full="100 %", height=_OTHER_HEIGHT, lines=[share]))
        bands.append(_memory_band(f"{_gpu_name(lane)} memory", uses, _gpu_memory(lane, hardware, uses), True))
    return bands


def _memory_band(title: str, uses: Sequence[Use], full_bytes: int, everybodys: bool) -> _Band:
    points = [(use.at_s, use.memory_bytes / max(1, full_bytes)) for use in uses]
    line = _Line(name=_ALL if everybodys else _WORKERS, points=points)
    return _Band(title=title, full=format.bytes_(full_bytes), height=_OTHER_HEIGHT, lines=[line])


def _gpu_name(lane: str) -> str:
    return lane.replace("gpu", "GPU")


def _gpu_memory(lane: str, hardware: Mapping[str, Any], uses: Sequence[Use]) -> int:
    """What the GPU has, where the record knows it, else the most that was in use."""
    of_all = {f"gpu {gpu.get('index')}": int(gpu.get("memory_bytes") or 0) for gpu in hardware.get("gpus") or ()}
    return max(of_all.get(lane, 0), *(use.memory_bytes for use in uses))


def _chart(
    bands: Sequence[_Band], columns: list[dict[str, Any]], ends_s: tuple[float, float], strategy: str
) -> alt.LayerChart:
    """Every band at its height on one numeric axis, so that the plot is as wide as the timeline above it."""
    total = sum(band.height + _GAP for band in bands)
    rows: list[dict[str, Any]] = []
    names: list[dict[str, Any]] = []
    labels: dict[float, str] = {}
    base = float(total)
    for band in bands:
        base -= band.height + _GAP
        labels |= {base: "0", base + band.height: band.full}
        names.append({"time_s": ends_s[0], "y": base + band.height, "name": band.title})
        rows += [
            {
                "time_s": round(at_s, 3),
                "low": base,
                "high": round(base + band.height * min(1.0, share), 2),
                "who": line.name,
            }
            | {"band": band.title}
            for line in band.lines
            for at_s, share in line.points
        ]
    texts = "{" + ", ".join(f"'{at:g}': '{text}'" for at, text in labels.items()) + "}"
    x = time_axis("time_s", ends_s[1], ends_s[0])
    axis = alt.Axis(
        values=list(labels),
        labelExpr=f"{texts}[toString(datum.value)]",
        labelOverlap=False,
        ticks=False,
        minExtent=LEFT_EXTENT,
    )
    y = alt.Y("high:Q", title="in use", axis=axis, scale=alt.Scale(domain=[0, total], nice=False))
    shown = [who for who in (_ALL, _WORKERS) if any(row["who"] == who for row in rows)]
    colours = alt.Scale(domain=shown, range=[_ALL_FILL if who == _ALL else colour_of(strategy) for who in shown])
    layers = [_areas([row for row in rows if row["who"] == who], _OPACITY[who], colours, x, y) for who in shown]
    names_at = alt.Chart(alt.Data(values=tuple(names))).mark_text(
        align="left", baseline="bottom", dx=2, dy=-4, color=alt.expr(TEXT_COLOUR), fontWeight=600
    )
    layers.append(names_at.encode(x=x, y=alt.Y("y:Q"), text="name:N"))
    layers.append(_hover(columns, total))
    return alt.layer(*layers).properties(height=total, autosize=FIT_WIDTH)


def _areas(rows: list[dict[str, Any]], opacity: float, colours: alt.Scale, x: alt.X, y: alt.Y) -> alt.Chart:
    legend = alt.Legend(orient="bottom", title=None, columns=alt.expr("width < 360 ? 1 : 2"), labelLimit=240)
    return (
        alt.Chart(alt.Data(values=tuple(rows)))
        .mark_area(interpolate="step-before", line={"strokeWidth": 1.5}, fillOpacity=opacity)
        .encode(
            x=x,
            y=y,
            y2="low:Q",  # the line lies on `y`
            detail="band:N",
            color=alt.Color("who:N", scale=colours, legend=legend),
        )
    )


def _columns(used: _Used, cores: float) -> list[dict[str, Any]]:
    """What stands in the tooltip of each stretch."""
    columns = []
    for start, end in zip(used.main, used.main[1:], strict=False):
        middle_s = (start.at_s + end.at_s) / 2
        workers = _in_use(used.workers, middle_s)
        column = {
            "from_s": round(start.at_s, 3),
            "to_s": round(end.at_s, 3),
            "when": f"{format.seconds(start.at_s)} to {format.seconds(end.at_s)}",
            "cores": f"{_amount(end.busy)} of {_cores_text(cores)}" if used.machine else format.UNKNOWN,
            "workers": _amount(workers.busy) if workers else format.UNKNOWN,
            "memory": format.bytes_(end.memory_bytes),
        }
        for lane, uses in list(used.gpus.items())[:MOST_GPUS]:
            at = _in_use(uses, middle_s)
            column[lane] = f"{format.percent(at.busy)}, {format.bytes_(at.memory_bytes)}" if at else format.UNKNOWN
        columns.append(column)
    return columns


def _in_use(uses: Sequence[Use], at_s: float) -> Use | None:
    """The stretch that this moment lies in; None before the first and after the last."""
    place = bisect.bisect_left([use.at_s for use in uses], at_s)
    return uses[place] if 0 < place < len(uses) else None


def _hover(columns: list[dict[str, Any]], total: float) -> alt.Chart:
    """Unseen columns over all bands, so that one tooltip tells all that happened at a moment."""
    told = {"when": "time", "cores": "cores busy", "workers": "by the workers", "memory": MEMORY}
    told |= {name: _gpu_name(name) for name in columns[0] if name.startswith("gpu")} if columns else {}
    return (
        alt.Chart(alt.Data(values=tuple(columns)))
        .mark_rect(opacity=0)
        .encode(x="from_s:Q", x2="to_s:Q", y=alt.value(0), y2=alt.value(total), tooltip=tooltips(**told))
    )


def _finding(used: _Used, cores: float) -> str:
    workers = mean_busy(used.workers)
    if not used.machine:
        return f"The workers kept {_amount(workers)} of {_cores_text(cores)} busy on average"
    busy = mean_busy(used.machine) or 0.0
    sentence = f"Of {_cores_text(cores)}, {_amount(busy)} {'was' if busy <= 1 else 'were'} busy on average"
    if workers is not None:
        sentence += f", {_amount(workers)} with this run's workers"
    shares = [share for share in map(mean_busy, used.gpus.values()) if share is not None]
    if shares:
        who = "the GPU was" if len(shares) == 1 else f"{len(shares)} GPUs were"
        sentence += f"; {who} busy for {format.percent(sum(shares) / len(shares))} of the time"
    return sentence


def _alt(used: _Used, finding: str, until_s: float) -> str:
    most_bytes = max(use.memory_bytes for use in used.main)
    whose = "Memory in use" if used.machine else "Memory of the workers"
    parts = [
        f"Machine use over {format.seconds(until_s)}. {finding}. "
        f"At most {_amount(max(use.busy for use in used.main))} cores were busy. {whose}: at most "
        f"{format.bytes_(most_bytes)}."
    ]
    for lane, uses in used.gpus.items():
        if uses:
            parts.append(f"{_gpu_name(lane)}: at most {format.bytes_(max(use.memory_bytes for use in uses))} in use.")
    return " ".join(parts)


def _note(used: _Used) -> str:
    parts = []
    if not used.machine:
        parts.append("This run has no samples of the machine, only those that its workers took of themselves.")
    elif used.workers:
        parts.append(
            "Workers are the processes that read, decode or run the model; "
            "the rest is Ray, the system and other programs."
        )
    if len(used.gpus) > MOST_GPUS:
        parts.append(f"{format.count(len(used.gpus) - MOST_GPUS, 'more GPU')} not drawn.")
    return " ".join(parts)


def _amount(cores: float | None) -> str:
    if cores is None:
        return format.UNKNOWN
    return f"{cores:.1f}" if cores == 0 or cores >= 0.05 else "<0.1"


def _cores_text(cores: float) -> str:
    return "1 core" if cores == 1 else f"{round(cores, 1):g} cores"
