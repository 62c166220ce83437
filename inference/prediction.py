"""The answer for one image, and many of them by column."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

Top = tuple[tuple[str, float], ...]
"""Labels with their scores, best first."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one image, or the reason why there is none."""

    image_id: str
    label: str | None = None
    score: float | None = None
    """Probability of `label`, 0 to 1."""
    status: str = "ok"
    """`ok` or `error`."""
    reason: str | None = None
    truth: str | None = None
    """The right label, where the data set has labels."""
    top: Top = ()
    """The five most probable labels with their scores, best first."""
    done_s: float = 0.0
    """When the answer was ready."""
    worker: str = ""
    votes: Top = ()
    """The first choice of each model of an ensemble, in their order; empty for a model by itself."""

    @property
    def correct(self) -> bool | None:
        """Whether the label is the truth; None where either is unknown."""
        if self.truth is None or self.label is None:
            return None
        return same_label(self.label, self.truth)


def same_label(label: str, truth: str) -> bool:
    """Whether `truth` is the label or one of its comma-separated names, whatever the case and underscores."""
    names = {name.strip() for name in _plain(label).split(",")} | {_plain(label)}
    return _plain(truth) in names


def _plain(text: str) -> str:
    return text.replace("_", " ").casefold().strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What there is of many predictions, one entry per image in each column."""

    image_ids: Sequence[str]
    labels: Sequence[str | None]
    scores: Sequence[float | None]
    reasons: Sequence[str | None]
    """Why there is no answer, perhaps an empty text; None where there is one."""
    truths: Sequence[str | None]
    correct: Sequence[bool | None]
    done_s: Sequence[float]
    workers: Sequence[str]


class Predictions(Sequence[Prediction]):
    """Predictions that are kept by column, each made an object when it is asked for.

    A run of 100,000 images is read several times as fast as with an object for every image, and what is derived
    from all of them needs a column or two. `top` says which labels an image got, and with which scores.
    """

    def __init__(self, columns: Columns, top: Callable[[int], Top], votes: Callable[[int], Top] = lambda _: ()) -> None:
        self.columns = columns
        self.top = top
        self.votes = votes

    @classmethod
    def of(cls, predictions: Iterable[Prediction]) -> Predictions:
        """The same predictions by column; itself, if they are so already."""
        if isinstance(predictions, cls):
            return predictions
        kept = tuple(predictions)
        columns = Columns(
            image_ids=[p.image_id for p in kept],
            labels=[p.label for p in kept],
            scores=[p.score for p in kept],
            reasons=[None if p.status == "ok" else p.reason or "" for p in kept],
            truths=[p.truth for p in kept],
            correct=[p.correct for p in kept],
            done_s=[p.done_s for p in kept],
            workers=[p.worker for p in kept],
        )
        return cls(columns, lambda position: kept[position].top, lambda position: kept[position].votes)

    def __len__(self) -> int:
        return len(self.columns.image_ids)

    @overload
    def __getitem__(self, position: int) -> Prediction: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[Prediction, ...]: ...
    def __getitem__(self, position: int | slice) -> Prediction | tuple[Prediction, ...]:
        if isinstance(position, slice):
            return tuple(self._made(number) for number in range(*position.indices(len(self))))
        return self._made(range(len(self))[position])

    def __iter__(self) -> Iterator[Prediction]:
        return map(self._made, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(_same, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Predictions({list(self)!r})"

    def _made(self, number: int) -> Prediction:
        columns, reason = self.columns, self.columns.reasons[number]
        return Prediction(
            columns.image_ids[number],
            columns.labels[number],
            columns.scores[number],
            "ok" if reason is None else "error",
            reason or None,
            columns.truths[number],
            self.top(number),
            columns.done_s[number],
            columns.workers[number],
            self.votes(number),
        )


def telling(predictions: Iterable[Prediction], number: int) -> list[Prediction]:
    """The first so many, those without an answer before wrong ones before all others, by image id."""
    answers = Predictions.of(predictions)
    columns = answers.columns
    ranks = (
        0 if reason is not None else 1 if right is False else 2
        for reason, right in zip(columns.reasons, columns.correct, strict=True)
    )
    ranked = zip(ranks, columns.image_ids, range(len(answers)), strict=True)
    return [answers[place] for _, _, place in heapq.nsmallest(number, ranked)]


def _same(one: Any, other: Any) -> bool:
    return bool(one == other)
