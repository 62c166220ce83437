"""The ladder as a page shows it: measured once, its bars, its sentences, its table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from inference.capabilities import best_dtype, missing_for
from inference.config import BACKENDS, RunConfig
from inference.hardware import Hardware
from inference.ladder import Ladder, Rung, climbed, described
from inference.results import Speedup
from inference.store import RunSummary, Store
from pages.ui import format, limit
from pages.ui.charts import Figure
from pages.ui.comparison import interval_text
from pages.ui.waterfall import Bar, waterfall_chart


def measured(store: Store, run_ids: Sequence[str]) -> Ladder | None:
    """The ladder that these runs climbed, under the highest limit that is known; None until two steps are done."""
    found = _climbed(str(store.home), tuple(run_ids))
    if found is None:
        return None
    return replace(found, limit=limit.highest(store, [rung.median for rung in found.rungs]))


@st.cache_resource(max_entries=4, show_spinner="Reading the runs")
def _climbed(home: str, run_ids: tuple[str, ...]) -> Ladder | None:
    """Kept, because a run that has ended never changes; the limit may, so it is not part of it."""
    store = Store(Path(home))
    return climbed([record for run_id in run_ids if (record := store.get(run_id)) is not None])


def names_of(runs: Sequence[RunSummary]) -> Mapping[RunConfig, str]:
    """The name of the step that each configuration of a ladder is."""
    configs = list(dict.fromkeys(run.config for run in sorted(runs, key=lambda run: run.seq)))
    return {step.config: step.name for step in described(configs)}


# -- which steps there are ---------------------------------------------------------------------------------


def left_out(config: RunConfig, hardware: Hardware) -> list[str]:
    """The steps that this machine does not have, each with the reason; plain text."""
    on_gpu = config.gpus_per_worker > 0
    reasons = {name: missing_for(name, hardware, on_gpu=on_gpu) for name in BACKENDS}
    sentences = [f"{name}: {reason}" for name, reason in reasons.items() if reason is not None]
    if best_dtype(hardware) == "float32":
        sentences.insert(0, "lower precision: this machine has no instructions for one that are known to be fast")
    return sentences


# -- while it is climbed -----------------------------------------------------------------------------------


def rates_so_far(runs: Sequence[RunSummary]) -> dict[RunConfig, float | None]:
    """Steady images/s of every step, the middle one of the repeats that are done; None until one is."""
    rates: dict[RunConfig, list[float]] = {run.config: [] for run in sorted(runs, key=lambda run: run.seq)}
    for run in runs:
        if run.state == "finished" and run.metrics is not None and run.metrics.steady_images_per_s is not None:
            rates[run.config].append(run.metrics.steady_images_per_s)
    return {config: statistics.median_low(known) if known else None for config, known in rates.items()}


def figure_so_far(runs: Sequence[RunSummary]) -> Figure:
    """The waterfall of the steps that have been measured; from what is kept beside runs, so it costs little."""
    names = names_of(runs)
    bars: list[Bar] = []
    for config, rate in rates_so_far(runs).items():
        if rate is None:
            continue
        previous = bars[-1].rate if bars else 0.0
        label = f"× {format.ratio_number(rate / previous)}" if previous else format.rate(rate)
        bars.append(Bar(name=names[config], strategy=config.strategy, rate=rate, previous=previous, label=label))
    return waterfall_chart(bars, title="Steady images/s, step by step, as they are measured")


# -- the answer --------------------------------------------------------------------------------------------


def figure(ladder: Ladder) -> Figure:
    """The waterfall of all steps, the best one as the total."""
    bars: list[Bar] = []
    for rung in ladder.rungs:
        rate = rung.steady_images_per_s
        if rate is None:
            continue
        bars.append(
            Bar(
                name=rung.step.name,
                strategy=rung.step.config.strategy,
                rate=rate,
                previous=bars[-1].rate if bars else 0.0,
                label=_label(rung),
                change=rung.step.change,
                interval=times_text(rung.versus_previous),
            )
        )
    rate = ladder.limit.images_per_s if ladder.limit else None
    return waterfall_chart(bars, total=_total(ladder), limit=rate, title=_finding(ladder))


def _label(rung: Rung) -> str:
    found = rung.versus_previous
    words = format.rate(rung.steady_images_per_s)
    if found is not None:
        words = "tie" if found.tie else f"× {format.ratio_number(found.ratio)}"
    return words if rung.agrees else f"{words}, answers differ"


def _total(ladder: Ladder) -> Bar | None:
    best = ladder.best
    rate = best.steady_images_per_s
    if rate is None or best.versus_first is None:
        return None
    label = f"{format.rate(rate)}, × {format.ratio_number(best.versus_first.ratio)}"
    change = f"every step up to {best.step.name}"
    return Bar(name="", strategy=best.step.config.strategy, rate=rate, label=label, change=change)


def _finding(ladder: Ladder) -> str:
    gains = [rung for rung in ladder.rungs if rung.versus_previous is not None and rung.agrees]
    largest = max(gains, key=lambda rung: _ratio(rung), default=None)
    if largest is None or _ratio(largest) <= 1:
        return "No step makes it faster here"
    return f"The largest step is {largest.step.name}: {format.ratio(_ratio(largest))} as fast as before it"


def _ratio(rung: Rung) -> float:
    return rung.versus_previous.ratio if rung.versus_previous else 0.0


def times_text(found: Speedup | None) -> str:
    """`× 1.80, 95 %: 1.60 to 2.00`; a dash for none."""
    if found is None:
        return format.UNKNOWN
    return f"× {format.ratio_number(found.ratio)}, {interval_text(found)}"


def sentence_of(rung: Rung, before: Rung | None) -> str:
    """What one step bought, in plain words; plain text."""
    if before is None:
        return f"{rung.step.change}: {format.rate(rung.steady_images_per_s)} to start from."
    return f"{rung.step.change}: {_bought(rung.versus_previous, before.step.name)}.{_differs(rung)}"


def _bought(found: Speedup | None, before: str) -> str:
    if found is None:
        return "too few images to tell what it bought"
    if found.tie:
        return f"no difference from {before} that can be told from chance ({times_text(found)})"
    interval = interval_text(found)
    if found.ratio > 1:
        return f"{format.ratio(found.ratio)} as fast as {before} ({interval})"
    return f"slower than {before} here: {format.ratio(found.ratio)} as fast ({interval})"


def _differs(rung: Rung) -> str:
    if rung.agrees or rung.agreement is None:
        return ""
    agreed = f"{rung.agreement.agree:,} of {format.count(rung.agreement.images, 'image')}"
    return f" Its answers agree with the first step's on {agreed} only, so it is not recommended."


def table(ladder: Ladder) -> list[dict[str, Any]]:
    """One row per step."""
    return [
        {
            "step": rung.step.name + ("  (best)" if rung is ladder.best else ""),
            "change": rung.step.change,
            "steady": rung.steady_images_per_s,
            "previous": "tie, " * _tied(rung) + times_text(rung.versus_previous),
            "setup_s": rung.metrics.setup_s,
            "agreement": None if rung.agreement is None else _percent(rung.agreement.share),
            "memory": format.bytes_(rung.metrics.peak_worker_memory_bytes),
        }
        for rung in ladder.rungs
    ]


def _tied(rung: Rung) -> bool:
    return rung.versus_previous is not None and rung.versus_previous.tie


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
