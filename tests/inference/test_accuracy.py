"""How right a run is, by class, and what it takes for what."""

from inference.accuracy import Cell, ClassAccuracy, classes, confusions, most_confused, overall, per_class, tally
from inference.results import Prediction


def taken(*cells: tuple[str | None, str | None, int]) -> list[tuple[str, str | None, int]]:
    return [(one.truth, one.taken_for, one.images) for one in confusions([Cell(*cell) for cell in cells])]


def test_equal_answers_to_the_same_truth_are_counted_together() -> None:
    predictions = [
        Prediction("a", "cat", 0.9, truth="cat"),
        Prediction("b", "cat", 0.8, truth="cat"),
        Prediction("c", "dog", 0.7, truth="cat"),
        Prediction("d", status="error", reason="empty", truth="cat"),
    ]

    assert set(tally(predictions)) == {Cell("cat", "cat", 2), Cell("cat", "dog", 1), Cell("cat", None, 1)}


def test_images_of_unknown_truth_say_nothing_of_classes() -> None:
    assert taken((None, "cat", 3), ("cat", "cat", 1)) == [("cat", "cat", 1)]


def test_a_label_of_several_names_counts_as_the_truth_that_it_names() -> None:
    found = confusions([Cell("tench", "tench, Tinca tinca", 4), Cell("tench", "TENCH", 1)])

    assert [(one.taken_for, one.images, one.right) for one in found] == [("tench", 5, True)]
    assert set(found[0].labels) == {"tench, Tinca tinca", "TENCH"}


def test_a_label_stands_for_the_truth_that_it_names_also_where_it_is_never_right() -> None:
    assert taken(("church", "tench, Tinca tinca", 2), ("tench", "church", 1)) == [
        ("church", "tench", 2),
        ("tench", "church", 1),
    ]


def test_truths_that_differ_in_case_alone_stay_right_each_for_itself() -> None:
    assert taken(("Cat", "cat", 2), ("cat", "cat", 3)) == [("Cat", "Cat", 2), ("cat", "cat", 3)]


def test_a_class_is_right_in_its_share_of_the_answered_images() -> None:
    found = confusions([Cell("cat", "cat", 3), Cell("cat", "dog", 1), Cell("cat", None, 6)])

    assert per_class(found) == [ClassAccuracy(truth="cat", images=10, right=3, unanswered=6)]
    assert per_class(found)[0].share == 0.75


def test_a_class_without_answers_has_no_share_and_comes_last() -> None:
    found = per_class(confusions([Cell("ant", None, 2), Cell("bee", "bee", 1)]))

    assert [(one.truth, one.share) for one in found] == [("bee", 1.0), ("ant", None)]


def test_the_class_that_is_right_least_often_comes_first() -> None:
    found = per_class(confusions([Cell("ant", "ant", 1), Cell("bee", "ant", 1), Cell("bee", "bee", 1)]))

    assert [one.truth for one in found] == ["bee", "ant"]


def test_the_most_frequent_mistakes_come_first_and_missing_answers_are_none() -> None:
    found = confusions([Cell("a", "b", 2), Cell("b", "a", 5), Cell("a", "a", 9), Cell("a", None, 7)])

    assert [(one.truth, one.taken_for) for one in most_confused(found, 5)] == [("b", "a"), ("a", "b")]
    assert len(most_confused(found, 1)) == 1


def test_the_overall_counts_leave_unanswered_images_out() -> None:
    assert overall(confusions([Cell("a", "a", 3), Cell("a", "b", 1), Cell("a", None, 5)])) == (3, 4)


def test_classes_are_those_of_truths_and_answers() -> None:
    assert classes(confusions([Cell("b", "a", 1), Cell("b", None, 1)])) == ["a", "b"]
