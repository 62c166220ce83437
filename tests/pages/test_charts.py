"""What charts show, and what they say to someone who cannot see them."""

from __future__ import annotations

import itertools

import pytest
import seed

from inference.lanes import SLOTS, bars, lane_names
from inference.results import PHASES, Span, seconds_by_phase
from pages.ui import charts, format, lines
from pages.ui.lines import cumulative_chart, throughput_chart
from pages.ui.phases import PhaseRow, phases_chart
from pages.ui.timeline import timeline_chart

TWO = {"naive": [(1.0, 0.0), (10.0, 4.0)], "actor": [(1.0, 2.0), (4.0, 28.0)]}
SAME = {"naive": "naive", "actor": "actor"}


def values_of(figure: charts.Figure) -> list[dict]:
    """All rows of data in a chart."""
    spec = figure.chart.to_dict()
    pieces = [
        spec,
        *spec.get("layer", []),
        *(deep for layer in spec.get("layer", []) for deep in layer.get("layer", [])),
    ]
    inline = [row for piece in pieces for row in piece.get("data", {}).get("values", [])]
    named = [row for rows in spec.get("datasets", {}).values() for row in rows]
    return inline + named


def test_throughput_says_who_is_done_when() -> None:
    figure = throughput_chart(TWO, strategies=SAME)
    assert figure.title == "actor is done after 4.0 s, naive after 10.0 s"
    assert "28.0 images/s" in figure.alt


def test_throughput_without_images_draws_nothing_and_says_so() -> None:
    figure = throughput_chart({"naive": []}, strategies=SAME)
    assert figure.chart is None
    assert figure.alt == "No images are done yet."


def test_the_limit_is_drawn_only_when_it_is_known() -> None:
    assert "limit" not in throughput_chart(TWO, strategies=SAME).alt
    known = throughput_chart(TWO, strategies=SAME, limit=40.0)
    assert "the limit of this machine is 40.0 images/s" in known.alt
    assert any("limit 40.0 images/s" in str(row.get("text")) for row in values_of(known))


def test_a_limit_far_above_the_lines_is_named_and_does_not_press_them_flat() -> None:
    figure = throughput_chart(TWO, strategies=SAME, limit=4000.0)
    assert figure.chart.to_dict()["layer"][0]["encoding"]["y"]["scale"]["domain"][1] < 40
    assert "4,000 images/s, lies far beyond this chart" in figure.note


def test_many_lines_are_named_in_a_legend_and_few_at_their_ends() -> None:
    def legend_of(number: int):  # type: ignore[no-untyped-def]
        lines = {f"actor · batch {2**n}": TWO["actor"] for n in range(number)}
        figure = throughput_chart(lines, strategies=dict.fromkeys(lines, "actor"))
        return figure.chart.to_dict()["layer"][0]["encoding"]["color"]["legend"]

    assert legend_of(charts.MOST_LABELS) is None
    assert legend_of(charts.MOST_LABELS + 1) is not None


def test_every_phase_has_a_word_a_place_and_a_colour_of_its_own() -> None:
    assert set(PHASES) == set(charts.PHASE_WORDS) == set(charts.PHASE_ORDER)
    fills = [charts.paint_of(phase, "naive")[0] for phase in PHASES]
    assert len(set(fills)) == len(fills)


def test_warming_up_is_drawn_under_its_own_name() -> None:
    figure = phases_chart([PhaseRow(label="pipelined", strategy="pipelined", seconds={"warmup": 2.8, "forward": 1.0})])
    assert "warming up" in {row["paint"] for row in values_of(figure)}
    assert "warming up 2.8 s" in figure.alt


def test_strategies_differ_in_colour_and_in_shape() -> None:
    assert set(charts.STRATEGY_COLOURS) == set(charts.STRATEGY_SHAPES)
    assert len(set(charts.STRATEGY_COLOURS.values())) == len(charts.STRATEGY_COLOURS)
    assert len(set(charts.STRATEGY_SHAPES.values())) == len(charts.STRATEGY_SHAPES)


def test_two_lines_of_one_strategy_differ_in_their_dashes() -> None:
    figure = throughput_chart({"a": TWO["naive"], "b": TWO["actor"]}, strategies={"a": "actor", "b": "actor"})
    dashes = figure.chart.to_dict()["layer"][0]["encoding"]["strokeDash"]["scale"]["range"]
    assert dashes[0] != dashes[1]


def test_names_at_the_ends_of_lines_do_not_touch() -> None:
    heights = lines._spread({"a": (1.0, 100.0), "b": (1.0, 101.0), "c": (1.0, 102.0)})
    assert all(b - a >= 17 for a, b in itertools.pairwise(sorted(heights.values())))


def test_a_run_with_a_hostile_name_is_drawn_with_its_plain_name() -> None:
    figure = throughput_chart({"a\u202eb": TWO["naive"]}, strategies={"a\u202eb": "naive"})
    assert {row["run"] for row in values_of(figure) if "run" in row} == {"a⟨U+202E⟩b"}


def rows() -> list[PhaseRow]:
    return [
        PhaseRow(
            label=config.strategy,
            strategy=config.strategy,
            seconds=seconds_by_phase(seed.spans_of(config), workers_only=True),
        )
        for config in (seed.NAIVE, seed.ACTOR)
    ]


def test_loading_is_stacked_in_front() -> None:
    drawn = values_of(phases_chart(rows()))
    assert min(drawn, key=lambda row: row["order"])["paint"] == "loading"


def test_bars_add_up_to_the_measured_time() -> None:
    drawn = values_of(phases_chart(rows()))
    naive = sum(row["seconds"] for row in drawn if row["run"] == "naive")
    assert naive == pytest.approx(sum(rows()[0].seconds.values()), abs=0.01)


def test_the_title_compares_the_shares_of_loading() -> None:
    shares = [format.percent(row.seconds["load"] / sum(row.seconds.values())) for row in rows()]
    assert phases_chart(rows()).title == f"Loading takes {shares[0]} of the worker time of naive, {shares[1]} of actor"


def test_waiting_is_an_outline() -> None:
    waiting = [row for row in values_of(phases_chart(rows())) if row["paint"] == "waiting"]
    assert {row["fill"] for row in waiting} == {"transparent"}


def test_phases_without_time_draw_nothing() -> None:
    assert phases_chart([PhaseRow(label="a", strategy="naive", seconds={})]).chart is None


def test_many_lines_are_numbered_at_their_ends_and_the_legend_shows_their_dashes() -> None:
    many = {f"actor · batch {2**n}": TWO["actor"] for n in range(6)}
    spec = throughput_chart(many, strategies=dict.fromkeys(many, "actor")).chart.to_dict()
    line, marks, *_ = spec["layer"]
    assert line["encoding"]["color"]["legend"]["symbolType"] == "stroke"
    assert line["encoding"]["strokeDash"]["legend"] == line["encoding"]["color"]["legend"]
    assert marks["encoding"]["shape"]["legend"] is None
    assert line["encoding"]["color"]["scale"]["domain"][0] == "1  actor · batch 1"
    figure = throughput_chart(many, strategies=dict.fromkeys(many, "actor"))
    assert {row["text"] for row in values_of(figure) if "text" in row} == {str(number) for number in range(1, 7)}


def test_a_dozen_numbers_of_lines_that_end_together_stay_in_the_chart_and_apart() -> None:
    heights = sorted(lines._spread({str(n): (10.0, 150.0) for n in range(12)}, 0.5).values())
    assert heights[0] > 0
    assert heights[-1] <= charts.HEIGHT
    assert all(b - a >= 17 for a, b in itertools.pairwise(heights))


def test_images_so_far_rise_from_nothing_to_all() -> None:
    points = [(float(n), float(n)) for n in range(1, 100_001)]
    figure = cumulative_chart({"actor": points}, strategies=SAME)
    drawn = [row for row in values_of(figure) if "when" in row]
    assert (drawn[0]["time_s"], drawn[0]["value"]) == (0.0, 0.0)
    assert (drawn[-1]["time_s"], drawn[-1]["value"]) == (100_000.0, 100_000.0)
    assert len(drawn) <= lines.MOST_POINTS + 1
    assert "actor: 100,000 images after" in figure.alt


def test_a_stretch_can_be_drawn_only_where_asked_for_and_begins_where_it_was() -> None:
    def params(**brush: object) -> list[dict]:
        return throughput_chart(TWO, strategies=SAME, **brush).chart.to_dict().get("params", [])  # type: ignore[arg-type]

    assert params() == []
    assert [param["name"] for param in params(brush=())] == [lines.BRUSH]
    assert params(brush=(2.0, 4.0))[0]["value"] == {"x": [2.0, 4.0]}


# -- the timeline ------------------------------------------------------------------------------------------


def test_neighbours_of_one_phase_become_one_mark() -> None:
    spans = [Span("worker 1", "forward", 0.0, 1.0, 2), Span("worker 1", "forward", 1.0, 2.0, 3)]
    (bar,), slot_s = bars(spans)
    assert (bar.start_s, bar.end_s, bar.images, bar.spans, slot_s) == (0.0, 2.0, 5, 2, None)


def test_loads_after_each_other_stay_two() -> None:
    marks, _ = bars([Span("worker 1", "load", 0.0, 1.0), Span("worker 1", "load", 1.0, 2.0)])
    assert [bar.phase for bar in marks] == ["load", "load"]


def test_gaps_between_spans_are_waits() -> None:
    marks, _ = bars([Span("worker 1", "load", 0.0, 1.0), Span("worker 1", "forward", 3.0, 4.0)])
    assert ("wait", 1.0, 3.0) in {(bar.phase, bar.start_s, bar.end_s) for bar in marks}


def test_work_too_fine_to_see_shows_the_phase_that_took_most() -> None:
    spans = []
    for number in range(5000):
        start_s = number * 0.01
        spans += [
            Span("worker 1", "preprocess", start_s, start_s + 0.002, 1),
            Span("worker 1", "forward", start_s + 0.002, start_s + 0.01, 1),
        ]
    marks, slot_s = bars(spans)
    assert slot_s == pytest.approx(50.0 / SLOTS, rel=0.01)
    assert {bar.phase for bar in marks} == {"forward"}


def test_every_load_keeps_its_true_time_however_fine_the_work_is() -> None:
    spans = seed.spans_of(seed.NAIVE.with_(limit=400))
    marks, slot_s = bars(spans)
    assert slot_s is not None
    drawn = {(bar.start_s, bar.end_s) for bar in marks if bar.phase == "load"}
    assert drawn == {(span.start_s, span.end_s) for span in spans if span.phase == "load"}


def test_thirty_thousand_spans_become_few_marks() -> None:
    spans = seed.spans_of(seed.ACTOR.with_(limit=10_000, concurrency=2, cpus_per_worker=0.5))
    assert len(spans) > 30_000
    figure = timeline_chart(spans)
    assert len(values_of(figure)) < 3 * SLOTS + 10
    assert "drawn as what took most" in figure.note


def test_thousands_of_loads_are_rounded_like_all_else() -> None:
    spans = seed.spans_of(seed.NAIVE.with_(limit=3000, batch_size=1))
    assert len(values_of(timeline_chart(spans))) < 2 * SLOTS + 10


def test_lanes_are_workers_first_and_have_short_names() -> None:
    names = lane_names(seed.spans_of(seed.ACTOR.with_(concurrency=2)))
    assert list(names.items()) == [
        ("worker 4711", "worker 1"),
        ("worker 4712", "worker 2"),
        ("reader 4700", "reader 1"),
    ]


def test_decoders_have_lanes_between_workers_and_readers() -> None:
    names = lane_names(seed.spans_of(seed.PIPELINED.with_(concurrency=2)))
    assert list(names.values()) == ["worker 1", "worker 2", "decoder 1", "decoder 2", "reader 1"]


def test_warming_up_keeps_its_true_time_however_fine_the_work_is() -> None:
    spans = seed.spans_of(seed.PIPELINED.with_(batch_size=1, limit=2000, backend="compile"))
    marks, slot_s = bars(spans)
    (warmup,) = [span for span in spans if span.phase == "warmup"]
    assert slot_s is not None
    assert [(bar.start_s, bar.end_s) for bar in marks if bar.phase == "warmup"] == [(warmup.start_s, warmup.end_s)]


def test_lanes_beyond_what_fits_are_counted() -> None:
    figure = timeline_chart(seed.spans_of(seed.ACTOR.with_(concurrency=20)), max_lanes=16)
    assert "5 more lanes not drawn." in figure.note


def test_timelines_can_share_one_time_axis() -> None:
    spec = timeline_chart(seed.spans_of(seed.ACTOR), until_s=60.0).chart.to_dict()
    assert spec["encoding"]["x"]["scale"]["domain"] == [0, 60.0]


def test_the_timeline_says_how_often_the_model_was_loaded() -> None:
    assert timeline_chart(seed.spans_of(seed.NAIVE)).title.startswith("The model is loaded 25 times in 1 worker")
    assert "loaded once" in timeline_chart(seed.spans_of(seed.ACTOR)).title


def test_a_timeline_without_spans_says_so() -> None:
    assert timeline_chart([]).chart is None


def test_a_stretch_of_a_timeline_is_cut_off_at_both_ends() -> None:
    spans = seed.spans_of(seed.ACTOR)
    figure = timeline_chart(spans, stretch=(3.0, 4.0))
    drawn = values_of(figure)
    assert min(row["start_s"] for row in drawn) == 3.0
    assert max(row["end_s"] for row in drawn) == 4.0
    assert figure.chart.to_dict()["encoding"]["x"]["scale"]["domain"] == [3.0, 4.0]
    assert "from 3.0 s to 4.0 s" in figure.alt


def test_a_stretch_is_drawn_more_finely_than_the_whole() -> None:
    spans = seed.spans_of(seed.ACTOR.with_(limit=10_000))
    whole = [row for row in values_of(timeline_chart(spans)) if 20.0 <= row["start_s"] < 21.0]
    assert len(values_of(timeline_chart(spans, stretch=(20.0, 21.0)))) > 10 * len(whole)


def test_workers_keep_their_numbers_in_a_stretch_without_the_others() -> None:
    spans = [Span("worker 1", "forward", 0.0, 1.0, 1, 0), Span("worker 2", "forward", 2.0, 3.0, 1, 0)]
    assert {row["lane"] for row in values_of(timeline_chart(spans, stretch=(2.0, 3.0)))} == {"worker 2"}


def test_many_lanes_are_drawn_with_few_marks() -> None:
    spans = seed.spans_of(seed.ACTOR.with_(concurrency=15, limit=30_000))
    assert len(values_of(timeline_chart(spans))) < 4000
