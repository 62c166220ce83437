"""Whether two runs give the same answers, image by image."""

import pytest

from inference.config import RunConfig
from inference.parity import agreement, members_agree, score_distribution
from inference.results import Prediction, RunRecord


def run(*predictions: Prediction) -> RunRecord:
    return RunRecord(id="r", state="finished", config=RunConfig(), created_at=0.0, predictions=predictions)


def answer(image_id: str, **scores: float) -> Prediction:
    top = tuple(sorted(scores.items(), key=lambda item: -item[1]))
    return Prediction(image_id, *top[0], top=top)


def refusal(image_id: str, reason: str = "the file is empty") -> Prediction:
    return Prediction(image_id, status="error", reason=reason)


def test_equal_answers_agree_wholly() -> None:
    one = run(answer("a", cat=0.9, dog=0.1), answer("b", dog=0.7))

    agreed = agreement(one, one)

    assert (agreed.images, agreed.agree, agreed.share, agreed.differing) == (2, 2, 1.0, ())
    assert agreed.max_score_difference == 0.0


def test_images_are_matched_by_id_whatever_their_order() -> None:
    one = run(answer("a", cat=0.9), answer("b", dog=0.7))
    other = run(answer("b", dog=0.7), answer("a", cat=0.9))

    assert agreement(one, other).share == 1.0


def test_another_label_is_a_difference_and_named() -> None:
    agreed = agreement(
        run(answer("a", cat=0.6, dog=0.4), answer("b", cat=0.9)),
        run(answer("a", dog=0.8, cat=0.2), answer("b", cat=0.9)),
    )

    assert (agreed.agree, agreed.share, agreed.differing) == (1, 0.5, ("a",))


def test_the_score_difference_is_that_of_the_baselines_label() -> None:
    agreed = agreement(run(answer("a", cat=0.6, dog=0.4)), run(answer("a", dog=0.75, cat=0.25)))

    assert agreed.max_score_difference == pytest.approx(0.35)


def test_the_largest_score_difference_counts() -> None:
    baseline = run(answer("a", cat=0.90), answer("b", cat=0.80), answer("c", cat=0.70))
    other = run(answer("a", cat=0.91), answer("b", cat=0.75), answer("c", cat=0.70))

    assert agreement(baseline, other).max_score_difference == pytest.approx(0.05)


def test_a_label_that_the_other_run_does_not_list_tells_no_score_difference() -> None:
    assert agreement(run(answer("a", cat=0.9)), run(answer("a", dog=0.9))).max_score_difference is None


def test_images_refused_by_both_agree_and_by_one_differ() -> None:
    baseline = run(refusal("a"), refusal("b"), answer("c", cat=0.9))
    other = run(refusal("a", "broken"), answer("b", cat=0.5), refusal("c"))

    agreed = agreement(baseline, other)

    assert (agreed.images, agreed.agree, agreed.differing) == (3, 1, ("b", "c"))
    assert agreed.max_score_difference is None


def test_only_images_of_both_runs_count() -> None:
    agreed = agreement(run(answer("a", cat=0.9), answer("b", cat=0.9)), run(answer("b", cat=0.9), answer("c", cat=0.9)))

    assert (agreed.images, agreed.share) == (1, 1.0)


def test_runs_without_common_images_have_no_share() -> None:
    agreed = agreement(run(answer("a", cat=0.9)), run())

    assert (agreed.images, agreed.share, agreed.max_score_difference) == (0, None, None)


def test_every_score_difference_is_kept_for_its_distribution() -> None:
    baseline = run(answer("a", cat=0.5), answer("b", cat=0.5), answer("c", cat=0.5))
    other = run(answer("a", cat=0.5), answer("b", cat=0.625), answer("c", dog=0.9))

    assert agreement(baseline, other).score_differences == (0.0, 0.125)


def test_score_differences_are_counted_by_decade() -> None:
    counted = dict(score_distribution([0.0, 1e-7, 1e-6, 5e-4, 1e-3, 0.02, 1.0]))

    assert counted == {1e-6: 3, 1e-5: 0, 1e-4: 0, 1e-3: 2, 1e-2: 0, 1e-1: 1, 1.0: 1}


def test_the_models_of_an_ensemble_agree_where_they_choose_the_same_label() -> None:
    votes = [(("cat", 0.9), ("cat", 0.4)), (("cat", 0.9), ("dog", 0.4)), ()]
    predictions = [Prediction(f"{number}.jpg", votes=each) for number, each in enumerate(votes)]

    assert members_agree(predictions) == (1, 2)
