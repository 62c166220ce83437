"""The answers of a run, filtered, sorted, counted and paged by SQLite."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from inference.accuracy import Cell
from inference.config import RunConfig
from inference.history import History
from inference.parity import agreement
from inference.results import Prediction
from inference.selection import ORDERS, AnswerFilter, Answers
from inference.store import Store

CAT, DOG = "cat, house cat", "dog"
PREDICTIONS = (
    Prediction("in/b.jpg", CAT, 0.9, truth="cat", top=((CAT, 0.9), (DOG, 0.1)), done_s=1.0, worker="worker 1"),
    Prediction("in/a.jpg", DOG, 0.4, truth="cat", top=((DOG, 0.4),), done_s=1.5, worker="worker 1"),
    Prediction("100%_C.jpg", CAT, 0.6, top=((CAT, 0.6),), done_s=2.0, worker="worker 2"),
    Prediction("d.jpg", status="error", reason="the file is empty", truth="dog", done_s=2.5, worker="worker 2"),
    Prediction("e.jpg", DOG, 0.7, truth="dog", top=((DOG, 0.7),), done_s=3.0, worker="worker 2"),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def answers(store: Store) -> Answers:
    return Answers(store.database)


def kept(store: Store, predictions: Sequence[Prediction] = PREDICTIONS) -> str:
    """A finished run with these answers."""
    (run_id,) = store.enqueue([RunConfig()])
    store.claim("engine", {})
    store.end(run_id, "finished", predictions=predictions)
    return run_id


def shown(answers: Answers, run_id: str, **wanted: object) -> list[str]:
    """First letters of the file names that pass, after making sure that as many are counted."""
    choice = AnswerFilter(**wanted)  # type: ignore[arg-type]
    page = answers.page(run_id, choice, limit=100)
    assert answers.count(run_id, choice) == len(page)
    return [prediction.image_id.rsplit("/", 1)[-1][0] for prediction in page]


def test_a_page_has_whole_predictions_in_order_of_arrival(store: Store, answers: Answers) -> None:
    run_id = kept(store)

    page = answers.page(run_id, AnswerFilter(), limit=3)

    assert [replace(p, top=()) for p in page] == [replace(p, top=()) for p in PREDICTIONS[:3]]
    assert [label for label, _ in page[0].top] == [CAT, DOG]


def test_pages_follow_one_another_without_gap(store: Store, answers: Answers) -> None:
    run_id = kept(store)
    for order in ORDERS:
        wanted = AnswerFilter(order=order)
        whole = answers.page(run_id, wanted, limit=10)
        parts = [p for start in range(0, 6, 2) for p in answers.page(run_id, wanted, limit=2, offset=start)]
        assert parts == whole


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        ("arrival", "ba1de"),
        ("score_falling", "be1ad"),
        ("score_rising", "a1ebd"),
        ("name", "1deab"),
        ("label", "b1aed"),
    ],
)
def test_answers_are_sorted_and_those_without_one_come_last(
    store: Store, answers: Answers, order: str, wanted: str
) -> None:
    assert "".join(shown(answers, kept(store), order=order)) == wanted


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"labels": (CAT,)}, "b1"),
        ({"labels": (CAT, DOG)}, "ba1e"),
        ({"labels": ("no such label",)}, ""),
        ({"truths": ("dog",)}, "de"),
        ({"outcomes": ("right",)}, "be"),
        ({"outcomes": ("wrong",)}, "a"),
        ({"outcomes": ("unknown",)}, "1"),
        ({"outcomes": ("unanswered",)}, "d"),
        ({"outcomes": ("wrong", "unanswered")}, "ad"),
        ({"min_score": 0.6}, "b1e"),
        ({"max_score": 0.6}, "a1"),
        ({"name": "IN/"}, "ba"),
        ({"name": "%_c"}, "1"),
        ({"name": "_"}, "1"),
        ({"name": "!"}, ""),
        ({"truths": ("cat",), "labels": (DOG,)}, "a"),
    ],
)
def test_only_what_passes_every_filter_is_shown(
    store: Store, answers: Answers, wanted: dict[str, object], found: str
) -> None:
    assert "".join(shown(answers, kept(store), **wanted)) == found


def test_what_another_run_answered_otherwise_is_what_agreement_says(store: Store, answers: Answers) -> None:
    other = [
        PREDICTIONS[4],
        replace(PREDICTIONS[0], label=DOG),
        replace(PREDICTIONS[1], status="error", label=None, score=None, top=(), reason="gone"),
        replace(PREDICTIONS[3], reason="another reason"),
    ]
    mine, theirs = kept(store), kept(store, other)

    differing = [p.image_id for p in answers.page(mine, AnswerFilter(differs_from=theirs), limit=10)]

    records = store.get(theirs), store.get(mine)
    assert records[0] is not None
    assert records[1] is not None
    assert differing == ["in/b.jpg", "in/a.jpg"]
    assert set(differing) == set(agreement(*records).differing)


def test_nothing_differs_from_a_run_that_is_not_there(store: Store, answers: Answers) -> None:
    assert answers.count(kept(store), AnswerFilter(differs_from="gone")) == 0


def test_the_answers_for_some_images_are_found_by_name(store: Store, answers: Answers) -> None:
    found = answers.of_images(kept(store), ["e.jpg", "d.jpg", "none.jpg"])

    assert {image_id: prediction.label for image_id, prediction in found.items()} == {"e.jpg": DOG, "d.jpg": None}


def test_answers_are_counted_by_truth_and_label(store: Store, answers: Answers) -> None:
    assert set(answers.tally(kept(store))) == {
        Cell("cat", CAT, 1),
        Cell("cat", DOG, 1),
        Cell(None, CAT, 1),
        Cell("dog", None, 1),
        Cell("dog", DOG, 1),
    }


def test_the_answers_of_other_runs_are_left_out(store: Store, answers: Answers) -> None:
    kept(store)
    assert shown(answers, kept(store, PREDICTIONS[:1])) == ["b"]


def test_a_run_in_the_bin_or_none_at_all_has_no_answers(store: Store, answers: Answers) -> None:
    run_id = kept(store)
    History(store.database).delete([run_id])
    for asked in (run_id, "none"):
        assert shown(answers, asked) == []
        assert answers.tally(asked) == []
        assert answers.of_images(asked, ["e.jpg"]) == {}
