"""Reports as a browser sees them: complete, literal, and at peace with no network."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference.config import STRATEGIES, RunConfig
from inference.export import export
from inference.export_html import MAX_ROWS
from inference.results import Prediction, Sample, Span, metrics
from tests.inference.exporting import HOSTILE, HOSTILE_NAMES, PREDICTIONS, SPANS, Page, named, record


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own: reports look for pictures there."""
    monkeypatch.setenv("BATCHSCOPE_HOME", str(tmp_path))
    return tmp_path


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
    charts = [picture for picture in page.all("svg") if picture.get("role") == "img"]

    assert len(charts) == 6  # three charts, each for a wide and for a narrow screen
    assert all(picture.get("aria-hidden") for picture in page.all("svg") if picture not in charts)
    alts = {chart["aria-label"] for chart in charts}
    assert len(alts) == 3
    assert any("Timeline of 2 lanes over 6.0 s" in str(alt) for alt in alts)
    assert any("images per second" in str(alt) and "end to end" in str(alt) for alt in alts)
    assert any("loading 1.0 s (17 %)" in str(alt) for alt in alts)
    in_charts = [data for tag, data in page.texts if tag == "text"]
    for axis, drawn in (("images/s", 2), ("seconds since the run began", 4), ("seconds of worker time", 2)):
        assert in_charts.count(axis) == drawn
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
