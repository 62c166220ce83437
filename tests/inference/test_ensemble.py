"""Several models' answers become one."""

from __future__ import annotations

import numpy as np
import pytest

from inference.ensemble import apart, combined, in_one_row

SURE = {"cat": 0.9, "dog": 0.1}
UNSURE = {"cat": 0.4, "dog": 0.6}
OTHER = {"dog": 0.55, "bird": 0.45}


def rounded(answer: list[tuple[str, float]]) -> list[tuple[str, float]]:
    return [(label, round(score, 6)) for label, score in answer]


def test_the_mean_counts_a_label_that_a_model_does_not_know_as_0() -> None:
    assert rounded(combined([SURE, UNSURE, OTHER], "mean")) == [("cat", 0.433333), ("dog", 0.416667), ("bird", 0.15)]


def test_the_highest_single_score_wins() -> None:
    assert rounded(combined([SURE, UNSURE, OTHER], "highest")) == [("cat", 0.9), ("dog", 0.6), ("bird", 0.45)]


def test_a_vote_goes_to_the_label_that_most_models_put_first() -> None:
    assert rounded(combined([SURE, UNSURE, OTHER], "vote")) == [("dog", 0.666667), ("cat", 0.333333), ("bird", 0.0)]


def test_where_votes_are_equal_the_mean_decides() -> None:
    assert [label for label, _ in combined([SURE, UNSURE], "vote")] == ["cat", "dog"]


@pytest.mark.parametrize("combine", ["mean", "highest", "vote"])
def test_one_model_alone_keeps_its_order(combine: str) -> None:
    assert combined([OTHER], combine)[0][0] == "dog"


def test_pictures_of_several_shapes_and_types_travel_in_one_row() -> None:
    bytes_ = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    floats = np.linspace(-1, 1, 27, dtype=np.float32).reshape(3, 3, 3)
    row = in_one_row([lambda shift: bytes_ + np.uint8(shift), lambda shift: floats * shift])

    rows = np.stack([row(1), row(2)])
    first, second = apart(rows, [bytes_, floats])

    assert (first.shape, first.dtype) == ((2, 2, 2, 3), np.uint8)
    assert (second.shape, second.dtype) == ((2, 3, 3, 3), np.float32)
    assert np.array_equal(first[1], bytes_ + 2)
    assert np.array_equal(second[1], floats * 2)
