"""Predictions by column are the same predictions."""

from inference.prediction import Prediction, Predictions, telling

RIGHT = Prediction("b.jpg", "cat", 0.9, truth="cat", top=(("cat", 0.9), ("dog", 0.1)), done_s=1.0, worker="worker 1")
WRONG = Prediction("c.jpg", "dog", 0.6, truth="cat", top=(("dog", 0.6),), done_s=2.0, worker="worker 2")
UNREADABLE = Prediction("d.jpg", status="error", reason="cut off", done_s=3.0, worker="worker 1")
UNKNOWN = Prediction("a.jpg", "cat", 0.5, done_s=0.5)
ALL = (RIGHT, WRONG, UNREADABLE, UNKNOWN)


def test_they_are_what_they_were() -> None:
    answers = Predictions.of(ALL)

    assert list(answers) == list(ALL)
    assert (len(answers), answers[1], answers[-1], answers[1:3]) == (4, WRONG, UNKNOWN, (WRONG, UNREADABLE))


def test_they_equal_any_sequence_of_the_same_predictions() -> None:
    assert Predictions.of(ALL) == ALL
    assert ALL == Predictions.of(ALL)  # noqa: SIM300  # from the other side
    assert Predictions.of(ALL) != ALL[:3]
    assert Predictions.of(ALL) != (*ALL[:3], RIGHT)


def test_a_column_tells_right_from_wrong_and_from_what_cannot_be_told() -> None:
    assert list(Predictions.of(ALL).columns.correct) == [True, False, None, None]


def test_an_error_without_a_reason_stays_an_error() -> None:
    (prediction,) = Predictions.of([Prediction("x.jpg", status="error")])

    assert (prediction.status, prediction.reason) == ("error", None)


def test_what_a_person_has_to_look_at_comes_first() -> None:
    assert telling(ALL, 3) == [UNREADABLE, WRONG, UNKNOWN]
    assert telling((), 3) == []
