"""Exported files, read back by the programs that they are meant for."""

import ast
import csv
import io
import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pyarrow import parquet

from inference import hardware
from inference.bundled import DIGITS_MODEL_DIR
from inference.bundled.samples import ensure_samples
from inference.config import BACKENDS, ONE_BY_ONE, STRATEGIES, RunConfig
from inference.errors import InvalidConfig
from inference.export import FORMATS, export, exported
from inference.export_html import MAX_ROWS
from inference.export_script import script
from inference.images import decode
from inference.listing import list_local
from inference.report import document
from inference.results import Prediction, RunRecord, Sample, Span, metrics

SCRIPT_TIMEOUT_S = 220
MACHINE = hardware.Hardware(
    cpus=2,
    cpu_limit=2.0,
    cpu_model="Test Processor 9000",
    memory_bytes=8 * 1024**3,
    versions=(("ray", "2.60.0"), ("torch", "2.13.0+cpu"), ("transformers", "5.1.0")),
)
HOSTILE = '<script>alert(1)</script> ![x](http://a.b/c.png) " onload="x \u202egpj.exe \u2067 "]); import os #'
HOSTILE_NAMES = (
    HOSTILE,
    'x"""\nimport os\nos.system("false")\n"""',
    "x'; import os; '",
    "x\\",
    "$model ${limit} {images}",
    "/photos/Ähren – 山\u2028\x00"[:-1],
)
SPANS = (
    Span("reader 9", "read", 0.1, 0.2, images=4),
    Span("worker 1", "import", 0.0, 1.0),
    Span("worker 1", "load", 1.0, 2.0, batch=0),
    Span("worker 1", "preprocess", 2.0, 2.5, images=1, batch=0),
    Span("worker 1", "forward", 2.5, 4.0, images=1, batch=0),
    Span("worker 1", "forward", 4.5, 6.0, images=1, batch=1),
)
PREDICTIONS = (
    Prediction("a.jpg", "cat", 0.9, truth="cat", top=(("cat", 0.9), ("dog", 0.1)), done_s=4.0, worker="worker 1"),
    Prediction("b.jpg", "dog", 0.6, truth="cat", done_s=6.0, worker="worker 1"),
    Prediction("c.jpg", status="error", reason="the file is empty", done_s=6.0, worker="worker 1"),
)


def record(**changes: Any) -> RunRecord:
    values: dict[str, Any] = {
        "id": "run-1",
        "state": "finished",
        "config": RunConfig(batch_size=2),
        "created_at": 1_700_000_000.0,
        "hardware": hardware.to_dict(MACHINE),
        "spans": SPANS,
        "predictions": PREDICTIONS,
    }
    return RunRecord(**(values | changes))


def named(text: str) -> RunRecord:
    """A run in which everything that can carry foreign text carries this one."""
    return record(
        id=text,
        config=RunConfig(model=text, dataset=text),
        error=text,
        messages=(text,),
        hardware=hardware.to_dict(replace(MACHINE, cpu_model=text, os=text, versions=(("ray", text),))),
        predictions=(Prediction(text, text, 0.5, truth=text), Prediction(text, status=text, reason=text)),
    )


# -- any format ----------------------------------------------------------------------------------------------------


def test_the_endings_that_the_command_line_promises_are_there() -> None:
    assert list(FORMATS) == ["json", "csv", "parquet", "html", "py"]


@pytest.mark.parametrize("name", ["run.xlsx", "run", "run.json.gz"])
def test_another_ending_is_refused_with_those_there_are(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"must end in one of \.json, \.csv, \.parquet, \.html, \.py"):
        export(record(), tmp_path / name)

    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("ending", FORMATS)
def test_a_place_that_cannot_be_written_is_named(ending: str, tmp_path: Path) -> None:
    (tmp_path / f"folder.{ending}").mkdir()

    for path in (tmp_path / "missing" / f"run.{ending}", tmp_path / f"folder.{ending}"):
        with pytest.raises(InvalidConfig, match=r"cannot be written: .+\. Choose another place"):
            export(record(), path)


@pytest.mark.parametrize("ending", FORMATS)
def test_the_ending_counts_in_any_case_and_the_file_is_what_exported_gives(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"run.{ending.upper()}"

    export(record(), path)

    assert path.read_bytes() == exported(record(), ending)


@pytest.mark.parametrize("ending", FORMATS)
def test_a_run_that_has_only_been_queued_can_be_exported(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"run.{ending}"

    export(record(state="queued", hardware=None, spans=(), predictions=()), path)

    assert path.stat().st_size


@pytest.mark.parametrize("ending", FORMATS)
def test_a_file_name_that_is_no_text_costs_no_export(ending: str) -> None:
    broken = os.fsdecode(b"caf\xe9.jpg")

    assert exported(record(predictions=(Prediction(broken, "cat", 0.5),)), ending)


# -- json, csv, parquet --------------------------------------------------------------------------------------------


def test_json_is_the_run_document(tmp_path: Path) -> None:
    export(record(), tmp_path / "run.json")

    read = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert read == json.loads(json.dumps(document(record())))
    assert read["metrics"]["model_loads"] == 1
    assert read["predictions"][2]["reason"] == "the file is empty"


def test_parquet_gives_back_predictions_and_configuration(tmp_path: Path) -> None:
    export(record(), tmp_path / "run.parquet")

    table = parquet.read_table(tmp_path / "run.parquet")
    columns = ("image_id", "label", "score", "status", "reason", "truth")
    assert table.to_pylist() == [{name: getattr(p, name) for name in columns} for p in PREDICTIONS]
    assert RunConfig.from_dict(json.loads(table.schema.metadata[b"batchscope.config"])) == record().config


def test_csv_gives_back_predictions() -> None:
    rows = rows_of_csv(record())

    assert rows[0] == {
        "image_id": "a.jpg",
        "label": "cat",
        "score": "0.9",
        "status": "ok",
        "reason": "",
        "truth": "cat",
    }
    assert [row["image_id"] for row in rows] == ["a.jpg", "b.jpg", "c.jpg"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\u00a0@", "\n+", "\u200b-", "\ufeff="])
def test_csv_neutralises_what_a_spreadsheet_takes_for_a_formula(start: str) -> None:
    text = f'{start}HYPERLINK("http://a.b","x")'

    (row,) = rows_of_csv(record(predictions=(Prediction(text, text, 0.5, status=text, reason=text, truth=text),)))

    assert {name: row[name] for name in row if name != "score"} == dict.fromkeys(
        ("image_id", "label", "status", "reason", "truth"), f"'{text}"
    )


@pytest.mark.parametrize("text", ["a=b.jpg", 'quote " and, comma', "two\nlines", " spaced", "3-4", "ümlaut 山"])
def test_csv_leaves_every_other_text_as_it_is(text: str) -> None:
    (row,) = rows_of_csv(record(predictions=(Prediction(text, text, 0.5),)))

    assert row["image_id"] == row["label"] == text


def rows_of_csv(run: RunRecord) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(exported(run, "csv").decode(), newline="")))


# -- html ----------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser would make of a page: its elements, and its text by the element that holds it."""

    def __init__(self, run: RunRecord) -> None:
        super().__init__(convert_charrefs=True)
        self.source = exported(run, "html").decode()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    @property
    def text(self) -> str:
        """All that can be read, style sheets left out."""
        return " ".join(" ".join(data for tag, data in self.texts if tag != "style").split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_html_loads_nothing_and_runs_nothing() -> None:
    page = Page(record())

    assert not {"script", "img", "iframe", "object", "embed", "base", "form", "a", "image", "use"} & {
        tag for tag, _ in page.elements
    }
    assert "http" not in page.source.replace("http-equiv", "")
    assert "//" not in page.source
    assert "url(" not in page.source
    assert "@import" not in page.source
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert page.all("meta")[1]["content"].startswith("default-src 'none'")  # type: ignore[union-attr]


@pytest.mark.parametrize("text", [*HOSTILE_NAMES, "x" * 300, "שלום <b>bold</b>", "&lt;b&gt; &amp;", "🙂 a.jpg"])
def test_html_shows_foreign_text_literally(text: str) -> None:
    plain, page = Page(record(messages=("x",), error="x")), Page(named(text))

    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in plain.elements}
    names = {name for _, attributes in page.elements for name in attributes}
    assert not {name for name in names if name.startswith("on") or name in ("src", "xlink:href", "srcset")}
    shown = [" ".join(data.split()) for tag, data in page.texts if tag == "bdi"]
    expected = " ".join(text.split()).replace("\u202e", "⟨U+202E⟩").replace("\u2067", "⟨U+2067⟩")
    assert shown.count(expected) >= 9


@pytest.mark.parametrize("mark", ["\u202e", "\u202a", "\u2066", "\u2067", "\u200f", "\u200b", "\x07", "\x7f"])
def test_html_spells_out_what_is_invisible_or_reorders_a_line(mark: str) -> None:
    page = Page(named(f"a{mark}b"))

    assert mark not in page.source
    assert f"a⟨U+{ord(mark):04X}⟩b" in page.text


def test_html_charts_have_titles_axes_with_units_and_words_for_those_who_cannot_see_them() -> None:
    page = Page(record())
    charts = page.all("svg")

    assert len(charts) == 4  # two charts, each for a wide and for a narrow screen
    assert all(chart["role"] == "img" for chart in charts)
    alts = {chart["aria-label"] for chart in charts}
    assert len(alts) == 2
    assert any("images per second" in str(alt) and "end to end" in str(alt) for alt in alts)
    assert any("loading 1.0 s (17 %)" in str(alt) for alt in alts)
    in_charts = [data for tag, data in page.texts if tag == "text"]
    for axis in ("images/s", "seconds since the run began", "seconds of worker time"):
        assert in_charts.count(axis) == 2
    assert "Where the workers’ time went: forward took 50 %" in page.text
    assert "waiting" in in_charts


def test_html_tells_what_was_run_where_and_what_came_out() -> None:
    page, figures = Page(record()), metrics(record())

    assert "3 images in 6.0 s : 0.500 images/s" in page.text
    assert figures.images_per_s == 0.5
    for words in ("Test Processor 9000", "8 GiB", "torch 2.13.0+cpu", "Batch size 2", "Precision float32"):
        assert words in page.text
    for words in ("Images divided by the total time.", "How often a worker built the model from its files."):
        assert words in page.text


def test_html_words_every_setting_that_the_strategy_has() -> None:
    pipelined = RunConfig(strategy="pipelined", backend="openvino", channels_last=True, decoders=3, cpus_per_worker=2)

    text = Page(record(config=pipelined)).text

    for words in ("Threads per worker auto: 2", "Decoders 3", "Channels last yes", "Backend OpenVINO"):
        assert words in text
    assert "Threads per worker 8" in Page(record(config=pipelined.with_(threads=8))).text
    in_turns, one_by_one = (Page(record(config=pipelined.as_strategy(name))).text for name in ("batched", "actor"))
    assert "Decoders" not in in_turns
    assert "Channels last yes" in in_turns
    assert "Channels last" not in one_by_one


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_html_says_what_the_strategy_does_in_its_own_words(strategy: str) -> None:
    others = [Page(record(config=RunConfig(strategy=name))).text for name in STRATEGIES if name != strategy]
    sentence = Page(record(config=RunConfig(strategy=strategy))).text.partition("0.500 images/s ")[2].partition(".")[0]

    assert "load" in sentence
    assert not any(f"{sentence}." in text for text in others)


def test_html_shows_warming_up_among_the_workers_time_and_decoding_beside_it() -> None:
    spans = (
        *SPANS,
        Span("worker 1", "warmup", 6.0, 8.0),
        Span("decoder 4", "preprocess", 1.0, 1.75, images=4),
        Span("decoder 5", "preprocess", 1.0, 1.75, images=4),
    )

    page = Page(record(config=RunConfig(strategy="pipelined"), spans=spans))

    assert any("warming up 2.0 s (25 %), preprocessing 0.50 s" in str(chart["aria-label"]) for chart in page.all("svg"))
    assert "Reading the files took 0.10 s and decoding took 1.5 s in other processes" in page.text
    (fill,) = {part["class"] for part in page.all("rect") if "warmup" in str(part.get("class"))}
    assert f"svg .{str(fill).split()[1]}{{fill:" in page.source


def test_html_tells_processor_time_and_memory_where_they_were_sampled() -> None:
    samples = (
        Sample("reader 9", 0.1, 2.0, 900 * 2**20),
        Sample("reader 9", 3.0, 2.6, 900 * 2**20),
        Sample("worker 1", 0.0, 10.0, 100 * 2**20),
        Sample("worker 1", 6.0, 13.0, 512 * 2**20),
    )

    sampled, bare = Page(record(samples=samples)).text, Page(record()).text

    assert "CPU per image 1,200 ms" in sampled
    assert "Peak memory 512 MiB" in sampled
    assert "CPU per image –" in bare
    assert "Peak memory –" in bare


def test_html_lists_each_image_with_label_score_truth_status_and_reason() -> None:
    text = Page(record()).text

    assert "image label score truth status reason" in text
    assert "a.jpg cat 0.900 cat ok" in text
    assert "b.jpg dog wrong 0.600 cat ok" in text
    assert "c.jpg – – – error the file is empty" in text


def test_html_shows_the_first_thousand_predictions_and_says_how_many_more() -> None:
    many = tuple(Prediction(f"{i:05}.jpg", "cat", 0.5, done_s=1 + i / 1000) for i in range(2500))

    page = Page(record(predictions=many))

    assert len([row for row in page.all("tr") if row.get("role") == "row"]) == MAX_ROWS + 1
    assert "The first 1,000 are shown; 1,500 more are left out." in page.text
    assert "00999.jpg" in page.text
    assert "01000.jpg" not in page.text


def test_html_of_a_failed_run_says_why() -> None:
    text = Page(record(state="failed", error="The workers failed: no memory")).text

    assert "This run failed after 3 images" in text
    assert "The workers failed: no memory" in text


def test_html_calls_labels_of_random_weights_meaningless() -> None:
    untrained = record(config=RunConfig(model="resnet-50-untrained"))

    assert "its labels are meaningless" in Page(untrained).text
    assert "meaningless" not in Page(record()).text


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_html_in_a_browser_asks_for_nothing_and_fits_a_telephone(scheme: Any, tmp_path: Path) -> None:
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    export(replace(named(HOSTILE + "x" * 300), spans=SPANS, predictions=PREDICTIONS), tmp_path / "run.html")
    address = (tmp_path / "run.html").as_uri()
    arguments = ["--no-sandbox", "--headless", "--disable-background-networking", "--disable-gpu"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page(viewport={"width": 375, "height": 800}, color_scheme=scheme)
        requests: list[str] = []
        messages: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: messages.append(message.text))
        page.goto(address)
        overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        browser.close()
    assert [url for url in requests if not url.startswith("data:")] == [address]
    assert messages == []
    assert overflow == 0
    assert dark is (scheme == "dark")


# -- py ------------------------------------------------------------------------------------------------------------

VARIANTS = [
    *(RunConfig(strategy=strategy) for strategy in STRATEGIES),
    RunConfig(dataset="imagenette", model="microsoft/resnet-50", gpus_per_worker=0.5, dtype="bfloat16"),
    RunConfig(strategy="naive", backend="compile", cpus_per_worker=2.5, dataset="/photos" * 30),
    RunConfig(strategy="naive", dataset="imagenette", model="resnet-50-untrained", backend="compile"),
    *(RunConfig(dataset="/" + "x" * length) for length in (76, 77, 80, 81, 82)),
    RunConfig(strategy="pipelined", dataset="imagenette", gpus_per_worker=1, dtype="bfloat16", decoders=256),
    *(
        RunConfig(strategy=strategy, backend=backend, channels_last=channels_last, threads=2, decoders=decoders)
        for strategy, decoders in (("batched", 1), ("pipelined", 3))
        for backend in BACKENDS
        for channels_last in (False, True)
    ),
]


@pytest.mark.parametrize("config", VARIANTS)
def test_py_passes_linter_and_formatter_with_their_own_settings(config: RunConfig, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(script(record(config=config), tmp_path), encoding="utf-8")
    rules = ["--select", "E,F,W,I,B,UP,SIM,RUF,D1,BLE", "--ignore", "D105,D107"]

    for command in (["check", "--isolated", *rules], ["format", "--isolated", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, str(program)]
        done = subprocess.run(ruff, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("config", VARIANTS)
def test_py_depends_on_ray_transformers_and_pillow_and_not_on_this_project(config: RunConfig, tmp_path: Path) -> None:
    tree = ast.parse(script(record(config=config), tmp_path))

    imported = {alias.name.partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    imported |= {str(n.module).partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert {"ray", "transformers", "PIL"} <= imported
    own = {"torch"} if config.strategy not in ONE_BY_ONE or config.backend == "compile" else set()
    own |= {"openvino"} if config.backend == "openvino" else set()
    assert imported - set(sys.stdlib_module_names) == {"ray", "transformers", "PIL", "pyarrow"} | own


def test_py_has_the_settings_of_the_run_as_constants(tmp_path: Path) -> None:
    config = RunConfig(
        model="microsoft/resnet-50",
        dataset="/photos/cats",
        limit=12,
        batch_size=3,
        concurrency=2,
        cpus_per_worker=1.5,
        gpus_per_worker=0.5,
        dtype="float16",
    )

    assert constants(script(record(config=config), tmp_path)) | {"FORMATS": None, "ENDINGS": None} == {
        "MODEL": "microsoft/resnet-50",
        "IMAGES": "/photos/cats",
        "LIMIT": 12,
        "BATCH_SIZE": 3,
        "CONCURRENCY": 2,
        "CPUS_PER_WORKER": 1.5,
        "GPUS_PER_WORKER": 0.5,
        "THREADS_PER_WORKER": 1,
        "CPUS_FOR_READING": 1.0,
        "DEVICE": "cuda",
        "DTYPE": "float16",
        "FORMATS": None,
        "ENDINGS": None,
    }


def test_py_has_decoders_and_threads_of_the_run_as_constants(tmp_path: Path) -> None:
    config = RunConfig(strategy="pipelined", decoders=3, cpus_per_worker=0.5, threads=2, backend="openvino")

    values = constants(script(record(config=config), tmp_path))

    assert (values["DECODERS"], values["THREADS_PER_WORKER"], values["CPUS_PER_WORKER"]) == (3, 2, 0.5)
    assert "DECODERS" not in constants(script(record(config=config.as_strategy("batched")), tmp_path))


def test_py_finds_bundled_model_and_samples_by_absolute_paths(tmp_path: Path) -> None:
    values = constants(script(record(), tmp_path))

    assert values["MODEL"] == str(DIGITS_MODEL_DIR)
    assert values["IMAGES"] == str(tmp_path / "datasets" / "digits")


@pytest.mark.parametrize(
    "options",
    [*({"strategy": strategy} for strategy in STRATEGIES), {"strategy": "pipelined", "backend": "openvino"}],
)
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_py_takes_names_as_literals_and_never_as_code(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    config = RunConfig(**options, model="m", dataset="/d")
    harmless = script(record(config=config), tmp_path)

    source = script(replace(named(name), config=config.with_(model=name, dataset=f"/{name}")), tmp_path)

    assert constants(source)["MODEL"] == name
    assert constants(source)["IMAGES"] == str(Path(f"/{name}"))
    assert without_names(source) == without_names(harmless)
    assert not {"\u202e", "\u2067", "\u2028"} & set(source)
    compile(source, "program.py", "exec")


def test_py_names_the_releases_that_the_run_had(tmp_path: Path) -> None:
    wanted = 'pip install "ray[data]==2.60.0" "torch==2.13.0" "transformers==5.1.0" "pillow"\n'

    assert wanted in script(record(), tmp_path)


def test_py_asks_for_openvino_only_where_it_computes(tmp_path: Path) -> None:
    machine = replace(MACHINE, versions=(*MACHINE.versions, ("openvino", "2026.4.1")))
    config = RunConfig(strategy="batched", backend="openvino", dataset="/d")

    with_it = script(record(config=config, hardware=hardware.to_dict(machine)), tmp_path)
    without = script(record(config=config.with_(backend="eager"), hardware=hardware.to_dict(machine)), tmp_path)

    assert '"pillow"\n    pip install "openvino==2026.4.1"\n' in with_it
    assert "openvino" not in without


def test_py_of_a_strategy_without_a_program_is_refused_and_spares_the_file_that_is_there(tmp_path: Path) -> None:
    config = RunConfig()
    object.__setattr__(config, "strategy", "unheard-of")
    (tmp_path / "run.py").write_text("before")

    with pytest.raises(InvalidConfig, match="unheard-of cannot be written as a program; use json"):
        export(record(config=config), tmp_path / "run.py")

    assert (tmp_path / "run.py").read_text() == "before"


def test_py_lists_the_same_images_as_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for name in ("b.jpg", "a.PNG", "sub/x.webp", "sub/deeper/y.gif", "sub-1/z.jpg", ".hidden/h.jpg", ".h.jpg", "t.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    (tmp_path / "outside.jpg").write_bytes(b"x")
    (folder / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    (folder / "inside.jpg").symlink_to(folder / "b.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    os.mkfifo(folder / "pipe.jpg")
    config = RunConfig(dataset=str(folder), limit=5)

    listed = program(config, tmp_path)["list_images"]()

    assert [(name, str(Path(path).resolve())) for name, path in listed] == [
        (image.image_id, image.uri) for image in list_local(str(folder), tmp_path, 5).images
    ]
    assert [image_id for image_id, _ in listed] == ["a.PNG", "b.jpg", "inside.jpg", "sub/x.webp", "sub/deeper/y.gif"]


@pytest.mark.parametrize(("num_images", "batch_size"), [(1, 4), (8, 2), (100, 4), (1000, 4), (1000, 7), (50, 64)])
def test_py_reads_in_the_same_blocks_as_a_run(num_images: int, batch_size: int, tmp_path: Path) -> None:
    from inference.datasets import rows_per_block

    in_program = program(RunConfig(batch_size=batch_size), tmp_path)["rows_per_block"]

    assert in_program(num_images) == rows_per_block(num_images, batch_size)


@pytest.mark.parametrize(
    ("mode", "form", "settings"),
    [
        ("RGB", "JPEG", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"}),
        ("RGBA", "PNG", {}),
        ("LA", "PNG", {}),
        ("P", "GIF", {"transparency": 3}),
        ("CMYK", "JPEG", {}),
        ("1", "PNG", {}),
        ("I;16", "PNG", {}),
    ],
)
def test_py_sees_the_same_pixels_as_a_run(mode: str, form: str, settings: dict[str, Any], tmp_path: Path) -> None:
    gradient = Image.linear_gradient("L").resize((40, 24))
    if mode == "I;16":
        picture = gradient.convert("I").point(lambda value: value * 257).convert("I;16")
    else:
        picture = gradient.convert(mode)
    if "A" in mode:
        picture.putalpha(gradient.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    file = io.BytesIO()
    picture.save(file, form, **settings)

    ours = decode(file.getvalue())
    theirs = program(RunConfig(), tmp_path)["decode"](file.getvalue())

    assert (theirs.mode, theirs.size, theirs.tobytes()) == ("RGB", ours.size, ours.tobytes())


def test_py_writes_a_table_without_formulas(tmp_path: Path) -> None:
    answers = [{"image_id": "=1+1.jpg", "label": " @cat", "score": 0.5, "reason": None}]

    program(RunConfig(), tmp_path)["write_csv"](answers, str(tmp_path / "answers.csv"))

    with open(tmp_path / "answers.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["image_id", "label", "score", "reason"], ["'=1+1.jpg", "' @cat", "0.5", ""]]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_py_gives_a_broken_image_a_reason_and_the_others_their_labels(strategy: str, tmp_path: Path) -> None:
    import pyarrow as pa

    whole = io.BytesIO()
    Image.linear_gradient("L").save(whole, "JPEG")
    functions = program(RunConfig(strategy=strategy), tmp_path)
    (tmp_path / "whole.jpg").write_bytes(whole.getvalue())
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[:900])
    (tmp_path / "text.jpg").write_bytes(b"no picture")
    names = ["text.jpg", "whole.jpg", "missing.jpg", "cut.jpg"]
    block = pa.table({"image_id": names, "path": [str(tmp_path / name) for name in names]})

    answers = answered(functions, functions["read_block"](block))

    assert [answer["image_id"] for answer in answers] == names
    assert [answer["label"] is None for answer in answers] == [True, False, True, True]
    reasons = [answer["reason"] for answer in answers]
    assert reasons[:2] == ["not an image of a known format", None]
    assert "No such file" in reasons[2]
    assert reasons[3].startswith("broken: ")


@pytest.mark.parametrize("strategy", ["batched", "pipelined"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"channels_last": True},
        {"dtype": "bfloat16"},
        {"backend": "compile", "channels_last": True},
        {"backend": "openvino", "threads": 2},
    ],
    ids=str,
)
def test_py_classifies_whole_batches_as_a_run_with_these_options(
    strategy: str, options: dict[str, Any], samples: Path, tmp_path: Path
) -> None:
    import pyarrow as pa

    if options.get("backend") == "openvino" and find_spec("openvino") is None:
        pytest.skip("needs OpenVINO")
    config = RunConfig(strategy=strategy, batch_size=4, **options)
    paths = sorted(samples.glob("*.jpg"))[:6]
    functions = program(config, tmp_path)
    block = pa.table({"image_id": [path.name for path in paths], "path": [str(path) for path in paths]})

    answers = answered(functions, functions["read_block"](block))

    expected = classified_in_batches(paths, config)
    close = 1e-4 if config.dtype == "float32" else 0.02
    assert [(answer["image_id"], answer["label"]) for answer in answers] == [(p.image_id, p.label) for p in expected]
    assert [answer["score"] for answer in answers] == pytest.approx([p.score for p in expected], abs=close)


@pytest.mark.skipif(find_spec("openvino") is None, reason="needs OpenVINO")
def test_py_has_openvino_report_nothing_to_its_makers(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    program(RunConfig(strategy="batched", backend="openvino"), tmp_path)
    load = "import runpy; runpy.run_path('program.py')['load_model']()"

    subprocess.run(
        [sys.executable, "-c", load], cwd=tmp_path, env=os.environ | {"HOME": str(home)}, check=True, timeout=120
    )

    assert not (home / "intel").exists()  # where it keeps whose use it has reported


@pytest.mark.parametrize(
    ("processor", "dtype"),
    [("ViT", "uint8"), ("ConvNext", "uint8"), ("MobileViT", "uint8"), ("EfficientNet", "float32")],
)
def test_py_moves_eight_bits_for_each_colour_where_the_worker_can_do_the_rest(
    processor: str, dtype: str, samples: Path, tmp_path: Path
) -> None:
    import pyarrow as pa
    import torch
    import transformers

    theirs = getattr(transformers, f"{processor}ImageProcessorPil")()
    theirs.save_pretrained(tmp_path / "model")
    functions = program(RunConfig(strategy="pipelined", model=str(tmp_path / "model")), tmp_path)
    content = next(samples.glob("*.jpg")).read_bytes()
    reason = pa.array([None], pa.string())

    moved = decoded_block(functions, pa.table({"image_id": ["a"], "bytes": [content], "reason": reason}))["pixels"]

    pixels = torch.tensor(moved)
    finished = functions["finish"](pixels, theirs) if dtype == "uint8" else pixels
    assert str(moved.dtype) == dtype
    assert torch.allclose(finished, theirs(decode(content), return_tensors="pt")["pixel_values"], atol=1e-5)


@pytest.mark.parametrize("strategy", ["actor", "batched", "pipelined"])
def test_py_runs_by_itself_and_answers_as_the_run_did(
    strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("BATCHSCOPE_HOME", str(home))
    folder = ensure_samples(home / "datasets" / "digits", 8)
    config = RunConfig(strategy=strategy, limit=8, batch_size=3)
    run = classified_here(sorted(folder.glob("*.jpg"))[:8], config)
    (folder / "0.jpg").write_bytes(b"no picture")
    export(replace(run, config=config.with_(limit=9)), tmp_path / "program.py")
    here = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}

    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,  # nothing of this project is importable from there by its place
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | here,
        capture_output=True,
        text=True,
        timeout=SCRIPT_TIMEOUT_S,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    answers = {answer["image_id"]: answer for answer in map(json.loads, done.stdout.splitlines())}
    broken = answers.pop("0.jpg")
    assert (broken["label"], broken["reason"]) == (None, "not an image of a known format")
    assert {image_id: answer["label"] for image_id, answer in answers.items()} == {
        prediction.image_id: prediction.label for prediction in run.predictions
    }
    for prediction in run.predictions:
        assert answers[prediction.image_id]["score"] == pytest.approx(prediction.score, abs=1e-4)
        assert answers[prediction.image_id]["reason"] is None


def classified_here(paths: Sequence[Path], config: RunConfig) -> RunRecord:
    """The record of a run over these samples, with answers of the project's own model code."""
    if config.strategy not in ONE_BY_ONE:
        return record(config=config, predictions=tuple(classified_in_batches(paths, config)))
    from inference import models

    pipe = models.load_pipeline(str(DIGITS_MODEL_DIR), device="cpu", dtype="float32", compiled=False)
    tops = [models.classify_one(pipe, decode(path.read_bytes())) for path in paths]
    predictions = tuple(Prediction(path.name, *top[0]) for path, top in zip(paths, tops, strict=True))
    return record(config=config, predictions=predictions)


def classified_in_batches(paths: Sequence[Path], config: RunConfig) -> list[Prediction]:
    """The answers of the project's own classifier, computed by plain PyTorch."""
    import numpy as np

    from inference import models

    folder = str(DIGITS_MODEL_DIR)
    classifier = models.Classifier(folder, geometry=models.geometry_of(folder), dtype=config.dtype)
    pixels = np.stack([classifier.pixels(decode(path.read_bytes())) for path in paths])
    tops = classifier.answers(classifier.logits(pixels, config.batch_size))
    return [Prediction(path.name, *top[0]) for path, top in zip(paths, tops, strict=True)]


def answered(functions: dict[str, Any], block: Any) -> list[dict[str, Any]]:
    """The answers of a program's own worker to a block that was read, batch by batch as Ray Data would ask for them."""
    size = functions["BATCH_SIZE"]
    if "classify_batch" in functions:
        model = functions["load_model"]()
        return list(functions["classify_batch"](model, block).to_pylist())
    worker = functions["Classifier"]()
    answers = []
    for start in range(0, len(block), size):
        batch = block.slice(start, size)
        if "decode_block" in functions:
            batch = as_numpy(decoded_block(functions, batch))
        answers += worker(batch).to_pylist()
    return answers


def decoded_block(functions: dict[str, Any], block: Any) -> dict[str, Any]:
    """What a pipelined program's decoding task makes of a block."""
    processor = functions["AutoImageProcessor"].from_pretrained(functions["MODEL"])
    return dict(functions["decode_block"](block, processor, functions["left_for_worker"](processor)))


def as_numpy(columns: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    return {name: np.asarray(values) for name, values in columns.items()}


def program(config: RunConfig, folder: Path) -> dict[str, Any]:
    """The functions and constants of the exported program, which is imported and not run."""
    path = folder / "program.py"
    path.write_text(script(record(config=config), folder), encoding="utf-8")
    return runpy.run_path(str(path))


def constants(source: str) -> dict[str, Any]:
    """The values that a program assigns at its top, where they are literals."""
    values = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                values[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return values


def without_names(source: str) -> str:
    """A program's syntax tree without its docstring and the values of MODEL and IMAGES."""
    tree = ast.parse(source)
    del tree.body[0]
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("MODEL", "IMAGES"):
            node.value = ast.Constant(None)
    return ast.dump(tree)
