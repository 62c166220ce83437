"""How speed goes with batch size and with concurrency here, from the runs that were made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import streamlit as st

from inference import scaling
from inference.config import RunConfig
from inference.hardware import Hardware, fingerprint, from_dict
from inference.preflight import check, default_config, reader_cpus
from inference.scaling import Measured, Setting
from inference.store import Store
from pages.ui import address, format, settings, state
from pages.ui.charts import FIT_WIDTH, LEFT_EXTENT, STRATEGY_SHAPES, Figure, colour_of, readable, tooltips
from pages.ui.widgets import show
from pages.ui.words import WORDS, summary_line

HEIGHT = 190
MOST_LINKS = 8
_FACTOR = 4
"""How many times as large, or as small, the batch size is that is offered to be tried."""


def draw(
    store: Store, config: RunConfig, *, hardware: Mapping[str, Any] | None = None, beside_form: bool = True
) -> None:
    """Steady images/s against batch size and concurrency, all else as in `config`; what to run where too little was.

    `hardware` is the description of the machine whose runs count, this one if not given. `beside_form` says that this
    is the Run page: its buttons set the form there, while elsewhere they are links to it.
    """
    here = state.hardware()
    machine = from_dict(hardware) if hardware is not None else here
    runs = scaling.similar(store.database, config, fingerprint(machine))
    st.caption(
        "From the finished runs on the same machine with the same model, images and options, whatever their strategy. "
        "Each point is the median of its runs, the line through it their range."
    )
    for axis in scaling.AXES:
        alike = scaling.along(axis, runs, config)
        found = scaling.settings(axis, alike)
        values = sorted({setting.value for setting in found})
        if len(values) > 1:
            _draw_axis(axis, found, alike, config)
        else:
            # Runs of this machine would add nothing to those of another.
            offered = missing(axis, values, config, here) if fingerprint(machine) == fingerprint(here) else None
            _draw_missing(axis, values, offered, beside_form=beside_form)


def _draw_axis(axis: str, found: Sequence[Setting], runs: Sequence[Measured], config: RunConfig) -> None:
    show(scaling_chart(axis, found, prefer=config.strategy, without_rate=_without_rate(runs)), key=f"scaling-{axis}")
    _draw_table(axis, found)


def _without_rate(runs: Sequence[Measured]) -> int:
    return sum(run.images_per_s is None for run in runs)


# -- the chart ---------------------------------------------------------------------------------------------


def scaling_chart(axis: str, found: Sequence[Setting], *, prefer: str, without_rate: int = 0) -> Figure:
    """One line per strategy over the values of `axis`, each point the median of its runs with their range.

    `prefer` is the strategy that the title is about, where it was run with two values; `without_rate` says how many
    runs had no steady rate.
    """
    rows = [_row(axis, setting) for setting in found]
    strategies = list(dict.fromkeys(setting.strategy for setting in found))
    return Figure(
        chart=readable(_chart(axis, rows, strategies)),
        title=_finding(axis, found, prefer),
        alt=_alt(axis, found),
        note=f"{format.count(without_rate, 'more run')} ended before a steady rate could be known."
        if without_rate
        else "",
    )


def _row(axis: str, setting: Setting) -> dict[str, Any]:
    return {
        "strategy": setting.strategy,
        "value": setting.value,
        "median": round(setting.median, 3),
        "low": round(setting.rates[0], 3),
        "high": round(setting.rates[-1], 3),
        "setting": f"{WORDS[axis]} {setting.value}",
        "runs": f"{len(setting.runs):,}",
        "rate": format.rate(setting.median),
        "range": _range_text(setting),
    }


def _range_text(setting: Setting) -> str:
    if len(setting.runs) == 1:
        return format.UNKNOWN
    return f"{format.rate_number(setting.rates[0])} to {format.rate_number(setting.rates[-1])}"


def _chart(axis: str, rows: list[dict[str, Any]], strategies: Sequence[str]) -> alt.LayerChart:
    values = sorted({row["value"] for row in rows})
    x = alt.X(
        "value:Q",
        title=f"{WORDS[axis]} ({'images' if axis == 'batch_size' else 'workers'})",
        # Doublings are equally far apart, with room for the outermost points.
        scale=alt.Scale(type="log", base=2, domain=[values[0] / 1.25, values[-1] * 1.25], nice=False),
        axis=alt.Axis(values=values, format="d"),
    )
    top = 1.1 * max(row["high"] for row in rows) or 1.0
    y = alt.Y(
        "median:Q",
        title="steady images/s",
        scale=alt.Scale(domain=[0, top], nice=False),
        axis=alt.Axis(minExtent=LEFT_EXTENT),
    )
    colours = alt.Scale(domain=strategies, range=[colour_of(strategy) for strategy in strategies])
    shapes = alt.Scale(domain=strategies, range=[STRATEGY_SHAPES.get(strategy, "circle") for strategy in strategies])
    legend = alt.Legend(orient="bottom", title=None, columns=alt.expr("max(2, min(4, floor(width / 90)))"))
    base = alt.Chart(alt.Data(values=tuple(rows))).encode(
        x=x,
        color=alt.Color("strategy:N", scale=colours, legend=legend),
        tooltip=tooltips(strategy="strategy", setting="setting", rate="median", range="range", runs="runs"),
    )
    points = base.mark_point(filled=True, size=80, opacity=1)
    return alt.layer(
        base.mark_rule(strokeWidth=2, opacity=0.7).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_line(strokeWidth=2).encode(y=y),
        points.encode(y=y, shape=alt.Shape("strategy:N", scale=shapes, legend=legend)),
    ).properties(height=HEIGHT, autosize=FIT_WIDTH)


def _finding(axis: str, found: Sequence[Setting], prefer: str) -> str:
    """Where the strategy is fastest, and whether the ranges of its runs leave that open."""
    lines: dict[str, list[Setting]] = {}
    for setting in found:
        lines.setdefault(setting.strategy, []).append(setting)
    long_enough = [strategy for strategy, line in lines.items() if len(line) > 1]
    if not long_enough:
        return f"Steady speed by {WORDS[axis]}: each strategy was run with one only"
    strategy = prefer if prefer in long_enough else long_enough[-1]
    best = max(lines[strategy], key=lambda setting: setting.median)
    sentence = f"{strategy} is fastest with {WORDS[axis]} {best.value}: {format.rate(best.median)}"
    rivals = [str(other.value) for other in lines[strategy] if other is not best and other.rates[-1] >= best.rates[0]]
    return f"{sentence}, but runs with {' or '.join(rivals)} reached as much" if rivals else sentence


def _alt(axis: str, found: Sequence[Setting]) -> str:
    parts = [
        f"{setting.strategy} with {WORDS[axis]} {setting.value}: {format.rate(setting.median)} "
        f"({format.count(len(setting.runs), 'run')})"
        for setting in found
    ]
    return f"Steady images per second by {WORDS[axis]}. {'; '.join(parts)}."


# -- the runs behind it ------------------------------------------------------------------------------------


def _draw_table(axis: str, found: Sequence[Setting]) -> None:
    chosen = st.dataframe(
        [
            {
                "strategy": setting.strategy,
                "value": setting.value,
                "median": setting.median,
                "low": setting.rates[0],
                "high": setting.rates[-1],
                "runs": len(setting.runs),
            }
            for setting in found
        ],
        hide_index=True,
        column_config=_columns(axis),
        height=min(38 + 35 * len(found), 260),
        # A selection is by position, so it must not outlive the rows it was made on.
        key=f"scaling-table-{axis}-{len(found)}-{found[0].runs[0].run_id}",
        on_select="rerun",
        selection_mode="single-row",
        alt=f"Strategy, {WORDS[axis]}, median, lowest and highest steady images/s, and number of runs.",
    )
    for place in chosen.selection.rows:
        if place < len(found):
            _draw_runs(found[place])


def _columns(axis: str) -> dict[str, Any]:
    column = st.column_config
    return {
        "strategy": column.TextColumn("Strategy"),
        "value": column.NumberColumn(format.sentence_case(WORDS[axis])),
        "median": column.NumberColumn("Steady images/s", format="%.3g", help="Median of the runs."),
        "low": column.NumberColumn("Lowest", format="%.3g"),
        "high": column.NumberColumn("Highest", format="%.3g"),
        "runs": column.NumberColumn("Runs", help="Select a row to see them."),
    }


def _draw_runs(setting: Setting) -> None:
    """The way to the newest runs behind a point."""
    for run in setting.runs[:MOST_LINKS]:
        st.page_link(
            "pages/run.py",
            label=format.literal(
                f"{format.rate(run.images_per_s)} · {format.moment(run.created_at)} · {run.run_id[:6]}"
            ),
            query_params={"run": run.run_id},
        )
    if len(setting.runs) > MOST_LINKS:
        st.caption(f"{format.count(len(setting.runs) - MOST_LINKS, 'older run')} not listed.")


# -- what to run -------------------------------------------------------------------------------------------


def _draw_missing(axis: str, values: Sequence[int], offered: Sequence[RunConfig] | None, *, beside_form: bool) -> None:
    """What was run so far, and the way to what is missing; None where that is to be run on another machine."""
    so_far = f"only {WORDS[axis]} {values[0]} was run" if values else "no run had a steady rate"
    if offered is None:
        advice = "It was another machine: to see what it changes, run others there."
    else:
        advice = "Run one of these to see what it changes." if offered else "No other value fits this machine."
    st.markdown(f"**Steady speed by {WORDS[axis]}**")
    st.caption(f"With these settings {so_far}. {advice}")
    with st.container(horizontal=True, gap="small"):
        for other in offered or ():
            if not beside_form:
                st.page_link(
                    "pages/run.py",
                    label=f"Run with {WORDS[axis]} {getattr(other, axis)}",
                    icon=":material/tune:",
                    query_params=address.query(other, default_config(state.hardware())),
                )
            elif st.button(
                f"Set {WORDS[axis]} {getattr(other, axis)}",
                key=f"scaling-{axis}-{getattr(other, axis)}",
                icon=":material/tune:",
                help=format.literal(summary_line(other)),
                on_click=settings.apply,
                args=(other,),
            ):
                st.rerun()  # the settings are drawn outside of this fragment


def missing(axis: str, values: Sequence[int], config: RunConfig, machine: Hardware) -> list[RunConfig]:
    """Up to two configurations that would tell what `axis` changes, and that fit this machine."""
    here = getattr(config, axis)
    if axis == "batch_size":
        wanted = [here, here * _FACTOR, here // _FACTOR]
        # A steady rate needs a second batch in every worker.
        most = config.limit // (2 * config.concurrency)
        found = [config.with_(batch_size=n) for n in wanted if n <= most and n in settings.BATCH_SIZES]
    else:
        wanted = [here, here * 2, here // 2]
        found = [with_workers(config, n, machine) for n in wanted if 1 <= n <= machine.cpus]
    return [other for other in found if getattr(other, axis) not in values and check(other, machine).fits][:2]


def with_workers(config: RunConfig, workers: int, machine: Hardware) -> RunConfig:
    """The same with so many workers, of as many threads as before, each with its share of the CPUs that there are."""
    other = config.with_(concurrency=workers)
    if check(other, machine).fits:
        return other
    free_cpus = machine.cpus - reader_cpus(machine) * config.decoders
    share = max(0.1, math.floor(100 * free_cpus / workers) / 100)
    return other.with_(cpus_per_worker=share, threads=config.threads_per_worker)
