"""Runs, ladders, ratios, data sets, models and answers as lines of a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from inference import ladder
from inference.counting import ForwardCost
from inference.model_card import ModelCard
from inference.results import Prediction, RunRecord, metrics
from inference.store import RunSummary
from inference.survey import Range, Survey
from inference.wording import bytes_, percent, plain, significant


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


def survey_lines(dataset: str, found: Survey) -> Iterator[str]:
    """What a data set holds, then a line for each file that cannot be read or is passed over."""
    yield plain(dataset)
    facts = {
        "Images": f"{found.images:,}",
        "Size": bytes_(found.size_bytes),
        "Formats": _counted(found.formats),
        "Width": _range_words(found.widths),
        "Height": _range_words(found.heights),
        "Labels": _counted(found.labels) or "none",
        "Not readable": f"{len(found.unreadable):,} of the {found.looked_at:,} looked at",
        "Passed over": f"{found.num_skipped:,}",
    }
    for name, words in facts.items():
        yield f"  {name:13} {words or '–'}"
    for image_id, reason in found.unreadable:
        yield f"{plain(image_id)}  error: {plain(reason)}"
    for entry in found.skipped:
        yield f"{plain(entry.name)}  passed over: {plain(entry.reason)}"
    unnamed = found.num_skipped - len(found.skipped)
    if unnamed:
        yield f"and {unnamed:,} more passed over"


def survey_document(found: Survey) -> dict[str, object]:
    """The same as JSON types."""
    return asdict(found) | {
        "unreadable": [{"image_id": image_id, "reason": reason} for image_id, reason in found.unreadable]
    }


def model_lines(model: str, found: ModelCard, cost: ForwardCost) -> Iterator[str]:
    """What a model is and what one image costs it."""
    yield plain(model)
    pixels = cost.input_pixels or found.stated_pixels
    varies = ", which depends on the picture: this is for one of 500 × 375" if cost.input_varies else ""
    size = [] if found.weights_bytes is None else [bytes_(found.weights_bytes)]
    facts = {
        "Architecture": plain(found.architecture),
        "Parameters": "" if cost.parameters is None else f"{cost.parameters:,}",
        "GFLOP per image": _gflop_words(found, cost),
        "What it sees": f"{pixels[1]:,} × {pixels[0]:,} pixels, width × height{varies}" if pixels else "",
        "Labels": _label_words(found),
        "Weights": ", ".join([*size, *([found.precision] if found.precision else []), found.place]),
    }
    for name, words in facts.items():
        yield f"  {name:16} {words or '–'}"
    if cost.reason:
        yield f"  {'Not counted':16} {plain(cost.reason)}"


def _gflop_words(found: ModelCard, cost: ForwardCost) -> str:
    if cost.flops_per_image is None:
        return ""
    side = "; of the pictures' side" if found.compares_with_texts else ""
    return f"{significant(cost.flops_per_image / 1e9)}, a multiplication with its addition being two{side}"


def _label_words(found: ModelCard, most: int = 6) -> str:
    if found.compares_with_texts:
        return "those that you type (--labels)"
    first = ", ".join(plain(label.partition(",")[0]) for label in found.labels[:most])  # a label may be synonyms
    return f"{len(found.labels):,}: {first}{' …' if len(found.labels) > most else ''}"


def prediction_line(answer: Prediction) -> str:
    """What one image got; names and labels are foreign text, and must not steer a terminal."""
    if answer.status == "error":
        return f"{plain(answer.image_id)}  error: {plain(answer.reason or 'no reason given')}"
    judged = {True: "  right", False: f"  wrong, it is {plain(answer.truth)}", None: ""}[answer.correct]
    return f"{plain(answer.image_id)}  {plain(answer.label)} {percent(answer.score)}{judged}"


def _range_words(found: Range | None) -> str:
    return f"{found.least:,} to {found.most:,} pixels, {found.median:,} in the middle" if found else ""


def _counted(counts: Mapping[str, int], most: int = 12) -> str:
    """`JPEG 12, PNG 3`, the first few of them."""
    first = ", ".join(f"{plain(name)} {number:,}" for name, number in list(counts.items())[:most])
    return f"{first} and {len(counts) - most:,} more" if len(counts) > most else first
