"""Images of every kind are decoded right, and bad ones cost only themselves: in each strategy, on page and terminal."""

from __future__ import annotations

import os
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from benchmarks import fuzz
from inference import folders
from inference.config import STRATEGIES, RunConfig
from inference.images import decode
from inference.results import RunRecord, metrics, model_workers
from inference.store import Store
from inference.supervisor import Supervisor
from inference.wording import plain
from pages.ui import filters
from tests.conftest import wait_until
from tests.engine.conftest import RUN_TIMEOUT_S, Lab, new_home, processes_of
from tests.support.command_line import batchscope, document, succeeded
from tests.support.corpus import Corpus, Entry
from tests.support.pictures import black_png
from tests.support.trap import Trap

ROOT = Path(__file__).resolve().parents[2]
LABEL = "three"
PICTURE = "0001_three.jpg"
PEAK_BYTES = 1.2e9
"""Less than what the pixels of the 20,000 × 20,000 PNG would take by themselves: 1.6 GB in Pillow, 1.2 GB as bytes."""

Told = dict[str, tuple[str, str | None]]
"""What is said of each image: its name as it is shown, then `ok` or why not."""


@dataclass
class Laboratory:
    """An engine, a corpus, and a trap for programs that a picture might start."""

    lab: Lab
    corpus: Corpus
    trap: Trap
    runs: dict[str, RunRecord] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.lab.store.home

    def run(self, strategy: str) -> RunRecord:
        """The run of a strategy over the corpus, made once."""
        if strategy not in self.runs:
            config = RunConfig(strategy=strategy, dataset=str(self.corpus.folder), limit=200, batch_size=16)
            self.runs[strategy], self.peak_bytes[strategy] = self._watched(config)
        return self.runs[strategy]

    def _watched(self, config: RunConfig) -> tuple[RunRecord, int]:
        """A run, and the most memory that any process of the engine has ever had."""
        (run_id,) = self.lab.store.enqueue([config])
        status = self.lab.store.engine()
        assert status is not None
        peak = 0

        def ended() -> bool:
            nonlocal peak
            peak = max(peak, *(_peak_bytes(process) for process in processes_of(status.engine_id)))
            return not self.lab.record(run_id).active

        wait_until(ended, seconds=RUN_TIMEOUT_S, what=f"the end of {config.strategy}")
        return self.lab.record(run_id), peak


def _peak_bytes(process: psutil.Process) -> int:
    """The most memory that a process has had since it started, what it gave back again included."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return 1024 * int(found[1]) if found else 0


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Iterator[Laboratory]:
    root = tmp_path_factory.mktemp("images")
    corpus = Corpus(root / "corpus", Image.open(samples / PICTURE).convert("RGB"), LABEL)
    trap = Trap.laid(root / "bin")
    home = new_home(root / "home", samples)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("PATH", trap.path)
        lab = Lab(Store(home), Supervisor(home))
        lab.supervisor.start()
        lab.wait_until_ready()
        yield Laboratory(lab, corpus, trap)
        lab.supervisor.stop()


def assert_told(told: Told, expected: dict[str, Entry]) -> None:
    """Every entry, no other one, each with what must become of it."""
    assert set(told) == {plain(name) for name in expected}
    wrong = {
        entry.name: told[plain(entry.name)]
        for entry in expected.values()
        if told[plain(entry.name)][0] != entry.outcome
        or not re.fullmatch(entry.reason or "", told[plain(entry.name)][1] or "")
    }
    assert wrong == {}


# -- what is decoded ---------------------------------------------------------------------------------------------


def test_every_kind_of_picture_shows_what_a_person_sees(laboratory: Laboratory) -> None:
    corpus = laboratory.corpus
    differences = {}
    for entry in corpus.of("ok").values():
        found = np.asarray(decode(corpus.path(entry).read_bytes())).astype(int)
        wanted = np.asarray(entry.picture).astype(int)
        assert found.shape == wanted.shape, entry.name
        difference = np.abs(found - wanted).mean()
        if difference > entry.tolerance:
            differences[entry.name] = difference

    assert differences == {}
    assert len(corpus.of("ok")) > 40


def test_the_largest_png_is_whole_and_would_be_a_gigabyte() -> None:
    # A header alone would not show that pixels stay untouched.
    data = black_png(20_000, 20_000)
    start = data.index(b"IDAT")
    packed, unpacked = data[start + 4 : start + 4 + int.from_bytes(data[start - 4 : start])], 0
    unpacker = zlib.decompressobj()
    while not unpacker.eof:
        unpacked += len(unpacker.decompress(packed, 1 << 24))
        packed = unpacker.unconsumed_tail

    assert unpacked == 20_000 * (1 + 3 * 20_000)
    assert len(data) < 2_000_000


# -- what a run says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_file_comes_to_the_end_that_it_must_in_every_strategy(laboratory: Laboratory, strategy: str) -> None:
    record = laboratory.run(strategy)

    assert (record.state, record.error) == ("finished", None)
    names = Counter(prediction.image_id for prediction in record.predictions)
    assert set(names.values()) == {1}
    told = {plain(answer.image_id): (answer.status, answer.reason) for answer in record.predictions}
    assert_told(told, laboratory.corpus.of("ok", "error"))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_other_image_gets_its_answer_and_the_counts_add_up(laboratory: Laboratory, strategy: str) -> None:
    record, corpus = laboratory.run(strategy), laboratory.corpus
    figures = metrics(record)

    assert figures.images == len(corpus.of("ok", "error"))
    assert figures.errors == len(corpus.of("error"))
    answers = {prediction.image_id: prediction for prediction in record.predictions}
    assert all(answers[name].label and answers[name].score for name in corpus.of("ok"))
    misread = {name: answers[name].label for name, entry in corpus.of("ok").items() if entry.has_digit}
    assert set(misread.values()) == {LABEL}, misread
    assert not any("died" in message for message in record.messages)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_run_names_the_first_entries_that_were_passed_over_and_counts_the_others(
    laboratory: Laboratory, strategy: str
) -> None:
    number = len(laboratory.corpus.of("passed over"))

    (said,) = [message for message in laboratory.run(strategy).messages if "passed over" in message]

    assert said.startswith(f"{number} entries were passed over: linked folder/ (a link to a folder, which is not")
    assert said.endswith(f" and {number - 3} more.")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_process_ever_takes_the_memory_of_the_largest_picture(laboratory: Laboratory, strategy: str) -> None:
    laboratory.run(strategy)

    assert 1e8 < laboratory.peak_bytes[strategy] < PEAK_BYTES


def test_no_picture_started_another_program(laboratory: Laboratory) -> None:
    for strategy in STRATEGIES:
        laboratory.run(strategy)

    assert laboratory.trap.caught == ""


def test_damaged_files_are_answered_or_refused_and_no_worker_is_started_again(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    fuzz.write(tmp_path, 300, seed=5)

    (record,) = laboratory.lab.finish(
        RunConfig(strategy="pipelined", dataset=str(tmp_path), limit=300, batch_size=16, concurrency=1)
    )

    assert (record.state, record.error, len(record.predictions)) == ("finished", None, 300)
    ends = Counter((answer.status, answer.label is None, answer.reason is None) for answer in record.predictions)
    assert set(ends) == {("ok", False, True), ("error", True, False)}
    assert len(model_workers(record.spans)) == 1
    assert not any("died" in message for message in record.messages)


# -- the same in a terminal and on the pages ---------------------------------------------------------------------


def test_the_terminal_says_the_same_of_a_run(laboratory: Laboratory) -> None:
    record = laboratory.run("pipelined")

    done = succeeded(laboratory.home, "predictions", record.id)
    documents = document(succeeded(laboratory.home, "predictions", record.id, "--json"))

    ended = (line.partition("  ") for line in done.stdout.splitlines())
    told = {
        name: ("error", said.removeprefix("error: ")) if said.startswith("error: ") else ("ok", None)
        for name, _, said in ended
    }
    assert_told(told, laboratory.corpus.of("ok", "error"))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", done.stdout)
    assert f"{LABEL}/cmyk.jpg  {LABEL} " in done.stdout
    assert [told["image_id"] for told in documents] == sorted(laboratory.corpus.of("ok", "error"))
    assert {told["correct"] for told in documents if told["truth"] == LABEL} == {True}


def test_the_terminal_says_the_same_of_a_data_set_before_a_run(laboratory: Laboratory) -> None:
    corpus = laboratory.corpus

    done = succeeded(laboratory.home, "dataset", corpus.folder)
    told = document(succeeded(laboratory.home, "dataset", corpus.folder, "--json"))

    ends = re.findall(r"^(\S.*?)  (error|passed over): (.*)$", done.stdout, re.MULTILINE)
    assert_told({name: (outcome, reason) for name, outcome, reason in ends}, corpus.of("error", "passed over"))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", done.stdout)
    assert (told["images"], told["looked_at"]) == (len(corpus.of("ok", "error")),) * 2
    assert {entry["image_id"] for entry in told["unreadable"]} == set(corpus.of("error"))
    assert {entry["name"] for entry in told["skipped"]} == set(corpus.of("passed over"))


def test_an_unknown_run_is_refused_by_the_terminal(laboratory: Laboratory) -> None:
    done = batchscope(laboratory.home, "predictions", "nothing")

    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no run 'nothing'" in done.stderr


@pytest.fixture
def open_page(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """`open_page("run", dataset="…")` opens a page of the laboratory's home folder, as its address would."""
    monkeypatch.setenv("BATCHSCOPE_HOME", str(laboratory.home))
    monkeypatch.setenv("BATCHSCOPE_NO_ENGINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv(folders.NAMED, str(laboratory.home.parent))

    def opened(name: str, **query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        app.switch_page(f"pages/{name}.py")
        app.query_params.update(query)
        app.run()
        assert not app.exception
        return app

    return opened


REFUSAL = ":orange[:material/warning:] no answer: "


def shown(app: AppTest) -> Told:
    """What the Predictions page says of its pictures: the name behind each button, and the words below it."""
    names = [unescaped(button.help) for button in app.button if (button.key or "").startswith("open-")]
    said = [element.value for element in app.markdown if re.match(rf"{re.escape(REFUSAL)}|\*\*.*  \n", element.value)]
    ends = [
        ("error", unescaped(text.removeprefix(REFUSAL))) if text.startswith(REFUSAL) else ("ok", None) for text in said
    ]
    return dict(zip(names, ends, strict=True))


def unescaped(markdown: str) -> str:
    """What a person reads of a text that was made safe for Markdown."""
    return re.sub(r"\\(.)", r"\1", re.sub("[\u2060\u2066-\u2069]", "", markdown))


def test_the_predictions_page_says_the_same_of_a_run(laboratory: Laboratory, open_page) -> None:  # type: ignore[no-untyped-def]
    record, expected = laboratory.run("pipelined"), laboratory.corpus.of("ok", "error")
    told: Told = {}

    for number in ("1", "2"):
        told |= shown(open_page("predictions", run=record.id, sort="file name", **{filters.PAGE: number}))

    assert_told(told, expected)


def test_one_click_leaves_those_without_an_answer(laboratory: Laboratory, open_page) -> None:  # type: ignore[no-untyped-def]
    app = open_page("predictions", run=laboratory.run("pipelined").id)

    app.get_by_key("outcome").set_value(["no answer"]).run()

    assert_told(shown(app), laboratory.corpus.of("error"))


# -- where there is nothing to run -------------------------------------------------------------------------------


@pytest.fixture(params=["empty", "no images", "missing", "nothing but a pipe"])
def nothing(request: pytest.FixtureRequest, laboratory: Laboratory) -> Path:
    """A folder that holds no image, below what may be read."""
    folder = laboratory.home.parent / f"nothing: {request.param}"
    if request.param != "missing":
        folder.mkdir(exist_ok=True)
    if request.param == "no images":
        (folder / "notes.txt").write_text("words")
    if request.param == "nothing but a pipe" and not (folder / "pipe.jpg").exists():
        os.mkfifo(folder / "pipe.jpg")
    return folder


def why(nothing: Path) -> str:
    """What must be said of it."""
    if "missing" in nothing.name:
        return f"There is no folder {nothing}. Give the path of a folder with images."
    piped = " 1 entry was passed over: pipe.jpg (no regular file: a pipe)." if "pipe" in nothing.name else ""
    return f"{nothing} holds no images: looked for .jpg, .*{re.escape(piped)}$"


def test_a_folder_without_images_is_refused_before_anything_is_queued(
    laboratory: Laboratory,
    nothing: Path,
    open_page,  # type: ignore[no-untyped-def]
) -> None:
    before = laboratory.lab.store.count()

    done = batchscope(laboratory.home, "run", "--strategy", "actor", "--dataset", nothing)
    app = open_page("run", dataset=str(nothing))

    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(why(nothing), done.stderr.strip())
    assert any(re.search(why(nothing), unescaped(error.value)) for error in app.error)
    assert not [button for button in app.button if button.label.startswith("Run ")]
    assert laboratory.lab.store.count() == before


def test_a_folder_without_images_fails_in_the_engine_with_the_same_reason(
    laboratory: Laboratory, nothing: Path
) -> None:
    (record,) = laboratory.lab.finish(RunConfig(dataset=str(nothing)))

    assert record.state == "failed"
    assert re.search(why(nothing), str(record.error))
