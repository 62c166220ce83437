"""Where the truth is known: how often each class is right, and what it is taken for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inference.results import Prediction, same_label


@dataclass(frozen=True, slots=True)
class Cell:
    """Images of one true label that got one label."""

    truth: str | None
    """As the data set has it; None where it is not known."""
    label: str | None
    """As the model has it; None where there is no answer."""
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Images of one class that were taken for one class."""

    truth: str
    """The class: the true label."""
    taken_for: str | None
    """The true label that the answer stands for, else the label itself; None where there is no answer."""
    images: int
    labels: tuple[str, ...]
    """The model's labels behind `taken_for`."""

    @property
    def right(self) -> bool:
        """Whether these images are answered rightly."""
        return self.truth == self.taken_for


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassAccuracy:
    """How the images of one true label fared."""

    truth: str
    images: int
    right: int
    unanswered: int

    @property
    def share(self) -> float | None:
        """Right ones among those with an answer, 0 to 1; None without answers."""
        answered = self.images - self.unanswered
        return self.right / answered if answered else None


def tally(predictions: Iterable[Prediction]) -> list[Cell]:
    """How many images of each true label got each label."""
    counts: dict[tuple[str | None, str | None], int] = defaultdict(int)
    for prediction in predictions:
        counts[prediction.truth, prediction.label] += 1
    return [Cell(truth, label, images) for (truth, label), images in counts.items()]


def confusions(cells: Iterable[Cell]) -> list[Confusion]:
    """The cells whose truth is known, with labels that are a truth under another name counted as that truth.

    By truth, then by what it is taken for; unanswered images come last of each truth.
    """
    known = [(cell.truth, cell) for cell in cells if cell.truth is not None]
    stands_for = _truths_of_labels([(truth, cell.label) for truth, cell in known if cell.label is not None])
    images: dict[tuple[str, str | None], int] = defaultdict(int)
    labels: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for truth, cell in known:
        key = truth, None if cell.label is None else stands_for[truth, cell.label]
        images[key] += cell.images
        if cell.label is not None:
            labels[key].append(cell.label)
    ordered = sorted(images, key=lambda key: (key[0], key[1] is None, key[1] or ""))
    return [
        Confusion(
            truth=truth, taken_for=taken_for, images=images[truth, taken_for], labels=tuple(labels[truth, taken_for])
        )
        for truth, taken_for in ordered
    ]


def per_class(found: Iterable[Confusion]) -> list[ClassAccuracy]:
    """How each class fared, the one that is right least often first."""
    by_truth: dict[str, list[Confusion]] = defaultdict(list)
    for one in found:
        by_truth[one.truth].append(one)
    classes = [
        ClassAccuracy(
            truth=truth,
            images=sum(one.images for one in of_truth),
            right=sum(one.images for one in of_truth if one.right),
            unanswered=sum(one.images for one in of_truth if one.taken_for is None),
        )
        for truth, of_truth in by_truth.items()
    ]
    return sorted(classes, key=lambda one: (one.share is None, one.share or 0.0, one.truth))


def most_confused(found: Iterable[Confusion], number: int) -> list[Confusion]:
    """The so many wrong answers that are given most often, the most frequent first."""
    wrong = [one for one in found if not one.right and one.taken_for is not None]
    return sorted(wrong, key=lambda one: (-one.images, one.truth, one.taken_for or ""))[:number]


def classes(found: Iterable[Confusion]) -> list[str]:
    """Every class that is true of an image or was given as an answer, by name."""
    return sorted({name for one in found for name in (one.truth, one.taken_for) if name is not None})


def overall(found: Iterable[Confusion]) -> tuple[int, int]:
    """`(right, answered)`: images whose answer is right, and images that have an answer and a known truth."""
    answered = [one for one in found if one.taken_for is not None]
    return sum(one.images for one in answered if one.right), sum(one.images for one in answered)


def _truths_of_labels(pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """For pairs (truth, label) what the label stands for: that truth, else another one, else the label itself."""
    right = {pair for pair in pairs if same_label(pair[1], pair[0])}
    # Most labels are right somewhere: those need no search among a thousand truths.
    names = {label: truth for truth, label in right}
    truths = list(dict.fromkeys(truth for truth, _ in pairs))
    for label in dict.fromkeys(label for _, label in pairs if label not in names):
        names[label] = next((truth for truth in truths if same_label(label, truth)), label)
    return {pair: pair[0] if pair in right else names[pair[1]] for pair in pairs}
