"""Runs as they stood at any second, and the clock that moves through them."""

from __future__ import annotations

import time

import pytest

from inference import replay
from inference.config import RunConfig
from inference.replay import UNSEEN_S, Clock, Recording, as_of
from inference.results import Prediction, RunRecord, Sample, Span, metrics

LOAD = Span("worker 1", "load", 0.5, 1.5, 0, 0)
FORWARD = Span("worker 1", "forward", 1.5, 2.5, 2, 0)
RELOAD = Span("worker 1", "load", 3.0, 4.0, 0, 1)
LAST = Span("worker 1", "forward", 4.0, 5.2, 2, 1)


def answer(number: int, done_s: float) -> Prediction:
    return Prediction(f"image {number}", "seven", 0.9, top=(("seven", 0.9), (f"label {number}", 0.1)), done_s=done_s)


RUN = RunRecord(
    id="one",
    state="finished",
    config=RunConfig(strategy="naive", limit=4),
    created_at=1.0,
    started_at=2.0,
    finished_at=9.0,
    spans=(LAST, FORWARD, LOAD, RELOAD),
    samples=(Sample("worker 1", 2.5, 2.0, 64), Sample("worker 1", 0.5, 1.0, 32)),
    # As workers report them, not quite in the order of time.
    predictions=(answer(2, 5.0), answer(0, 2.5), answer(1, 2.5), answer(3, 5.0)),
    messages=("Ray is ready.",),
    plan="a plan",
)


def test_at_the_start_nothing_has_happened_and_all_images_are_ahead() -> None:
    start = as_of(RUN, 0.0)
    assert (start.spans, start.samples, list(start.predictions)) == ((), (), [])
    assert start.progress is not None
    assert (start.progress.images_done, start.progress.images_total, start.progress.phase) == (0, 4, "setting up")


def test_in_the_middle_only_what_had_been_measured_by_then_is_there() -> None:
    middle = as_of(RUN, 3.25)
    assert [prediction.image_id for prediction in middle.predictions] == ["image 0", "image 1"]
    assert [sample.at_s for sample in middle.samples] == [0.5, 2.5]
    assert middle.progress is not None
    assert (middle.progress.images_done, middle.progress.elapsed_s, middle.progress.phase) == (2, 3.25, "classifying")


def test_a_span_that_goes_on_is_cut_off_and_those_before_it_are_whole() -> None:
    assert as_of(RUN, 3.25).spans == (LOAD, FORWARD, Span("worker 1", "load", 3.0, 3.25, 0, 1))


def test_long_spans_are_cut_off_although_many_began_after_them() -> None:
    short = tuple(Span("worker 2", "forward", 1 + i / 10, 1.05 + i / 10) for i in range(20))
    cut = as_of(RunRecord(id="x", state="finished", config=RunConfig(), created_at=0, spans=(LOAD, *short)), 1.3)
    assert max(span.end_s for span in cut.spans) == 1.3
    assert sum(span.worker == "worker 1" for span in cut.spans) == 1


def test_until_its_end_a_run_is_running_and_what_has_no_time_is_unknown() -> None:
    middle = as_of(RUN, 3.25)
    assert (middle.state, middle.finished_at, middle.plan, middle.messages) == ("running", None, None, ())


def test_an_answer_keeps_everything_that_is_known_of_it() -> None:
    assert list(as_of(RUN, 2.5).predictions) == [answer(0, 2.5), answer(1, 2.5)]


def test_from_its_last_second_on_it_is_the_run_itself() -> None:
    for second in (5.2, 60.0):
        end = as_of(RUN, second)
        assert (end.state, end.finished_at, end.plan, end.messages) == ("finished", 9.0, "a plan", ("Ray is ready.",))
        assert metrics(end) == metrics(RUN)
        assert end.progress is not None
        assert (end.progress.images_done, end.progress.elapsed_s, end.progress.phase) == (4, 5.2, "done")


def test_the_length_is_until_the_last_thing_that_was_measured() -> None:
    assert Recording.of(RUN).length_s == 5.2
    assert Recording.of(RunRecord(id="x", state="finished", config=RunConfig(), created_at=0)).length_s == 0.0


@pytest.mark.parametrize("second", [0.4, 0.5, 1.0, 3.25, 4.99, 5.2])
def test_figures_so_far_are_those_of_the_run_as_it_stood(second: float) -> None:
    recording, then = Recording.of(RUN), as_of(RUN, second)
    assert recording.model_loads(second) == metrics(then).model_loads
    assert recording.images_per_s(second) == pytest.approx(len(then.predictions) / min(second, 5.0))


def test_the_rate_ends_as_that_of_the_run_and_is_unknown_before_it_began() -> None:
    recording = Recording.of(RUN)
    assert recording.images_per_s(5.2) == metrics(RUN).images_per_s
    assert recording.images_per_s(0.0) is None


def test_side_by_side_all_begin_together() -> None:
    scenes = replay.side_by_side([Recording.of(RUN), Recording.of(RUN)])
    assert [scene.starts_s for scene in scenes] == [0.0, 0.0]
    assert [scene.second(3.0) for scene in scenes] == [3.0, 3.0]


def test_one_after_another_each_begins_when_the_one_before_has_ended() -> None:
    scenes = replay.one_after_another([Recording.of(RUN)] * 3)
    assert [scene.starts_s for scene in scenes] == [0.0, 5.2, 10.4]
    assert [scene.second(6.2) for scene in scenes] == [5.2, 1.0, 0.0]
    assert [replay.playing_at(scenes, at) for at in (0.0, 5.1, 5.3, 10.5, 99.0)] == [0, 0, 1, 2, 2]


@pytest.mark.parametrize(("length_s", "step"), [(2.7, 0.1), (25.0, 0.2), (90.0, 0.5), (3600.0, 30.0), (1e9, 3600.0)])
def test_a_replay_is_wound_by_round_steps(length_s: float, step: float) -> None:
    assert replay.step_s(length_s) == step
    assert length_s <= replay.whole_steps_s(length_s) < length_s + step


def test_a_clock_that_plays_moves_with_time_times_its_speed() -> None:
    clock = Clock(length_s=60.0).at_speed(5.0).played(100.0)
    assert clock.at(102.0).position_s == 10.0
    assert clock.at(102.0).at(103.0).position_s == 15.0


def test_a_clock_that_is_paused_stands_still_and_goes_on_from_there() -> None:
    paused = Clock(length_s=60.0).played(100.0).at(104.0).paused()
    assert paused.at(500.0).position_s == 4.0
    assert paused.played(500.0).at(501.0).position_s == 5.0


def test_a_clock_stops_at_the_end_and_plays_again_from_the_start() -> None:
    ended = Clock(length_s=8.0).at_speed(2.0).played(100.0).at(105.0)
    assert (ended.position_s, ended.playing, ended.ended) == (8.0, False, True)
    again = ended.played(200.0)
    assert (again.position_s, again.playing) == (0.0, True)


def test_a_clock_that_nobody_looked_at_stands_where_it_was_last_seen() -> None:
    left = Clock(length_s=60.0).played(100.0).at(103.0)
    back = left.at(103.0 + UNSEEN_S + 1)
    assert (back.position_s, back.playing) == (3.0, False)


def test_a_clock_that_is_moved_plays_on_from_there_unless_that_is_the_end() -> None:
    clock = Clock(length_s=60.0).played(100.0)
    assert clock.moved(30.0).at(101.0).position_s == 31.0
    assert not clock.moved(70.0).playing
    assert clock.moved(70.0).position_s == 60.0


def test_any_second_of_a_large_run_is_found_quickly() -> None:
    images = 100_000
    run = RunRecord(
        id="large",
        state="finished",
        config=RunConfig(limit=images),
        created_at=0,
        spans=tuple(Span("worker 1", "forward", i / 100, (i + 1) / 100, 1, i) for i in range(images)),
        predictions=tuple(answer(i, (i + 1) / 100) for i in range(images)),
    )
    recording = Recording.of(run)
    began = time.process_time()  # other tests' processes do not count
    then = recording.as_of(900.0)
    assert time.process_time() - began < 0.1
    assert (len(then.predictions), len(then.spans)) == (90_000, 90_000)
