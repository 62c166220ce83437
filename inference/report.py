"""A run or a comparison as plain data, for documents that leave the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from inference.hardware import fingerprint, from_dict
from inference.parity import agreement
from inference.results import Prediction, RunRecord, metrics, speedup


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
