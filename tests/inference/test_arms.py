"""Sides of a comparison: what they are called, and which one wins."""

from dataclasses import replace

import pytest

from inference.arms import arm_labels, arms_of, headline, winner
from inference.config import RunConfig
from inference.results import Prediction, RunRecord
from tests.inference.exporting import side


def with_other_answers(run: RunRecord, number: int) -> RunRecord:
    """The same run with another label for so many of its images."""
    changed = [replace(p, label="dog", top=(("dog", 0.9),)) for p in run.predictions[:number]]
    return replace(run, predictions=(*changed, *run.predictions[number:]))


def test_repeats_of_a_configuration_are_one_arm_with_its_median() -> None:
    runs = [side("naive", seconds=8), side("actor", seconds=4), side("actor", seconds=5), side("naive", seconds=9)]

    naive, actor = arms_of(runs)

    assert [run.id for run in actor.runs] == ["actor-4", "actor-5"]
    assert actor.median.id == "actor-5"
    assert naive.speedup is None
    assert actor.speedup is not None
    assert actor.speedup.ratio == pytest.approx(8.47 / 4.44, rel=0.01)
    assert actor.agreement is not None
    assert actor.agreement.share == 1


def test_runs_of_one_configuration_are_set_against_each_other() -> None:
    first, second = arms_of([side("actor", seconds=4, id="aaaaaaaa"), side("actor", seconds=5, id="bbbbbbbb")])

    assert (first.label, second.label) == ("actor · aaaaaa", "actor · bbbbbb")


def test_labels_tell_no_more_settings_than_needed() -> None:
    configs = [
        RunConfig(strategy="naive"),
        RunConfig(strategy="batched", batch_size=4),
        RunConfig(strategy="batched", batch_size=16),
    ]

    labels = arm_labels([side("actor", seconds=4, config=config) for config in configs])

    assert labels == ["naive", "batched · batch 4", "batched · batch 16"]


def test_a_label_shortens_a_long_name_and_spells_out_what_reorders_a_line() -> None:
    models = ["/models/" + "x" * 90, "a\u202eb"]

    labels = arm_labels([side("actor", seconds=4, config=RunConfig(model=model)) for model in models])

    assert len(labels[0]) < 45
    assert "…" in labels[0]
    assert labels[1] == "actor · a⟨U+202E⟩b"


def test_the_fastest_side_with_the_same_answers_wins() -> None:
    found = winner(arms_of([side("naive", seconds=20), side("actor", seconds=9), side("pipelined", seconds=4)]))

    assert found is not None
    assert found.arm.label == "pipelined"
    assert found.reason == "pipelined is the fastest of the 3 that give the same answers: 10.0 images/s."


def test_a_faster_side_with_other_answers_is_passed_over_with_the_reason() -> None:
    other = with_other_answers(side("pipelined", seconds=4), 2)

    found = winner(arms_of([side("naive", seconds=20), side("actor", seconds=9), other]))

    assert found is not None
    assert found.arm.label == "actor"
    assert found.reason.endswith("pipelined was faster, but its answers agree on only 95 % of the images.")


def test_of_two_that_tie_the_simpler_one_wins() -> None:
    repeats = [
        side(name, seconds=s) for name, s in (("pipelined", 3.7), ("actor", 3.9), ("pipelined", 4.2), ("actor", 4))
    ]

    found = winner(arms_of([side("naive", seconds=20), *repeats]))

    assert found is not None
    assert found.arm.label == "actor"
    assert found.reason == "actor and pipelined are a tie, and actor is the simpler of the two: 10.0 images/s."


def test_of_one_strategy_the_one_with_fewer_options_wins_a_tie() -> None:
    plain, special = RunConfig(strategy="batched"), RunConfig(strategy="batched", channels_last=True, dtype="bfloat16")
    runs = [
        side("naive", seconds=20),
        side("batched", seconds=4, config=special),
        side("batched", seconds=4, config=plain),
    ]

    found = winner(arms_of(runs))

    assert found is not None
    assert found.arm.median.config == plain


def test_the_baseline_wins_where_nothing_is_faster() -> None:
    found = winner(arms_of([side("actor", seconds=4), side("naive", seconds=20)]))

    assert found is not None
    assert found.arm.label == "actor"


def test_the_baseline_wins_where_no_other_gives_its_answers() -> None:
    found = winner(arms_of([side("actor", seconds=9), side("pipelined", seconds=4, label="dog")]))

    assert found is not None
    assert found.reason.startswith("actor is the baseline, and no other gives the same answers: 4.44 images/s.")


def test_nobody_wins_against_a_baseline_without_answers() -> None:
    assert winner(arms_of([side("naive", seconds=4, predictions=()), side("actor", seconds=4)])) is None


def test_sides_over_other_images_cannot_win() -> None:
    others = tuple(Prediction(f"other-{n}.jpg", "cat", 0.9, done_s=2.0) for n in range(40))

    found = winner(arms_of([side("actor", seconds=9), side("pipelined", seconds=2, predictions=others)]))

    assert found is not None
    assert found.arm.label == "actor"


def test_the_headline_names_the_fastest_and_the_agreement_of_all() -> None:
    other = with_other_answers(side("actor", seconds=9), 1)

    told = headline(arms_of([side("naive", seconds=20), other, side("pipelined", seconds=4)]))

    assert told == "Fastest of 2: pipelined is 5.0 × faster than naive; answers agree on 39 of 40 images"
