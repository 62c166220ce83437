"""Several runs in one file: read back by the programs that they are meant for."""

import ast
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from inference import hardware
from inference.arms import arms_of, winner
from inference.bundled.samples import ensure_samples
from inference.config import RunConfig
from inference.errors import InvalidConfig
from inference.export import FORMATS, export, exported
from inference.listing import samples_folder
from inference.report import comparison_document
from inference.results import Prediction, RunRecord, Sample
from tests.inference.exporting import HOSTILE, MACHINE, Page, side

NAIVE, ACTOR = side("naive", seconds=20), side("actor", seconds=5)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own: reports look for pictures there."""
    monkeypatch.setenv("BATCHSCOPE_HOME", str(tmp_path))
    return tmp_path


def rows_of(runs: list[RunRecord]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(exported(runs, "csv").decode(), newline="")))


# -- any format ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", FORMATS)
def test_an_unfinished_run_is_refused_by_name_in_every_format(ending: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"run actor-5 did not finish \(failed\): leave it out"):
        export([NAIVE, side("actor", seconds=5, state="failed")], tmp_path / f"all.{ending}")

    assert not (tmp_path / f"all.{ending}").exists()


@pytest.mark.parametrize("ending", FORMATS)
def test_a_single_run_in_a_list_is_exported_as_that_run(ending: str) -> None:
    assert exported([NAIVE], ending) == exported(NAIVE, ending)


def test_no_run_at_all_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="name the run to export"):
        exported([], "json")


# -- json, csv, parquet --------------------------------------------------------------------------------------------


def test_json_is_the_comparison_document_with_every_side_and_the_winner() -> None:
    read = json.loads(exported([NAIVE, ACTOR], "json"))

    assert read.items() >= json.loads(json.dumps(comparison_document([NAIVE, ACTOR]))).items()
    assert set(read) == {"runs", "speedup", "parity", "arms", "winner"}
    assert [arm["label"] for arm in read["arms"]] == ["naive", "actor"]
    assert read["arms"][1]["versus_first"]["ratio"] == pytest.approx(4.0)
    assert read["winner"]["run"] == "actor-5"


def test_json_tells_two_configurations_of_one_strategy_apart() -> None:
    larger = side("actor", seconds=4, config=RunConfig(batch_size=16))

    read = json.loads(exported([ACTOR, larger], "json"))

    assert [arm["label"] for arm in read["arms"]] == ["actor · batch 4", "actor · batch 16"]
    assert read["arms"][1]["versus_first"]["ratio"] == pytest.approx(1.25)


def test_csv_has_a_row_for_each_run_with_settings_figures_and_ratio() -> None:
    rows = rows_of([NAIVE, ACTOR])

    assert [(row["run"], row["arm"], row["baseline"]) for row in rows] == [
        ("naive-20", "naive", "True"),
        ("actor-5", "actor", "False"),
    ]
    assert rows[1]["batch_size"] == "4"
    assert float(rows[1]["images_per_s"]) == pytest.approx(8.0)
    assert float(rows[1]["load_s"]) == pytest.approx(0.4)
    assert float(rows[1]["ratio_low"]) <= float(rows[1]["ratio"]) <= float(rows[1]["ratio_high"])
    assert float(rows[1]["agreement"]) == 1
    assert rows[0]["ratio"] == rows[0]["agreement"] == ""


@pytest.mark.parametrize("text", ["=1+1", "@a", "+x", "-x", "\u200b=1"])
def test_csv_neutralises_settings_that_a_spreadsheet_takes_for_formulas(text: str) -> None:
    config = RunConfig(strategy="naive", model=text, dataset=text)

    rows = rows_of(
        [side("naive", seconds=20, config=config), side("actor", seconds=5, config=config.as_strategy("actor"))]
    )

    assert {row["model"] for row in rows} == {row["dataset"] for row in rows} == {f"'{text}"}


def test_parquet_has_a_row_for_each_run_and_image_and_the_runs_beside_them(tmp_path: Path) -> None:
    export([NAIVE, ACTOR], tmp_path / "all.parquet")

    table = parquet.read_table(tmp_path / "all.parquet")
    assert table.column_names[:3] == ["run", "arm", "image_id"]
    assert table.num_rows == 80
    assert table["run"].to_pylist()[39:41] == ["naive-20", "actor-5"]
    assert table["arm"].to_pylist()[-1] == "actor"
    kept = json.loads(table.schema.metadata[b"batchscope.runs"])
    assert [(run["run"], run["strategy"]) for run in kept] == [("naive-20", "naive"), ("actor-5", "actor")]


# -- html ----------------------------------------------------------------------------------------------------------


def test_html_answers_first_and_loads_nothing() -> None:
    page = Page([NAIVE, ACTOR])

    headings = [data for tag, data in page.texts if tag == "h1"]
    assert headings == ["actor is 4.0 × faster than naive; answers agree on 40 of 40 images"]
    assert "What to set : actor is the fastest of the 2 that give the same answers: 8.00 images/s." in page.text
    assert not {"script", "iframe", "a", "image", "use", "form"} & {tag for tag, _ in page.elements}
    assert "//" not in page.source
    assert "http" not in page.source.replace("http-equiv", "")
    assert str(page.all("meta")[1]["content"]).startswith("default-src 'none'")


def test_html_tells_each_figure_with_its_difference_from_the_baseline() -> None:
    text = Page([NAIVE, ACTOR]).text

    assert "naive baseline 2.00" in text
    assert "actor 4.0 × 95 %:" in text
    assert "8.00 +6.00" in text


def test_html_draws_throughput_phases_and_each_timeline_on_one_axis() -> None:
    page = Page([NAIVE, ACTOR])

    alts = list(dict.fromkeys(str(chart["aria-label"]) for chart in page.all("svg") if chart.get("role") == "img"))
    starts = [
        "Line chart of images per second",
        "Stacked bars of worker time",
        "Timeline",
        "Timeline",
        "Bars of shares",
    ]
    assert [alt.startswith(start) for alt, start in zip(alts, starts, strict=True)] == [True] * 5
    assert "until 20.0 s" in alts[0]
    assert "until 5.0 s" in alts[0]
    assert "naive: loading 0.40 s" in alts[1]


def test_html_draws_busy_processors_where_the_machine_was_sampled() -> None:
    samples = tuple(Sample("machine", float(second), 1.5 * second, 2**30) for second in range(6))

    sampled, bare = Page([NAIVE, side("actor", seconds=5, samples=samples)]), Page([NAIVE, ACTOR])

    assert "CPUs busy in the mean: actor 1.5" in sampled.text
    assert "all 2 CPUs" in sampled.text
    assert "CPUs busy" not in bare.text


def test_html_shows_pictures_of_the_data_set_alone_with_words_for_those_who_cannot_see_them(home: Path) -> None:
    files = sorted(ensure_samples(samples_folder(home), 3).glob("*.jpg"))
    names = [file.name for file in files] + ["../../etc/passwd", "gone.jpg"]
    answers = tuple(Prediction(name, "cat", 0.9, truth="cat", done_s=2.0) for name in names)

    page = Page([side("naive", seconds=20, predictions=answers), side("actor", seconds=5, predictions=answers)])

    images = page.all("img")
    assert [image["alt"] for image in images] == [f"{file.name}: cat" for file in files]
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,/9j/") for image in images)
    assert page.text.count("no picture") == 2


def test_html_sets_both_answers_beside_an_image_that_got_two() -> None:
    other = side("actor", seconds=5, label="dog")

    text = Page([NAIVE, other]).text

    assert "40 images got more than one answer; they come first." in text
    assert "naive cat 90 % ✓ right actor dog 90 % wrong it is cat" in text
    assert "At least 0 % of the answers are those of naive" in text


def test_html_lists_settings_that_differ_apart_from_those_that_do_not() -> None:
    larger = side("actor", seconds=4, config=RunConfig(batch_size=16, dtype="bfloat16"))

    text = Page([ACTOR, larger]).text
    differing, _, same = text.partition("Settings that differ")[2].partition("The same on every side")

    assert "Batch size Precision" in differing
    assert "16 bfloat16" in differing
    assert "Concurrency 1" in same
    assert "Precision" not in same.partition("Where it ran")[0]


def test_html_says_what_stands_against_comparing_and_names_each_machine() -> None:
    from dataclasses import replace

    other = hardware.to_dict(replace(MACHINE, cpus=64, cpu_model="Another Processor"))

    text = Page([NAIVE, side("actor", seconds=5, hardware=other)]).text

    assert "The runs come from different machines, so their times cannot be compared." in text
    assert "Test Processor 9000" in text
    assert "Another Processor" in text


def test_html_shows_foreign_text_literally() -> None:
    def named(strategy: str, seconds: float) -> RunRecord:
        config = RunConfig(strategy=strategy, model=HOSTILE, dataset=HOSTILE)
        answers = tuple(Prediction(f"{HOSTILE}{n}", HOSTILE, 0.5, truth=HOSTILE, done_s=1.0 + n) for n in range(3))
        return side(strategy, seconds=seconds, config=config, id=f"{HOSTILE}{strategy}", predictions=answers)

    plain, page = Page([NAIVE, ACTOR]), Page([named("naive", 20), named("actor", 5)])

    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in plain.elements}
    attributes: set[Any] = {name for _, given in page.elements for name in given}
    assert not {name for name in attributes if name.startswith("on")}
    assert "\u202e" not in page.source
    assert "⟨U+202E⟩" in page.text


def test_html_of_more_sides_than_fit_a_line_chart_names_them_in_a_legend() -> None:
    runs = [side("batched", seconds=5 + n, config=RunConfig(strategy="batched", batch_size=2**n)) for n in range(6)]

    page = Page(runs)

    legends = [data for tag, data in page.texts if tag == "li" and data.startswith("batched · batch")]
    assert {f"batched · batch {2**n}" for n in range(6)} <= set(legends)


# -- py ------------------------------------------------------------------------------------------------------------


def test_py_is_the_script_of_the_winner() -> None:
    faster = side("pipelined", seconds=4, label="dog")
    best = winner(arms_of([NAIVE, ACTOR, faster]))

    source = exported([NAIVE, ACTOR, faster], "py")

    assert best is not None
    assert source == exported(best.arm.median, "py") == exported(ACTOR, "py")
    ast.parse(source)


def test_py_of_a_baseline_without_answers_says_what_to_do() -> None:
    with pytest.raises(InvalidConfig, match=r"the first run has no answers.*choose a finished one"):
        exported([side("naive", seconds=4, predictions=()), ACTOR], "py")
