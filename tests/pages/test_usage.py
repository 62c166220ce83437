"""How busy the machine was, and how long batches took: what the charts show and say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import seed

from inference import hardware as machine
from inference.results import Sample
from inference.usage import batch_latencies, latency
from pages.ui.charts import Figure, time_axis
from pages.ui.latency import BINS, latency_chart
from pages.ui.usage import MOST_GPUS, usage_chart

GIB = 1024**3
HARDWARE = machine.to_dict(seed.HARDWARE)
MACHINE = [Sample("machine", at_s, 1.6 * at_s, 8 * GIB) for at_s in (0.0, 2.0, 4.0, 6.0)]
WORKERS = [Sample("worker 1", at_s, 1.2 * at_s, GIB) for at_s in (0.0, 3.0, 6.0)]


def gpu(number: int, busy: float) -> list[Sample]:
    return [Sample(f"gpu {number}", at_s, busy * at_s, 3 * GIB) for at_s in (0.0, 6.0)]


def chart(
    samples: Sequence[Sample], *, hardware: dict[str, Any] | None = HARDWARE, until_s: float = 6.0, **more: float
) -> Figure:
    return usage_chart(samples, hardware=hardware, until_s=until_s, strategy="actor", **more)


def layers(figure: Figure) -> list[dict[str, Any]]:
    return figure.chart.to_dict()["layer"]


def rows(figure: Figure) -> list[dict[str, Any]]:
    """All that is drawn, whichever way Altair keeps it."""
    spec = figure.chart.to_dict()
    kept = [row for values in spec.get("datasets", {}).values() for row in values]
    return kept + [row for layer in spec["layer"] for row in layer.get("data", {}).get("values", [])]


def names(figure: Figure) -> list[str]:
    return [row["name"] for row in rows(figure) if "name" in row]


def marks(figure: Figure) -> dict[str, dict[str, Any]]:
    """The figures of each run in a chart of latencies; every mark of it is drawn from the same row."""
    return {row["run"]: row for row in rows(figure) if "text" in row}


def test_the_title_says_how_many_cores_were_busy_and_the_workers_share() -> None:
    assert chart(MACHINE + WORKERS).title == "Of 2 cores, 1.6 were busy on average, 1.2 with this run's workers"


def test_cores_are_drawn_from_zero_to_what_there_is_and_the_workers_within_them() -> None:
    figure = chart(MACHINE + WORKERS)
    highs = {row["who"]: row["high"] - row["low"] for row in rows(figure) if row.get("band") == "cores busy"}
    assert highs["this run's workers"] / highs["everything on this machine"] == pytest.approx(1.2 / 1.6, abs=0.01)
    assert "2 cores" in layers(figure)[0]["encoding"]["y"]["axis"]["labelExpr"]


def test_the_time_axis_is_that_of_the_timeline() -> None:
    drawn = layers(chart(MACHINE, until_s=5.0))[0]["encoding"]["x"]
    assert drawn["scale"]["domain"] == [0, 5.0]
    assert drawn["title"] == time_axis("x", 5.0).to_dict()["title"]


def test_what_was_measured_after_the_last_answer_is_left_out() -> None:
    late = [*MACHINE, Sample("machine", 60.0, 9.6, 20 * GIB)]
    figure = chart(late)
    assert "1.6 were busy" in figure.title
    assert max(row["time_s"] for row in rows(figure) if "time_s" in row) == 6.0


def test_a_gpu_has_bands_of_its_own_and_is_named_in_the_title() -> None:
    figure = chart([*MACHINE, *gpu(0, 0.43)])
    assert names(figure) == ["cores busy", "memory in use", "GPU 0 busy", "GPU 0 memory"]
    assert figure.title.endswith("the GPU was busy for 43 % of the time")


def test_of_many_gpus_the_first_are_drawn_and_the_rest_counted() -> None:
    figure = chart([*MACHINE, *(sample for number in range(MOST_GPUS + 2) for sample in gpu(number, 0.5))])
    assert len(names(figure)) == 2 + 2 * MOST_GPUS
    assert "2 more GPUs not drawn." in figure.note


def test_an_old_run_shows_what_its_workers_used_and_says_so() -> None:
    figure = chart(WORKERS)
    assert figure.title == "The workers kept 1.2 of 2 cores busy on average"
    assert "no samples of the machine" in figure.note
    assert "everything on this machine" not in {row.get("who") for row in rows(figure)}


def test_without_any_samples_there_is_one_plain_sentence() -> None:
    figure = chart([])
    assert figure.chart is None
    assert figure.alt.startswith("No samples")


def test_a_machine_that_is_not_known_is_as_large_as_what_was_used_of_it() -> None:
    figure = chart(MACHINE, hardware=None)
    assert figure.title == "Of 2 cores, 1.6 were busy on average"
    assert "8.0 GiB" in layers(figure)[0]["encoding"]["y"]["axis"]["labelExpr"]


def test_the_alt_text_has_the_figures() -> None:
    words = chart([*MACHINE, *gpu(1, 0.5)]).alt
    assert "over 6.0 s" in words
    assert "at most 8.0 GiB" in words
    assert "GPU 1: at most 3.0 GiB in use." in words


def test_a_batch_of_an_actor_takes_what_its_spans_took() -> None:
    found = latency(batch_latencies(seed.spans_of(seed.ACTOR)))
    assert found is not None
    assert found.batches == 24  # of 25; the first of the worker is left out
    assert 0.1 < found.p50_s <= found.p95_s <= found.max_s < 0.3


def test_thousands_of_batches_are_drawn_as_a_few_bins_that_lose_none() -> None:
    figure = latency_chart({"actor": [0.1 + n % 100 / 1000 for n in range(5000)]}, strategies={"actor": "actor"})
    bins = [row for row in rows(figure) if "takes" in row]
    assert len(bins) <= BINS
    assert sum(int(row["batches"].split(" of ")[0].replace(",", "")) for row in bins) == 5000


def test_median_95th_percentile_and_longest_are_labelled_where_they_are() -> None:
    figure = latency_chart({"actor": [n / 100 for n in range(101)]}, strategies={"actor": "actor"})
    mark = marks(figure)["actor"]
    assert mark["text"] == "p50 0.500 s · p95 0.950 s · max 1.00 s"
    assert (mark["p50_s"], mark["p95_s"], mark["max_s"]) == (0.5, 0.95, 1.0)
    assert figure.title == "Half of 101 batches took 0.500 s or less, the longest 1.00 s"


def test_latency_is_called_a_diagnostic_and_says_what_is_left_out() -> None:
    figure = latency_chart({"actor": [0.1, 0.2]}, strategies={"actor": "actor"})
    assert "A diagnostic" in figure.note
    assert "first batch of each worker is left out" in figure.note


def test_several_runs_have_a_row_each_on_one_axis() -> None:
    figure = latency_chart(
        {"naive · it's": [0.4, 0.5], "actor": [0.05]}, strategies={"naive · it's": "naive", "actor": "actor"}
    )
    assert list(marks(figure)) == ["naive · it's", "actor"]
    assert figure.title == "The batch in the middle takes 0.450 s in naive · it's, 50.0 ms in actor"


def test_runs_of_one_batch_have_no_latency_to_show() -> None:
    figure = latency_chart({"actor": []}, strategies={"actor": "actor"})
    assert figure.chart is None
    assert "second batch" in figure.alt
