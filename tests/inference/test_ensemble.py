"""Several models' answers become one."""

from __future__ import annotations

import numpy as np
import pytest

from inference.ensemble import Combination, apart, in_one_row

LABELS = [["cat", "dog"], ["dog", "cat"], ["dog", "bird"]]
SURE, UNSURE, OTHER = [0.9, 0.1], [0.6, 0.4], [0.55, 0.45]


def best(combine: str, *scores: list[float], top_k: int = 5) -> list[tuple[str, float]]:
    together = Combination(LABELS[: len(scores)], combine).best([np.array([row]) for row in scores], top_k)
    return [(label, round(score, 6)) for label, score in together[0]]


def test_the_mean_counts_a_label_that_a_model_does_not_know_as_0() -> None:
    assert best("mean", SURE, UNSURE, OTHER) == [("cat", 0.433333), ("dog", 0.416667), ("bird", 0.15)]


def test_the_highest_single_score_wins() -> None:
    assert best("highest", SURE, UNSURE, OTHER) == [("cat", 0.9), ("dog", 0.6), ("bird", 0.45)]


def test_a_vote_goes_to_the_label_that_most_models_put_first() -> None:
    assert best("vote", SURE, UNSURE, OTHER) == [("dog", 0.666667), ("cat", 0.333333), ("bird", 0.0)]


def test_where_votes_are_equal_the_mean_decides() -> None:
    assert best("vote", SURE, UNSURE) == [("cat", 0.5), ("dog", 0.5)]


@pytest.mark.parametrize("combine", ["mean", "highest", "vote"])
def test_one_model_alone_keeps_its_order(combine: str) -> None:
    assert best(combine, SURE, top_k=1)[0][0] == "cat"


def test_every_image_of_a_batch_gets_its_own_answer() -> None:
    scores = [np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.3, 0.7], [0.6, 0.4]])]
    first, second = Combination(LABELS[:2], "mean").best(scores, 1)

    assert (first[0][0], second[0][0]) == ("cat", "dog")


def test_a_name_that_a_model_has_twice_is_one_label() -> None:
    together = Combination([["crane", "crane", "dog"]], "mean")

    assert together.labels == ("crane", "dog")
    assert together.best([np.array([[0.2, 0.5, 0.3]])], 5) == [(("crane", 0.5), ("dog", 0.3))]


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
