"""Several models' answers for one image become one answer. Light: numpy only.

Models may know different labels: what one of them does not know has score 0 there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

Scores = Mapping[str, float]
"""Probabilities of one model for one image, by label."""

_T = TypeVar("_T")


def combined(members: Sequence[Scores], combine: str) -> list[tuple[str, float]]:
    """All labels with their combined scores, best first; `combine` is one of `config.COMBINATIONS`.

    `mean`: the mean of the members' scores. `highest`: the highest score that any member gives. `vote`: the share of
    the members that put the label first, and among equal shares the mean score decides.
    """
    labels = list(dict.fromkeys(label for scores in members for label in scores))
    mean = {label: sum(scores.get(label, 0.0) for scores in members) / len(members) for label in labels}
    if combine == "highest":
        score = {label: max(scores.get(label, 0.0) for scores in members) for label in labels}
    elif combine == "vote":
        votes = Counter(max(scores, key=scores.__getitem__) for scores in members)
        score = {label: votes[label] / len(members) for label in labels}
    else:
        score = mean
    return sorted(score.items(), key=lambda item: (item[1], mean[item[0]]), reverse=True)


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
