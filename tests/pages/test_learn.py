"""The Learn page: which runs show a chapter, the experiments, and what the page says of both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import seed

from inference import lessons
from inference.lessons import (
    LESSONS,
    MOST_IMAGES,
    Excerpt,
    all_cpus_taken,
    cuts,
    few_and_more_workers,
    keeps_model,
    overlap_share,
    pair,
    source_of,
    two_batch_sizes,
)
from inference.preflight import check
from inference.results import Span
from inference.store import Store
from pages.ui.blocks import sizes_text
from tests.pages.conftest import OpenPage, words

CHAPTERS = [str(number) for number in range(1, len(LESSONS) + 1)]


def strategies(store: Store, first: str, second: str) -> list[str]:
    return [run.config.strategy for run in pair(store.summaries(), first, second)]


# -- which runs fit ----------------------------------------------------------------------------------------


def test_a_pair_has_all_settings_but_the_strategy_in_common(store: Store) -> None:
    seed.comparison(store, (seed.NAIVE, seed.ACTOR.with_(batch_size=8)))
    assert pair(store.summaries(), "naive", "actor") == ()


def test_the_newest_pair_is_taken(store: Store) -> None:
    seed.comparison(store, (seed.NAIVE, seed.ACTOR))
    newest = seed.comparison(store, (seed.NAIVE, seed.ACTOR))
    assert [run.id for run in pair(store.summaries(), "naive", "actor")] == newest


def test_a_run_of_the_same_comparison_is_preferred_to_a_newer_one_of_its_kind(store: Store) -> None:
    together = seed.comparison(store, (seed.NAIVE, seed.ACTOR))
    seed.finished(store, seed.NAIVE)
    assert [run.id for run in pair(store.summaries(), "naive", "actor")] == together


def test_runs_that_were_queued_apart_are_a_pair_too(store: Store) -> None:
    seed.finished(store, seed.ACTOR)
    seed.finished(store, seed.NAIVE)
    assert strategies(store, "naive", "actor") == ["naive", "actor"]


def test_a_run_that_did_not_finish_shows_nothing(store: Store) -> None:
    seed.finished(store, seed.ACTOR)
    seed.ended(store, "failed", config=seed.NAIVE)
    assert pair(store.summaries(), "naive", "actor") == ()


def test_a_run_that_was_measured_elsewhere_shows_nothing(store: Store) -> None:
    run_id = seed.finished(store, seed.ACTOR)
    with store.database.transaction() as db:
        db.execute("UPDATE runs SET imported_at = 1.0 WHERE id = ?", (run_id,))
    assert keeps_model(store.summaries()) == ()


def test_a_run_that_is_too_large_to_be_read_whole_is_passed_over(store: Store) -> None:
    small = seed.finished(store, seed.ACTOR)
    store.enqueue([seed.ACTOR.with_(limit=MOST_IMAGES + 1)])
    store.end(seed.start_next(store), "finished")
    assert [run.id for run in keeps_model(store.summaries())] == [small]


def test_a_naive_run_does_not_keep_its_model(store: Store) -> None:
    seed.finished(store, seed.NAIVE)
    assert keeps_model(store.summaries()) == ()


def test_more_workers_may_differ_in_what_they_reserve_and_in_nothing_else(store: Store) -> None:
    alone = seed.finished(store, seed.ACTOR)
    seed.finished(store, seed.ACTOR.with_(concurrency=2, batch_size=8))
    wide = seed.finished(store, seed.ACTOR.with_(concurrency=2, cpus_per_worker=0.5, threads=1))
    assert [run.id for run in few_and_more_workers(store.summaries())] == [alone, wide]


def test_one_worker_alone_is_shown_where_there_are_no_more(store: Store) -> None:
    alone = seed.finished(store, seed.ACTOR)
    assert [run.id for run in few_and_more_workers(store.summaries())] == [alone]


def test_two_batch_sizes_come_with_the_smaller_one_first(store: Store) -> None:
    large = seed.finished(store, seed.BATCHED.with_(batch_size=32))
    small = seed.finished(store, seed.BATCHED.with_(batch_size=4))
    assert [run.id for run in two_batch_sizes(store.summaries())] == [small, large]


# -- experiments -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(len(LESSONS)))
@pytest.mark.parametrize("cpus", [1, 2, 16])
def test_an_experiment_fits_the_machine_and_is_small(number: int, cpus: int) -> None:
    hardware = replace(seed.HARDWARE, cpus=cpus, cpu_limit=float(cpus))
    configs = LESSONS[number].experiment(hardware)
    assert all(check(config, hardware).fits for config in configs)
    assert {config.limit for config in configs} == {100}


@pytest.mark.parametrize("number", range(len(LESSONS)))
def test_the_runs_of_an_experiment_are_runs_that_its_chapter_shows(store: Store, number: int) -> None:
    lesson = LESSONS[number]
    ids = seed.comparison(store, lesson.experiment(seed.HARDWARE))
    shown = [run.id for run in lesson.fitting(store.summaries())]
    assert shown
    assert set(shown) <= set(ids)


def test_workers_on_all_cpus_are_what_preflight_refuses() -> None:
    verdict = check(all_cpus_taken(seed.HARDWARE), seed.HARDWARE)
    assert not verdict.fits
    assert "for reading" in verdict.sentence


# -- what is measured --------------------------------------------------------------------------------------


def test_blocks_are_what_was_read_together_and_batches_what_went_through_the_model_together() -> None:
    spans = [
        Span("reader 1", "read", 0.0, 0.1, 8),
        Span("reader 1", "read", 0.1, 0.2, 2),
        *(Span("worker 1", "forward", 1.0 + n, 1.5 + n, 1, n // 4) for n in range(10)),
    ]
    found = cuts(spans)
    assert (found.blocks, found.batches) == ((8, 2), (4, 4, 2))


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ((16, 16), "of 16 images"),
        ((16, 16, 4), "of 16 images (1 of another size)"),
        ((16, 4), "of 4 to 16 images"),
        ((1,), "of 1 image"),
    ],
)
def test_sizes_are_said_in_few_words(sizes: tuple[int, ...], text: str) -> None:
    assert sizes_text(sizes) == text


def test_overlap_is_the_share_of_forward_passes_that_had_decoding_beside_them() -> None:
    spans = [
        Span("worker 1", "forward", 0.0, 4.0, 4, 0),
        Span("worker 1", "forward", 6.0, 10.0, 4, 1),
        Span("decoder 2", "preprocess", 3.0, 7.0, 4),
        Span("decoder 3", "preprocess", 3.5, 6.5, 4),  # beside another decoder, it counts once
    ]
    assert overlap_share(spans) == pytest.approx(2 / 8)


def test_decoding_in_the_workers_own_turns_is_no_overlap() -> None:
    spans = [Span("worker 1", "preprocess", 0.0, 1.0, 4, 0), Span("worker 1", "forward", 1.0, 2.0, 4, 0)]
    assert overlap_share(spans) == 0


def test_overlap_is_unknown_without_forward_passes() -> None:
    assert overlap_share([]) is None


# -- source ------------------------------------------------------------------------------------------------


def test_a_function_is_shown_as_it_stands_in_its_file() -> None:
    shown = source_of(Excerpt(path="strategies/naive.py", name="classify_batch"))
    text = (Path(lessons.__file__).parent / "strategies" / "naive.py").read_text("utf-8")
    assert shown.startswith("def classify_batch(batch: pa.Table")
    assert text.rstrip().endswith(shown)  # it is the last one of its file


def test_a_method_is_shown_without_the_indent_of_its_class() -> None:
    shown = source_of(Excerpt(path="strategies/answers.py", name="Plan.resources"))
    assert shown.startswith("def resources(self)")
    assert "\n    return {" in shown


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(LookupError, match=r"naive\.py has no nothing"):
        source_of(Excerpt(path="strategies/naive.py", name="nothing"))


# -- the page ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_without_a_run_a_chapter_says_so_and_shows_no_number_and_no_chart(
    store: Store, open_page: OpenPage, chapter: str
) -> None:
    seed.engine(store)
    app = open_page("learn", {"chapter": chapter})
    assert not app.exception
    assert "has been measured here yet" in words(app)
    assert not app.get("vega_lite_chart")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_with_its_experiment_done_a_chapter_shows_a_chart_and_the_code(
    store: Store, open_page: OpenPage, chapter: str
) -> None:
    seed.engine(store)
    lesson = LESSONS[int(chapter) - 1]
    seed.comparison(store, lesson.experiment(seed.HARDWARE))
    app = open_page("learn", {"chapter": chapter})
    assert not app.exception
    assert "has been measured here yet" not in words(app)
    assert app.get("vega_lite_chart")
    assert [block.value for block in app.code] == [source_of(excerpt) for excerpt in lesson.source]


def test_the_first_chapter_counts_the_loads_of_the_runs_that_it_shows(store: Store, open_page: OpenPage) -> None:
    seed.engine(store)
    seed.comparison(store, (seed.NAIVE, seed.ACTOR))
    assert "Naive loaded the model 25 times" in words(open_page("learn"))


def test_a_chapter_that_there_is_not_is_said_and_the_first_one_shown(store: Store, open_page: OpenPage) -> None:
    app = open_page("learn", {"chapter": "9"})
    assert "There is no chapter 9" in words(app)
    assert app.header[0].value.startswith("1. ")


def test_the_address_names_the_chapter_that_is_shown(store: Store, open_page: OpenPage) -> None:
    assert open_page("learn").query_params["chapter"] == "1"


def test_the_fourth_chapter_has_preflights_sum_for_this_machine(store: Store, open_page: OpenPage) -> None:
    seed.engine(store)
    app = open_page("learn", {"chapter": "4"})
    assert check(all_cpus_taken(seed.HARDWARE), seed.HARDWARE).sentence in words(app).replace("\\", "")


def test_the_button_queues_the_experiment_once_and_shows_that_it_waits(store: Store, open_page: OpenPage) -> None:
    seed.engine(store)
    app = open_page("learn", {"chapter": "2"})
    next(button for button in app.button if button.label == "Run both").click().run()
    queued = [run.config for run in store.summaries()]
    assert list(reversed(queued)) == list(LESSONS[1].experiment(seed.HARDWARE))
    assert next(button for button in app.button if button.label == "Run both").disabled


def test_a_run_of_another_chapter_does_not_hold_the_button_back(store: Store, open_page: OpenPage) -> None:
    seed.engine(store)
    store.enqueue(LESSONS[0].experiment(seed.HARDWARE), compare=True)
    app = open_page("learn", {"chapter": "2"})
    assert not next(button for button in app.button if button.label == "Run both").disabled


def test_an_experiment_that_failed_shows_its_cause(store: Store, open_page: OpenPage) -> None:
    seed.engine(store)
    ids = store.enqueue(LESSONS[0].experiment(seed.HARDWARE), compare=True)
    for run_id in ids:
        seed.start_next(store)
        store.end(run_id, "failed", error="The disk is full.")
    assert "The disk is full." in words(open_page("learn"))
