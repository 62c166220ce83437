"""Runs side by side: which belong together, what they are called, which one wins, and what to say of them.

Labels and sentences are plain text and may hold names that a person chose: whoever shows them does so literally.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inference.config import STRATEGIES, RunConfig, differences
from inference.ladder import MIN_AGREEMENT
from inference.parity import Agreement, agreement
from inference.results import (
    Metrics,
    RunRecord,
    Speedup,
    median_run,
    metrics,
    seconds_by_phase,
    speedup,
)
from inference.setting_words import OPTIONS, TELLING, option_words, setting_text
from inference.wording import count, percent, rate, ratio, ratio_number, seconds

HOW_COMPUTED = (
    (
        "The ratio",
        "is the images/s of one side divided by those of the baseline, each end to end: all images divided by the "
        "seconds from the start of the run to its last answer. With repeats, the medians are divided.",
    ),
    (
        "The interval",
        "says how far chance alone could move that ratio. 2,000 times, the runs of each side are drawn again with "
        "replacement, and within each run the stretches of time between answers; set-up stays as it was measured. "
        "The middle 95 % of the 2,000 ratios is the interval (a percentile bootstrap). Where it includes 1, the two "
        "are called a tie.",
    ),
    (
        "Repeats",
        "are interleaved (A B B A), so that a machine that warms up or slows down favours neither side.",
    ),
)
"""How ratios come about: what is explained, and the rest of the sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One side of a comparison: the repeats of one configuration."""

    label: str
    """Short and unique among the arms."""
    runs: tuple[RunRecord, ...]
    median: RunRecord
    """The repeat in the middle by images/s; charts and pictures show this one."""
    metrics: Metrics
    """Those of the median run."""
    worker_seconds: Mapping[str, float]
    """Worker time of the median run by phase, waiting included."""
    speedup: Speedup | None = None
    """Against the first arm; None for the first arm itself, or where there are no answers."""
    agreement: Agreement | None = None
    """Answers of the median run against those of the first arm's."""

    @property
    def strategy(self) -> str:
        """The strategy of all its runs."""
        return self.median.config.strategy


def arms_of(records: Sequence[RunRecord]) -> tuple[Arm, ...]:
    """Group runs by configuration in order of appearance, the first as the baseline.

    Runs that all have the same configuration are set against each other one by one.
    """
    groups: dict[RunConfig, list[RunRecord]] = {}
    for record in records:
        groups.setdefault(record.config, []).append(record)
    sides = list(groups.values()) if len(groups) > 1 else [[record] for record in records]
    middles = [median_run(side) for side in sides]
    names = arm_labels(middles)
    return tuple(
        Arm(
            label=name,
            runs=tuple(side),
            median=middle,
            metrics=metrics(middle),
            worker_seconds=seconds_by_phase(middle.spans, workers_only=True),
            speedup=speedup(sides[0], side) if number else None,
            agreement=agreement(middles[0], middle) if number else None,
        )
        for number, (name, side, middle) in enumerate(zip(names, sides, middles, strict=True))
    )


# -- what they are called ------------------------------------------------------------------------------------------


def arm_labels(runs: Sequence[RunRecord]) -> list[str]:
    """The strategy, with as few settings as tell runs of one strategy apart, and the id where none does."""
    by_strategy: dict[str, list[RunRecord]] = {}
    for run in runs:
        by_strategy.setdefault(run.config.strategy, []).append(run)
    told = {id(run): label for group in by_strategy.values() for run, label in zip(group, _told(group), strict=True)}
    return [told[id(run)] for run in runs]


def _told(runs: Sequence[RunRecord]) -> list[str]:
    """Labels of runs of one strategy; an option that a run does not use is not mentioned."""
    differing = differences([run.config for run in runs])
    labels = [run.config.strategy for run in runs]
    for name in (name for name in TELLING if name in differing):
        longer = [_with_setting(label, name, run.config) for label, run in zip(labels, runs, strict=True)]
        if len(set(longer)) > len(set(labels)):
            labels = longer
    if len(set(labels)) == len(labels):
        return labels
    return [f"{label} · {run.id[:6]}" for label, run in zip(labels, runs, strict=True)]


def _with_setting(label: str, name: str, config: RunConfig) -> str:
    text = setting_text(name, config)
    return label if name in OPTIONS and text not in option_words(config) else f"{label} · {text}"


# -- what to say of them -------------------------------------------------------------------------------------------


def headline(arms: Sequence[Arm]) -> str:
    """Who is faster, by how much, and whether the answers agree.

    Of several arms, the fastest stands for all.
    """
    baseline, others = arms[0], arms[1:]
    best = max(others, key=lambda arm: arm.speedup.ratio if arm.speedup else 0.0)
    sentence = verdict_text(best, baseline)
    if len(others) > 1:
        sentence = f"Fastest of {len(others)}: {sentence}"
    return f"{sentence}; {agreement_text(others)}"


def verdict_text(arm: Arm, baseline: Arm) -> str:
    """`actor is 6.8 × faster than naive`."""
    found = arm.speedup
    if found is None:
        return f"{arm.label} cannot be set against {baseline.label}: one of them has no answers"
    if found.tie:
        return f"{arm.label} and {baseline.label} are a tie ({ratio(found.ratio)})"
    if found.ratio > 1:
        return f"{arm.label} is {ratio(found.ratio)} faster than {baseline.label}"
    return f"{arm.label} is {ratio(1 / found.ratio)} slower than {baseline.label}"


def agreement_text(arms: Sequence[Arm]) -> str:
    """On how many images the answers of these arms are those of the baseline, at least."""
    agreed = [arm.agreement for arm in arms if arm.agreement is not None and arm.agreement.images]
    if not agreed:
        return "no image was answered by both"
    images, agree = min(a.images for a in agreed), min(a.agree for a in agreed)
    return f"answers agree on {agree:,} of {count(images, 'image')}"


def interval_text(found: Speedup) -> str:
    """`95 %: 6.2 to 7.5`."""
    low, high = (ratio_number(end, beside=found.low) for end in (found.low, found.high))
    return f"95 %: {low} to {high}"


def scores_text(agreed: Agreement) -> str:
    """How far apart the scores of the same label are, at most; empty where that is unknown."""
    if agreed.max_score_difference is None:
        return ""
    if agreed.max_score_difference < 0.00005:
        return "scores equal"
    return f"scores within {agreed.max_score_difference:.4f}"


def loads_sentence(arm: Arm) -> str:
    """`naive: loaded 25 times × 0.31 s = 61 % of worker time`."""
    if not arm.metrics.model_loads:
        return f"{arm.label}: no load of the model was measured"
    share = arm.worker_seconds["load"] / sum(arm.worker_seconds.values())
    times = "once" if arm.metrics.model_loads == 1 else f"{arm.metrics.model_loads:,} times"
    each = seconds(arm.metrics.model_load_s / arm.metrics.model_loads)
    return f"{arm.label}: loaded {times} × {each} = {percent(share)} of worker time"


def timeline_title(arm: Arm) -> str:
    """`naive loads the model 25 times in 1 worker process`."""
    loads, workers = arm.metrics.model_loads, arm.metrics.workers
    times = "once" if loads == 1 else f"{loads:,} times"
    return f"{arm.label} loads the model {times} in {count(workers, 'worker process')}"


# -- which one wins ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Winner:
    """The configuration that a comparison speaks for."""

    arm: Arm
    reason: str
    """Why, as a sentence."""


def winner(arms: Sequence[Arm]) -> Winner | None:
    """The fastest arm whose answers agree with the baseline's; of those that tie with it, the simplest.

    Speed is end to end. Answers agree from `ladder.MIN_AGREEMENT` of the images on. A tie is an interval of the
    ratio that includes 1; simpler is the strategy that comes first in `STRATEGIES`, then fewer `OPTIONS`. None
    where the baseline has no answers.
    """
    baseline = arms[0]
    if baseline.metrics.images_per_s is None:
        return None
    allowed = [arm for arm in arms if arm is baseline or _agrees(arm)]
    fastest = max(allowed, key=_ratio)
    ties = [arm for arm in allowed if arm is fastest or _is_tie(arm, fastest)]
    best = min(ties, key=_complexity)
    return Winner(arm=best, reason=" ".join([_why(best, fastest, allowed), *_passed_over(arms, allowed, fastest)]))


def _agrees(arm: Arm) -> bool:
    return arm.speedup is not None and arm.agreement is not None and (arm.agreement.share or 0.0) >= MIN_AGREEMENT


def _ratio(arm: Arm) -> float:
    return arm.speedup.ratio if arm.speedup else 1.0


def _is_tie(arm: Arm, fastest: Arm) -> bool:
    found = speedup(arm.runs, fastest.runs)
    return found is not None and found.tie


def _complexity(arm: Arm) -> tuple[int, int]:
    return STRATEGIES.index(arm.strategy), len(option_words(arm.median.config))


def _why(best: Arm, fastest: Arm, allowed: Sequence[Arm]) -> str:
    speed = rate(best.metrics.images_per_s)
    if best is not fastest:
        return f"{best.label} and {fastest.label} are a tie, and {best.label} is the simpler of the two: {speed}."
    if len(allowed) == 1:
        return f"{best.label} is the baseline, and no other gives the same answers: {speed}."
    return f"{best.label} is the fastest of the {len(allowed)} that give the same answers: {speed}."


def _passed_over(arms: Sequence[Arm], allowed: Sequence[Arm], fastest: Arm) -> list[str]:
    """A sentence for each arm that was faster and gave other answers."""
    faster = [arm for arm in arms if arm not in allowed and arm.speedup and _ratio(arm) > _ratio(fastest)]
    return [
        f"{arm.label} was faster, but its answers agree on only {percent(arm.agreement.share)} of the images."
        for arm in faster
        if arm.agreement is not None
    ]
