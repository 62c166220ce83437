"""Whether runs give the same answers, in words, charts and pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import seed
from conftest import words
from streamlit.testing.v1 import AppTest

from inference.accuracy import Cell, confusions
from inference.arms import Arm, arms_of
from inference.config import RunConfig
from inference.parity import Agreement
from inference.store import Store
from pages.ui import agreement, confusion, filters

ONE = RunConfig(strategy="naive", limit=30)
OTHER = RunConfig(strategy="actor", limit=30)


def agreed(*differences: float, images: int = 10, differing: tuple[str, ...] = ()) -> Agreement:
    return Agreement(
        images=images,
        agree=images - len(differing),
        max_score_difference=max(differences, default=None),
        differing=differing,
        score_differences=differences,
    )


def arms(store: Store, **other: tuple[int, ...]) -> tuple[Arm, ...]:
    """Two finished runs of the same images; the second is wrong where the keywords say so."""
    ids = (seed.finished(store, ONE, wrong=()), seed.finished(store, OTHER, **{"wrong": (), **other}))
    records = [store.get(run_id) for run_id in ids]
    return arms_of([record for record in records if record is not None])


SCRIPT = """
import streamlit as st
from inference.arms import arms_of
from pages.ui import agreement, state

def page():
    store = state.store()
    records = [store.get(run.id) for run in reversed(store.summaries())]
    agreement.draw(store, arms_of(records))

st.navigation([st.Page(page, title="Compare", default=True), st.Page("pages/predictions.py")]).run()
"""


@pytest.fixture
def draw(tmp_path: Path, store: Store) -> Callable[[], AppTest]:
    """Draws nothing but the agreement of all runs, in an app with a Predictions page."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "predictions.py").touch()
    (tmp_path / "script.py").write_text(SCRIPT)
    return lambda: AppTest.from_file(str(tmp_path / "script.py"), default_timeout=60).run()


def test_images_with_two_answers_are_shown_with_both_and_lead_to_all_of_them(
    store: Store, draw: Callable[[], AppTest]
) -> None:
    seed.samples(store.home, 30)
    base, arm = arms(store, wrong=(4, 9))
    app = draw()
    assert not app.exception
    said = words(app).replace("\\", "")
    assert "actor and naive agree on 28 of 30 images, largest score difference 0." in said
    assert "**three** 55 %" in said
    link = next(link for link in app.page_link if "two answers" in link.label)
    assert link.label == "All 2 images that got two answers"
    assert link.proto.query_string == f"run={arm.median.id}&other={base.median.id}"


def test_accuracy_is_said_once_for_runs_that_answer_alike(store: Store, draw: Callable[[], AppTest]) -> None:
    arms(store)
    app = draw()
    assert [box.label.replace("\\", "") for box in app.expander] == ["naive and actor: All 30 answers are right"]


def test_accuracy_is_said_of_each_run_where_answers_differ(store: Store, draw: Callable[[], AppTest]) -> None:
    arms(store, wrong=(4, 9))
    app = draw()
    labels = [box.label.replace("\\", "") for box in app.expander]
    assert labels == ["naive: All 30 answers are right", "actor: 28 of 30 answers are right (93 %)"]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            agreed(0.0, 0.0003, images=250, differing=("a",)),
            "agree on 249 of 250 images, largest score difference 0.0003",
        ),
        (agreed(0.0, 2e-7), "agree on 10 of 10 images, scores equal"),
        (agreed(), "agree on 10 of 10 images, and no score can be compared"),
        (agreed(images=0), "have no image in common"),
    ],
)
def test_agreement_is_one_sentence(store: Store, found: Agreement, said: str) -> None:
    base, arm = arms(store)
    assert agreement.sentence(base, arm, found) == f"actor and naive {said}"


def test_scores_that_are_all_equal_have_no_histogram() -> None:
    assert agreement.differences_figure(agreed(0.0, 1e-7)) is None
    assert agreement.differences_figure(agreed()) is None


def test_the_histogram_counts_by_decade_and_ends_with_the_largest() -> None:
    figure = agreement.differences_figure(agreed(0.0, 0.0005, 0.0006, 0.04))
    assert figure is not None
    assert figure.title == "75 % of the scores are within 0.01 of each other"
    assert "equal: 1 image; to 1e-5: 0 images; to 0.0001: 0 images; to 0.001: 2 images" in figure.alt
    assert "to 0.1: 1 image." in figure.alt


# -- taken for what ----------------------------------------------------------------------------------------


def test_a_matrix_has_its_counts_written_in_its_cells() -> None:
    figure = confusion.matrix(confusions([Cell("a", "a", 3), Cell("a", "b", 1), Cell("b", None, 2)]))
    rows = figure.chart.to_dict()["data"]["values"]
    assert figure.title == "Most often, a is taken for b: 1 image"
    assert {(row["truth"], row["taken_for"]): row["images"] for row in rows} == {
        ("a", "a"): 3,
        ("a", "b"): 1,
        ("b", "no answer"): 2,
    }
    assert "1 image of a, taken for b" in figure.alt


def test_a_pair_leads_to_its_pictures() -> None:
    (one,) = confusions([Cell("tench", "pike, Esox", 2)])
    assert filters.query("run1", truths=(one.truth,), labels=one.labels) == [
        ("run", "run1"),
        ("label", "pike, Esox"),
        ("truth", "tench"),
    ]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([Cell("a", "a", 3), Cell("b", "a", 1)], "3 of 4 answers are right (75 %)"),
        ([Cell("a", "a", 3)], "All 3 answers are right"),
        ([Cell("a", None, 3)], "No image with a known truth has an answer"),
    ],
)
def test_accuracy_is_one_sentence(cells: list[Cell], said: str) -> None:
    assert confusion.accuracy_text(confusions(cells)) == said
