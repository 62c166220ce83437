"""A run or a comparison as plain data, for documents that leave the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from inference.hardware import fingerprint, from_dict
from inference.ladder import Ladder, Rung
from inference.limits import Limit, LimitKey
from inference.parity import agreement
from inference.results import Prediction, RunRecord, metrics, speedup
from inference.wording import significant


def document(record: RunRecord) -> dict[str, Any]:
    """One run as JSON types: `id, state, config, hardware, metrics, predictions, error`."""
    return {
        "id": record.id,
        "state": record.state,
        "config": record.config.to_dict(),
        "hardware": dict(record.hardware) if record.hardware is not None else None,
        "metrics": asdict(metrics(record)),
        "predictions": [_prediction(prediction) for prediction in record.predictions],
        "error": record.error,
    }


def comparison_document(runs: Sequence[RunRecord]) -> dict[str, Any]:
    """Runs of two or more strategies, with speed-up and agreement against the first run's strategy."""
    by_strategy = grouped_by_strategy(runs)
    baseline = next(iter(by_strategy.values()))
    speedups, parity = {}, {}
    for strategy, repeats in list(by_strategy.items())[1:]:
        ratio = speedup(baseline, repeats)
        agreed = agreement(baseline[0], repeats[0])
        speedups[strategy] = asdict(ratio) if ratio else None
        parity[strategy] = {"agreement": agreed.share, "max_score_difference": agreed.max_score_difference}
    return {"runs": [document(run) for run in runs], "speedup": speedups, "parity": parity}


def ladder_document(ladder: Ladder | None, runs: Sequence[RunRecord]) -> dict[str, Any]:
    """Every step with what it bought, `{"steps", "limit", "best", "sentence", "runs"}`; None where nothing finished.

    Ratios are of the steady state; agreement is with the first step.
    """
    return {
        "steps": [_rung(rung) for rung in ladder.rungs] if ladder else [],
        "limit": _limit_figures(ladder.limit) if ladder and ladder.limit else None,
        "best": ladder.best.step.name if ladder else None,
        "sentence": ladder.sentence if ladder else None,
        "runs": [document(run) for run in runs],
    }


def _rung(rung: Rung) -> dict[str, Any]:
    figures, agreed = rung.metrics, rung.agreement
    return {
        "name": rung.step.name,
        "change": rung.step.change,
        "config": rung.step.config.to_dict(),
        "repeats": len(rung.runs),
        "images_per_s": figures.images_per_s,
        "steady_images_per_s": rung.steady_images_per_s,
        "setup_s": figures.setup_s,
        "peak_worker_memory_bytes": figures.peak_worker_memory_bytes,
        "versus_previous": asdict(rung.versus_previous) if rung.versus_previous else None,
        "versus_first": asdict(rung.versus_first) if rung.versus_first else None,
        "agreement": agreed.share if agreed else None,
        "max_score_difference": agreed.max_score_difference if agreed else None,
    }


def limit_document(key: LimitKey, limit: Limit) -> dict[str, Any]:
    """A limit with what it was measured for and what it is made of."""
    return asdict(key) | _limit_figures(limit)


def _limit_figures(limit: Limit) -> dict[str, Any]:
    return limit.to_dict() | {"images_per_s": limit.images_per_s, "gflops_per_s": limit.gflops_per_s}


def limit_sentences(limit: Limit) -> tuple[str, ...]:
    """The limit and how it comes about, a sentence each."""
    best = limit.best_forward
    how = (
        "both share the processor, so their seconds per image add up"
        if limit.shared_cores
        else "they work side by side, so the slower one decides"
    )
    return (
        f"At best {significant(limit.images_per_s)} images/s.",
        f"Reading, decoding and resizing alone: {significant(limit.prepare_images_per_s)} images/s.",
        f"The forward pass alone: {significant(best.images_per_s)} images/s with {best.backend}, "
        f"batch {best.batch_size}, {best.workers} × {best.threads} threads; {how}.",
        f"{significant(limit.flops_per_image / 1e9)} GFLOP per image, so {significant(limit.gflops_per_s)} GFLOP/s.",
    )


def grouped_by_strategy(runs: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """The repeats of each strategy, strategies in order of first appearance."""
    groups: dict[str, list[RunRecord]] = {}
    for run in runs:
        groups.setdefault(run.config.strategy, []).append(run)
    return groups


def comparability(runs: Sequence[RunRecord]) -> tuple[str, ...]:
    """Why these runs should not be compared, one sentence for each reason; empty when nothing stands against it."""
    sentences = []
    if len({run.config.model for run in runs}) > 1:
        sentences.append("The models differ, so speed and answers are not about the same work.")
    if len({frozenset(p.image_id for p in run.predictions) for run in runs if run.state == "finished"}) > 1 or (
        len({run.config.dataset for run in runs}) > 1
    ):
        sentences.append("The images differ, so images/s are not about the same work.")
    machines = {fingerprint(from_dict(run.hardware)) for run in runs if run.hardware}
    if len(machines) > 1:
        sentences.append("The runs come from different machines, so their times cannot be compared.")
    return tuple(sentences)


def _prediction(prediction: Prediction) -> dict[str, Any]:
    names = ("image_id", "label", "score", "status", "reason", "truth")
    return {name: getattr(prediction, name) for name in names} | {
        "top": [{"label": label, "score": score} for label, score in prediction.top]
    }
