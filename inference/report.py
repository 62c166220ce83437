"""A run or a comparison as plain data, for documents that leave the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from inference.arms import Arm, winner
from inference.hardware import fingerprint, from_dict
from inference.ladder import Ladder, Rung
from inference.limits import Limit, LimitKey
from inference.parity import agreement
from inference.prediction import Predictions
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
        "predictions": [prediction_document(prediction) for prediction in record.predictions],
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


def arms_document(arms: Sequence[Arm]) -> dict[str, Any]:
    """Every side of a comparison against the first, and the one that wins: `{"arms", "winner"}`.

    Unlike `comparison_document` it tells two configurations of one strategy apart.
    """
    best = winner(arms)
    return {
        "arms": [
            {
                "label": arm.label,
                "runs": [run.id for run in arm.runs],
                "median_run": arm.median.id,
                "versus_first": asdict(arm.speedup) if arm.speedup else None,
                "agreement": arm.agreement.share if arm.agreement else None,
                "max_score_difference": arm.agreement.max_score_difference if arm.agreement else None,
            }
            for arm in arms
        ],
        "winner": {"label": best.arm.label, "run": best.arm.median.id, "reason": best.reason} if best else None,
    }


def run_rows(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """One row for each run: its side, its settings, its figures, and what its side amounts to against the first.

    Ratio, interval and agreement are those of the side, so repeats share them; the first side has none.
    """
    rows = []
    for arm in arms:
        ratio, agreed = arm.speedup, arm.agreement
        for run in arm.runs:
            figures = asdict(metrics(run))
            phases = figures.pop("phases")
            rows.append(
                {"run": run.id, "arm": arm.label, "baseline": arm is arms[0], "state": run.state}
                | {name: _cell(value) for name, value in run.config.to_dict().items()}
                | figures
                | {f"{phase}_s": spent_s for phase, spent_s in phases.items()}
                | {
                    "ratio": ratio.ratio if ratio else None,
                    "ratio_low": ratio.low if ratio else None,
                    "ratio_high": ratio.high if ratio else None,
                    "agreement": agreed.share if agreed else None,
                    "max_score_difference": agreed.max_score_difference if agreed else None,
                }
            )
    return rows


def _cell(value: Any) -> Any:
    """A setting for a table: several texts as one."""
    return ", ".join(value) if isinstance(value, list) else value


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """One thing that stands against comparing runs."""

    about: str
    """`model`, `images` or `machine`: what is not the same."""
    sentence: str


def objections(runs: Sequence[RunRecord]) -> tuple[Objection, ...]:
    """What stands against comparing these runs, each thing once; empty when nothing does.

    Images are the same where data set and ids are; a run that did not finish is not blamed for those it lacks.
    """
    found = []
    if len({(run.config.models, run.config.labels) for run in runs}) > 1:
        sentence = "The models differ, so speed and answers are not about the same work."
        found.append(Objection(about="model", sentence=sentence))
    if len(
        {frozenset(Predictions.of(run.predictions).columns.image_ids) for run in runs if run.state == "finished"}
    ) > 1 or (len({run.config.dataset for run in runs}) > 1):
        sentence = "The images differ, so images/s are not about the same work."
        found.append(Objection(about="images", sentence=sentence))
    if len({fingerprint(from_dict(run.hardware)) for run in runs if run.hardware}) > 1:
        sentence = "The runs come from different machines, so their times cannot be compared."
        found.append(Objection(about="machine", sentence=sentence))
    return tuple(found)


def comparability(runs: Sequence[RunRecord]) -> tuple[str, ...]:
    """Why these runs should not be compared, one sentence for each reason; empty when nothing stands against it."""
    return tuple(objection.sentence for objection in objections(runs))


def prediction_document(prediction: Prediction) -> dict[str, Any]:
    """What one image got, as JSON types."""
    names = ("image_id", "label", "score", "status", "reason", "truth")
    return {name: getattr(prediction, name) for name in names} | {
        "top": [{"label": label, "score": score} for label, score in prediction.top]
    }
