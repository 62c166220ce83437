"""Several models' answers for one image become one answer. Light: Pillow and numpy.

Models may know different labels: what one of them does not know has score 0 there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch

    from inference.models import Answer, Classifier

_T = TypeVar("_T")


class Combination:
    """How the scores of several models become one; `combine` is one of `config.COMBINATIONS`.

    `mean`: the mean of the models' scores. `highest`: the highest score that any model gives. `vote`: the share of the
    models that put the label first, and among equal shares the mean score decides.
    """

    def __init__(self, labels: Sequence[Sequence[str]], combine: str) -> None:
        """`labels` are those of each model, in the order of its scores; names that come twice are one label."""
        self.labels = tuple(dict.fromkeys(label for names in labels for label in names))
        self._combine = combine
        places = {label: place for place, label in enumerate(self.labels)}
        self._columns = [np.array([places[label] for label in names]) for names in labels]

    def best(self, scores: Sequence[np.ndarray], top_k: int) -> list[tuple[tuple[str, float], ...]]:
        """The best labels of each image with their combined scores, best first.

        `scores` has an array of shape (images, its labels) for each model.
        """
        aligned = np.stack(
            [self._aligned(array, columns) for array, columns in zip(scores, self._columns, strict=True)]
        )
        mean = aligned.mean(axis=0)
        score = {"mean": mean, "highest": aligned.max(axis=0), "vote": _votes(aligned)}[self._combine]
        order = np.lexsort((-mean, -score), axis=-1)[:, :top_k]
        return [
            tuple((self.labels[place], float(row[place])) for place in places)
            for row, places in zip(score, order, strict=True)
        ]

    def _aligned(self, scores: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """One model's scores in the columns of all labels, 0 where it knows none."""
        aligned = np.zeros((len(scores), len(self.labels)))
        np.maximum.at(aligned.T, columns, scores.T)  # a name that it has twice: the better one
        return aligned


def _votes(aligned: np.ndarray) -> np.ndarray:
    """The share of the models that put each label first; from (models, images, labels) to (images, labels)."""
    votes = np.zeros(aligned.shape[1:])
    images = np.arange(aligned.shape[1])
    for scores in aligned:
        votes[images, scores.argmax(axis=-1)] += 1 / len(aligned)
    return votes


# -- pixels for several models in one row ----------------------------------------------------------------------------


def in_one_row(makers: Sequence[Callable[[_T], np.ndarray]]) -> Callable[[_T], np.ndarray]:
    """A function that gives the pixels for every model as one row of bytes: one decode, several resizes.

    Models see pictures of different sizes, and a batch wants rows of one shape.
    """

    def pixels(image: _T) -> np.ndarray:
        return np.concatenate([np.ascontiguousarray(make(image)).reshape(-1).view(np.uint8) for make in makers])

    return pixels


def apart(rows: np.ndarray, like: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Rows of `in_one_row`, shape (n, bytes), as one array of pictures for each model.

    `like` has a picture of each model's shape and type.
    """
    pictures, start = [], 0
    for picture in like:
        end = start + picture.nbytes
        part = np.ascontiguousarray(rows[:, start:end]).view(picture.dtype)
        pictures.append(part.reshape(len(rows), *picture.shape))
        start = end
    return pictures


# -- models that are used as one -------------------------------------------------------------------------------------


class Panel:
    """Several pipelines that are asked about the same image, one after the other."""

    def __init__(
        self,
        members: Sequence[Callable[[Image.Image], Answer]],
        labels: Sequence[Sequence[str]],
        combine: str,
        top_k: int,
    ) -> None:
        """Each member tells its scores of all its `labels`."""
        self._members = tuple(members)
        self._labels = [tuple(dict.fromkeys(names)) for names in labels]
        self._combination = Combination(self._labels, combine)
        self._top_k = top_k

    def classify(self, image: Image.Image) -> tuple[Answer, Answer]:
        """The most probable labels of an image, all members together, and the first choice of each of them."""
        answers = [member(image) for member in self._members]
        scores = []
        for answer, names in zip(answers, self._labels, strict=True):
            # Best first, so that of a name that comes twice the better score is kept.
            of_name = dict(reversed(answer))
            scores.append(np.array([[of_name.get(name, 0.0) for name in names]]))
        return self._combination.best(scores, self._top_k)[0], tuple(answer[0] for answer in answers)


class Ensemble:
    """Several `models.Classifier` that look at the same pictures, to be used as one."""

    def __init__(self, members: Sequence[Classifier], combine: str, top_k: int) -> None:
        self._top_k = top_k
        self.members = tuple(members)
        self._combination = Combination([member.labels for member in members], combine)
        self.pixels = in_one_row([member.pixels for member in members])
        """What all of them see of an RGB image, as one row of bytes."""
        blank = Image.new("RGB", (500, 375))
        self._like = [member.pixels(blank) for member in members]

    def warm_up(self, batch_size: int) -> None:
        """See `Classifier.warm_up`."""
        for member in self.members:
            member.warm_up(batch_size)

    def logits(self, pixels: np.ndarray, batch_size: int) -> list[torch.Tensor]:
        """Those of each member, for rows of `pixels`."""
        parts = apart(pixels, self._like)
        return [member.logits(part, batch_size) for member, part in zip(self.members, parts, strict=True)]

    @property
    def largest_pass(self) -> int | None:
        """See `Classifier.largest_pass`; the smallest of the members'."""
        return min((member.largest_pass for member in self.members if member.largest_pass), default=None)

    def answers(self, logits: Any) -> list[Answer]:
        """The most probable labels of each picture, all members together."""
        scores = [member.scores(own).numpy() for member, own in zip(self.members, logits, strict=True)]
        return self._combination.best(scores, self._top_k)

    def votes(self, logits: Any) -> list[Answer]:
        """The first choice of each member for each picture, in the order of the members."""
        own = [member.answers(part) for member, part in zip(self.members, logits, strict=True)]
        return [tuple(answer[0] for answer in answers) for answers in zip(*own, strict=True)]
