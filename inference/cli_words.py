"""Runs, ladders and ratios as lines of a terminal."""

from __future__ import annotations

import time

from inference import ladder
from inference.results import RunRecord, metrics
from inference.store import RunSummary


def run_sentence(run: RunRecord) -> str:
    """A run in one line: what it was, and how fast or why not."""
    what = f"{run.id}  {run.config.strategy} · {run.config.model} · {run.config.dataset}"
    if run.state != "finished":
        return f"{what}: {run.state}. {run.error or ''}".rstrip()
    figures = metrics(run)
    right = f" · {figures.accuracy:.0%} right" if figures.accuracy is not None else ""
    return (
        f"{what}: {figures.images} images in {figures.total_s:.1f} s = {figures.images_per_s:.3g} images/s"
        f" · {figures.model_loads} model loads, {figures.model_load_s:.1f} s · {figures.errors} errors{right}"
    )


def rung_sentence(rung: ladder.Rung) -> str:
    """A step of a ladder in one line."""
    figures = rung.metrics
    words = f"{rung.step.name:14} {rung.steady_images_per_s or 0:8.3g} images/s steady, set-up {figures.setup_s:.1f} s"
    step = rung.versus_previous
    if step is not None:
        tie = ", a tie" if step.tie else ""
        words += f"  {step.ratio:.2f} × the step before ({step.low:.2f} to {step.high:.2f}{tie})"
    if rung.agreement is not None and rung.agreement.share is not None:
        words += f"  {rung.agreement.share:.0%} same answers"
    return f"{words}  {rung.step.change}"


def ratio_sentence(strategy: str, baseline: str, ratio: dict[str, float] | None, agreement: float | None) -> str:
    """How two strategies compare, as `report.comparison_document` has it."""
    if ratio is None:
        return f"{strategy} and {baseline} cannot be compared: one of them has no results."
    tie = " (a tie: the interval includes 1)" if ratio["low"] <= 1 <= ratio["high"] else ""
    agreed = f"; answers agree on {agreement:.0%} of the images" if agreement is not None else ""
    interval = f"95 %: {ratio['low']:.2g} to {ratio['high']:.2g}"
    return f"{strategy} is {ratio['ratio']:.2g} × as fast as {baseline} ({interval}){tie}{agreed}."


def summary_line(summary: RunSummary) -> str:
    """A run as the history lists it."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(summary.created_at))
    speed = summary.metrics.images_per_s if summary.metrics else None
    figures = f"{speed:.3g} images/s" if speed is not None else "–"
    config = summary.config
    return (
        f"{summary.id}  {when}  {summary.state:10} {config.strategy:10} {config.model} · {config.dataset}"
        f" · {config.limit} images · batch {config.batch_size} × {config.concurrency}  {figures}"
    )


def summary_document(summary: RunSummary) -> dict[str, object]:
    """The same as JSON types."""
    figures = summary.metrics
    return {
        "id": summary.id,
        "state": summary.state,
        "created_at": summary.created_at,
        "comparison_id": summary.comparison_id,
        "config": summary.config.to_dict(),
        "images_per_s": figures.images_per_s if figures else None,
        "error": summary.error,
    }
