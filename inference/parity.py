"""Do two runs give the same answers?"""

from __future__ import annotations

from dataclasses import dataclass

from inference.results import Prediction, RunRecord


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

    @property
    def share(self) -> float | None:
        """Top-1 agreement, 0 to 1; None without common images."""
        return self.agree / self.images if self.images else None


def agreement(baseline: RunRecord, other: RunRecord) -> Agreement:
    """Compare the answers of `other` with those of `baseline`, by image id."""
    theirs = {prediction.image_id: prediction for prediction in other.predictions}
    pairs = [(mine, theirs[mine.image_id]) for mine in baseline.predictions if mine.image_id in theirs]
    differing = tuple(a.image_id for a, b in pairs if (a.status, a.label) != (b.status, b.label))
    differences = [difference for a, b in pairs if (difference := _score_difference(a, b)) is not None]
    return Agreement(
        images=len(pairs),
        agree=len(pairs) - len(differing),
        max_score_difference=max(differences, default=None),
        differing=differing,
    )


def _score_difference(a: Prediction, b: Prediction) -> float | None:
    """Difference of the scores that both give to `a`'s label; None if `b` does not list that label."""
    if a.label is None or a.score is None:
        return None
    score = dict(b.top).get(a.label)
    return abs(a.score - score) if score is not None else None
