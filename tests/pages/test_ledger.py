"""What loading cost, from how many images loading once pays, and the formula with its sliders."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
import seed
from streamlit.testing.v1 import AppTest

from inference.arms import Arm, arms_of
from inference.config import RunConfig
from inference.ledger import ledger
from inference.store import Store
from pages.ui.ledger import (
    batch_sizes,
    break_even_sentences,
    naive_of,
    reasons,
    scale_around,
    set_against,
    table_row,
)
from pages.ui.loading_curve import Terms, prediction_chart
from tests.pages.conftest import OpenPage, words

Drawn = Callable[[Sequence[RunConfig]], AppTest]

L, B, T = "L: seconds per load", "B: images per batch", "t: milliseconds per image"


def arms(store: Store, configs: Sequence[RunConfig] = (seed.NAIVE, seed.ACTOR)) -> tuple[Arm, ...]:
    records = [store.get(run_id) for run_id in seed.comparison(store, configs)]
    return arms_of([record for record in records if record is not None])


@pytest.fixture
def drawn(store: Store, open_page: OpenPage) -> Drawn:
    """The Compare page, which shows the ledger, of finished runs with these settings."""

    def opened(configs: Sequence[RunConfig]) -> AppTest:
        ids = seed.comparison(store, configs)
        app = open_page("compare", {"runs": ",".join(ids)})
        assert not app.exception
        return app

    return opened


def slider(app: AppTest, label: str):  # type: ignore[no-untyped-def]  # AppTest's own kind of element
    return next(element for element in app.select_slider if element.label == label)


def measured_terms(store: Store) -> Terms:
    naive = next(run for run in store.latest_comparison() if run.config.strategy == "naive")
    found = Terms.measured(ledger(store.spans(naive.id)))
    assert found is not None
    return found


def test_the_table_has_loads_seconds_and_their_share(store: Store) -> None:
    naive, actor = (table_row(arm) for arm in arms(store))
    assert (naive["loads"], actor["loads"]) == ("25", "1")
    assert naive["seconds each"].startswith("0.3")
    assert naive["share of worker time"].endswith("%")


def test_a_run_without_a_load_has_dashes_and_no_zeros(store: Store) -> None:
    seed.ended(store, "failed", share=0.0)
    record = store.get(store.summaries()[0].id)
    assert record is not None
    [arm] = arms_of([record])
    assert {value for name, value in table_row(arm).items() if name != "run"} <= {"–"}


def test_it_says_from_how_many_images_loading_once_pays(store: Store, drawn: Drawn) -> None:
    assert "pays for itself from" in words(drawn((seed.NAIVE, seed.ACTOR)))


def test_without_a_naive_run_it_says_what_to_run(store: Store, drawn: Drawn) -> None:
    app = drawn((seed.ACTOR, seed.BATCHED))
    assert "Run the strategy naive" in words(app)
    assert not app.select_slider


def test_a_naive_run_alone_has_nothing_to_break_even(store: Store) -> None:
    [naive] = arms(store, (seed.NAIVE,))
    assert "nothing to break even" in " ".join(break_even_sentences(naive, set_against([naive], naive)))


def test_the_sliders_start_at_what_was_measured_to_the_last_digit(store: Store, drawn: Drawn) -> None:
    app = drawn((seed.NAIVE, seed.ACTOR))
    terms = measured_terms(store)
    found = tuple(slider(app, label).value for label in (L, B, T))
    assert found == (terms.load_s, terms.batch_images, terms.image_s)


def test_a_slider_changes_what_the_formula_says_and_the_button_takes_it_back(store: Store, drawn: Drawn) -> None:
    app = drawn((seed.NAIVE, seed.ACTOR))
    before = predicted(app)
    slider(app, B).set_value(64.0).run()
    assert predicted(app) != before
    next(button for button in app.button if button.label == "Back to what was measured").click().run()
    assert predicted(app) == before
    assert slider(app, B).value == measured_terms(store).batch_images


def predicted(app: AppTest) -> str:
    return next(element.value for element in app.markdown if element.value.startswith("**By the formula"))


def test_the_button_back_is_idle_while_nothing_was_changed(store: Store, drawn: Drawn) -> None:
    app = drawn((seed.NAIVE, seed.ACTOR))
    assert next(button for button in app.button if button.label == "Back to what was measured").disabled


def test_the_marks_of_a_slider_are_evenly_far_apart_as_factors_and_hold_the_measured_value() -> None:
    marks = scale_around(0.31234567)
    factors = {round(b / a, 9) for a, b in itertools.pairwise(marks)}
    assert 0.31234567 in marks
    assert factors == {round(2**0.5, 9)}


def test_batch_sizes_are_powers_of_two_and_the_measured_mean_in_its_place() -> None:
    marks = batch_sizes(14.285714285714286)
    assert marks == sorted(marks)
    assert marks[marks.index(14.285714285714286) - 1] == 8.0


def test_other_images_are_not_set_against_the_naive_run(store: Store) -> None:
    sides = arms(store, (seed.NAIVE, seed.ACTOR.with_(limit=40)))
    naive = naive_of(sides)
    assert naive is not None
    assert set_against(sides, naive) == []


def test_a_naive_run_that_is_not_the_baseline_is_still_what_others_are_set_against(store: Store) -> None:
    sides = arms(store, (seed.ACTOR, seed.NAIVE))
    naive = naive_of(sides)
    assert naive is not None
    [other] = set_against(sides, naive)
    assert other.arm.strategy == "actor"
    assert other.ratio > 1


def test_the_difference_is_explained_with_set_up_and_waiting_that_were_measured(store: Store) -> None:
    naive, actor = arms(store)
    said = " ".join(reasons(naive, actor))
    assert "Set-up" in said
    assert "nothing to do" in said
    assert "worker process" not in said


def test_several_workers_are_named_as_a_reason(store: Store) -> None:
    naive, actor = arms(store, [config.with_(concurrency=2) for config in (seed.NAIVE, seed.ACTOR)])
    assert "worker processes" in " ".join(reasons(naive, actor))


def test_the_chart_has_the_measured_ratio_and_says_it_in_words(store: Store) -> None:
    sides = arms(store)
    naive = naive_of(sides)
    assert naive is not None
    terms = Terms.measured(ledger(naive.median.spans))
    assert terms is not None
    figure = prediction_chart(terms, terms, set_against(sides, naive))
    assert "actor was measured at" in figure.alt
    assert "measured" in figure.chart.to_json()
