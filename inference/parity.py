"""Do two runs give the same answers?"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from inference.prediction import Columns, Prediction, Predictions
from inference.results import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How the answers of two runs compare, image by image."""

    images: int
    """Images that both runs answered or refused."""
    agree: int
    """Images with the same label, or refused by both."""
    max_score_difference: float | None
    """The largest difference between the two scores of the baseline's label; None if no image can tell."""
    differing: tuple[str, ...]
    """Ids of the images whose label, or fate, is not the same."""
    score_differences: tuple[float, ...] = ()
    """How far apart the two scores of the baseline's label are, one for each image that can tell."""

    @property
    def share(self) -> float | None:
        """Top-1 agreement, 0 to 1; None without common images."""
        return self.agree / self.images if self.images else None


def members_agree(predictions: Iterable[Prediction]) -> tuple[int, int]:
    """On how many images the models of an ensemble choose the same label, and how many images they answered."""
    choices = [{label for label, _ in prediction.votes} for prediction in predictions if prediction.votes]
    return sum(len(labels) == 1 for labels in choices), len(choices)


def agreement(baseline: RunRecord, other: RunRecord) -> Agreement:
    """Compare the answers of `other` with those of `baseline`, by image id."""
    ours, theirs = Predictions.of(baseline.predictions), Predictions.of(other.predictions)
    pairs = _pairs(ours.columns, theirs.columns)
    differing = tuple(ours.columns.image_ids[a] for a, b in pairs if _fate(ours.columns, a) != _fate(theirs.columns, b))
    differences = [difference for a, b in pairs if (difference := _score_difference(ours, a, theirs, b)) is not None]
    return Agreement(
        images=len(pairs),
        agree=len(pairs) - len(differing),
        max_score_difference=max(differences, default=None),
        differing=differing,
        score_differences=tuple(differences),
    )


DECADES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Upper ends of the ranges that score differences are counted in; scores are kept as float32, so that less than
the first is equal."""


def score_distribution(differences: Iterable[float]) -> list[tuple[float, int]]:
    """How many score differences are at most each of `DECADES` and larger than the one before it."""
    counts = [0] * len(DECADES)
    for difference in differences:
        counts[min(bisect_left(DECADES, difference), len(DECADES) - 1)] += 1
    return list(zip(DECADES, counts, strict=True))


def _pairs(ours: Columns, theirs: Columns) -> list[tuple[int, int]]:
    """Places of the images that both have, the baseline's first."""
    places = {image_id: place for place, image_id in enumerate(theirs.image_ids)}
    return [(place, places[image_id]) for place, image_id in enumerate(ours.image_ids) if image_id in places]


def _fate(answers: Columns, place: int) -> tuple[bool, str | None]:
    return answers.reasons[place] is None, answers.labels[place]


def _score_difference(ours: Predictions, a: int, theirs: Predictions, b: int) -> float | None:
    """Difference of the scores that both give to the baseline's label; None if the other does not list that label."""
    label, score = ours.columns.labels[a], ours.columns.scores[a]
    if label is None or score is None:
        return None
    # Most answers are the same, and unpacking their lists would take longer than all else.
    same = theirs.columns.labels[b] == label
    other = theirs.columns.scores[b] if same else dict(theirs.top(b)).get(label)
    return abs(score - other) if other is not None else None
