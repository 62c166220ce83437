"""The waterfall: what each step adds."""

from __future__ import annotations

from test_charts import values_of

from pages.ui.waterfall import TOTAL, Bar, waterfall_chart

STEPS = (
    Bar(name="naive", strategy="naive", rate=5.0, label="5.00 images/s"),
    Bar(name="load once", strategy="actor", rate=30.0, previous=5.0, label="× 6.0", interval="× 6.0, 95 %: 5.0 to 7.0"),
    Bar(name="overlap", strategy="pipelined", rate=24.0, previous=30.0, label="× 0.80"),
)
ALL = Bar(name="", strategy="actor", rate=30.0, label="30.0 images/s, × 6.0")


def rows(figure):  # type: ignore[no-untyped-def]
    return {row["step"]: row for row in values_of(figure) if "rate" in row}


def test_a_bar_reaches_from_the_rate_before_to_its_own() -> None:
    drawn = rows(waterfall_chart(STEPS, title="t"))
    assert [(row["previous"], row["rate"]) for row in drawn.values()] == [(0.0, 5.0), (5.0, 30.0), (30.0, 24.0)]


def test_the_total_comes_last_and_starts_at_zero() -> None:
    drawn = rows(waterfall_chart(STEPS, total=ALL, title="t"))
    assert list(drawn)[-1] == TOTAL
    assert (drawn[TOTAL]["previous"], drawn[TOTAL]["rate"], drawn[TOTAL]["opacity"]) == (0.0, 30.0, 0.0)


def test_a_step_that_costs_is_pale_and_says_by_how_much() -> None:
    drawn = rows(waterfall_chart(STEPS, title="t"))
    assert drawn["overlap"]["opacity"] < drawn["load once"]["opacity"]
    assert drawn["overlap"]["label"] == "× 0.80"


def test_the_tooltip_has_the_interval_of_the_single_change() -> None:
    assert rows(waterfall_chart(STEPS, title="t"))["load once"]["interval"] == "× 6.0, 95 %: 5.0 to 7.0"


def test_the_axis_reaches_the_limit_where_it_is_near() -> None:
    figure = waterfall_chart(STEPS, limit=60.0, title="t")
    assert any(row.get("text") == "limit 60.0 images/s" for row in values_of(figure))
    assert figure.chart.to_dict()["layer"][0]["encoding"]["x"]["scale"]["domain"][1] > 60
    assert figure.note == "The dashed line is what this machine could do at best."


def test_a_limit_far_away_is_named_and_does_not_press_the_bars_flat() -> None:
    figure = waterfall_chart(STEPS, limit=6000.0, title="t")
    assert figure.chart.to_dict()["layer"][0]["encoding"]["x"]["scale"]["domain"][1] < 40
    assert "6,000 images/s, lies far beyond this chart" in figure.note


def test_steps_of_one_name_stay_two_bars() -> None:
    assert len(rows(waterfall_chart([STEPS[1], STEPS[1]], title="t"))) == 2


def test_who_cannot_see_it_is_told_every_step() -> None:
    alt = waterfall_chart(STEPS, total=ALL, limit=60.0, title="t").alt
    assert "load once 30.0 images/s (× 6.0)" in alt
    assert "the limit of this machine is 60.0 images/s" in alt


def test_without_steps_nothing_is_drawn() -> None:
    assert waterfall_chart([], title="t").chart is None
