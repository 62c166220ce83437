"""Whole runs as a file: what is carried, and what is refused."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from inference import bundle, hardware
from inference.bundle import Imported, packed, read_in
from inference.config import RunConfig
from inference.errors import InvalidBundle
from inference.geometry import OWN, Geometry
from inference.history import History
from inference.results import OperatorProgress, Prediction, Progress, RunRecord, Sample, Span
from inference.store import Store, machine_id

SPANS = [Span("reader 1", "read", 0.01, 0.02, 1), Span("w 2", "load", 0.1, 0.4), Span("w 2", "forward", 0.5, 0.9, 2, 0)]
SAMPLES = [Sample("w 2", 0.1, 1.5, 640 * 1024**2), Sample("w 2", 0.9, 2.25, 641 * 1024**2)]
ANSWERS = [
    Prediction("a/ü.jpg", "three", 0.75, "ok", None, "3", (("three", 0.75), ("eight", 0.1)), 0.91, "w 2"),
    Prediction("b.jpg", status="error", reason="The file is cut off.", truth="four", done_s=0.92, worker="w 2"),
    Prediction("<script>\u202e.jpg", "vier", 1 / 3, done_s=0.93, worker="w 2"),
]
MACHINE = {"cpus": 2, "cpu_model": "Xeon", "memory_bytes": 23 * 1024**3, "versions": {"torch": "2.13.0"}}


@pytest.fixture
def here(tmp_path: Path) -> Store:
    return Store(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Store:
    return Store(tmp_path / "there")


def ended(store: Store, state: str = "finished", **options: Any) -> str:
    """A run with something in every field."""
    run_id, other = store.enqueue(
        [RunConfig(strategy="batched", channels_last=True, **options), RunConfig()], compare=True
    )
    store.claim("engine", MACHINE)
    store.save_progress(
        run_id,
        Progress(phase="classifying", images_done=3, images_total=3, elapsed_s=0.93, clock_started_at=1.75e9),
        spans=SPANS[:1],
        operators=[
            OperatorProgress(
                name="Map", rows=3, tasks_active=0, tasks_finished=2, actors=1, actors_restarting=0, queued_blocks=0
            )
        ],
        messages=["Ray is ready.", "½"],
    )
    store.end(run_id, state, error="why", plan="the plan", spans=SPANS[1:], samples=SAMPLES, predictions=ANSWERS)
    store.request_cancel(other)
    return run_id


def archive(documents: list[Any], *, manifest: Any = None, names: list[str] | None = None) -> bytes:
    """A file like ours around these documents."""
    file = io.BytesIO()
    told = (
        {"format": bundle.FORMAT, "version": bundle.VERSION, "runs": len(documents)} if manifest is None else manifest
    )
    names = names or [f"runs/{number:03}.json" for number in range(len(documents))]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("manifest.json", json.dumps(told))
        for name, one in zip(names, documents, strict=True):
            written.writestr(name, one if isinstance(one, str | bytes) else json.dumps(one))
    return file.getvalue()


def document(store: Store) -> dict[str, Any]:
    """One run as it is written into a file."""
    with zipfile.ZipFile(io.BytesIO(packed(store, [ended(store)]))) as written:
        return dict(json.loads(written.read("runs/000.json")))


def refusal(store: Store, data: bytes) -> str:
    """Why a file is refused; nothing of it is taken."""
    with pytest.raises(InvalidBundle) as refused:
        read_in(store, data)
    assert store.count() == 0
    return str(refused.value)


# -- what is carried -----------------------------------------------------------------------------------------------


def test_a_run_is_the_same_record_on_the_other_machine(here: Store, there: Store) -> None:
    run_id = ended(here)
    mine = here.get(run_id)
    assert mine is not None
    for field in fields(RunRecord):  # or the comparison below would not see what is lost
        assert field.default is MISSING or getattr(mine, field.name) != field.default, field.name

    assert read_in(there, packed(here, [run_id])) == Imported(added=(run_id,))

    assert there.get(run_id) == mine


def test_figures_are_derived_again_and_what_was_said_comes_along(here: Store, there: Store) -> None:
    run_id = ended(here)
    History(here.database).describe(run_id, name="Größe", note="two\nlines", tags=["a", "ß"], favourite=True)

    read_in(there, packed(here, [run_id]))

    mine, theirs = here.summary(run_id), there.summary(run_id)
    assert mine is not None
    assert theirs is not None
    assert theirs.metrics == mine.metrics
    assert (theirs.name, theirs.note, theirs.tags, theirs.favourite) == ("Größe", "two\nlines", ("a", "ß"), True)
    assert mine.imported_at is None
    assert theirs.imported_at is not None


@pytest.mark.parametrize("seen", [Geometry(shortest_edge=256, crop=(224, 224)), Geometry(size=(8, 9)), None])
def test_how_the_model_saw_its_pictures_comes_along(here: Store, there: Store, seen: Geometry | None) -> None:
    run_id = ended(here)
    here.save_geometry(run_id, seen)

    read_in(there, packed(here, [run_id]))

    assert there.geometry(run_id) == (seen or OWN)


def test_a_run_that_left_nothing_behind_can_be_carried(here: Store, there: Store) -> None:
    (run_id,) = here.enqueue([RunConfig()])
    here.request_cancel(run_id)

    read_in(there, packed(here, [run_id]))

    assert there.get(run_id) == here.get(run_id)
    assert there.geometry(run_id) is None
    assert [run.metrics for run in there.summaries()] == [None]


def test_a_run_that_is_here_already_stays_as_it_is(here: Store, there: Store) -> None:
    first, second = ended(here), ended(here, "failed")
    read_in(there, packed(here, [first]))
    History(there.database).describe(first, name="my own name")

    assert read_in(there, packed(here, [second, first])) == Imported(added=(second,), here=(first,))

    assert {run.id: run.name for run in there.summaries()} == {first: "my own name", second: None}


def test_a_run_that_lies_in_the_bin_stays_there(here: Store, there: Store) -> None:
    run_id = ended(here)
    data = packed(here, [run_id])
    read_in(there, data)
    History(there.database).delete([run_id])

    assert read_in(there, data) == Imported(binned=(run_id,))
    assert there.summary(run_id) is None


def test_imported_runs_come_before_all_of_this_home_and_keep_their_order(here: Store, there: Store) -> None:
    (own,) = there.enqueue([RunConfig()])
    first, second = ended(here), ended(here)

    read_in(there, packed(here, [second]))
    read_in(there, packed(here, [second, first]))
    read_in(there, packed(here, [ended(here)]))

    assert there.summaries(limit=1)[0].id == own
    assert there.summaries()[1].id == second


def test_imported_runs_are_never_taken_for_this_homes_latest_comparison(here: Store, there: Store) -> None:
    own = there.enqueue([RunConfig(), RunConfig()], compare=True)

    read_in(there, packed(here, [ended(here)]))

    assert [run.id for run in there.latest_comparison()] == own


def test_a_machine_is_kept_once_for_all_its_runs(here: Store, there: Store) -> None:
    read_in(there, packed(here, [ended(here), ended(here)]))

    with there.database.transaction() as db:
        assert db.execute("SELECT COUNT(*) FROM machines").fetchone()[0] == 1
        assert machine_id(db, MACHINE) == 1


def test_an_active_or_unknown_run_is_not_exported(here: Store) -> None:
    (queued,) = here.enqueue([RunConfig()])

    with pytest.raises(InvalidBundle, match=f"Run {queued} is queued: wait for its end, or cancel it first"):
        packed(here, [queued])
    with pytest.raises(InvalidBundle, match="There is no run 'nobody'"):
        packed(here, ["nobody"])
    with pytest.raises(InvalidBundle, match="A file holds 1 to 200 runs, got 0"):
        packed(here, [])


def test_more_answers_than_a_file_holds_are_not_exported(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = ended(here)
    monkeypatch.setattr(bundle, "MAX_ANSWERS", 2)

    with pytest.raises(InvalidBundle, match="A file holds 2 answers, these runs have 3: choose fewer"):
        packed(here, [run_id])


def test_a_file_that_cannot_be_written_or_read_is_named(here: Store, tmp_path: Path) -> None:
    run_id = ended(here)

    with pytest.raises(InvalidBundle, match=r"cannot be written: Is a directory. Choose another place"):
        bundle.write(here, [run_id], tmp_path)
    with pytest.raises(InvalidBundle, match="cannot be read: No such file"):
        bundle.read_file(here, tmp_path / "nothing.batchscope")


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"PK", b"\x89PNG\r\n", b"{}" * 1000, "not a zip ß".encode()])
def test_a_file_of_another_kind_is_refused(there: Store, data: bytes) -> None:
    assert "is no archive of runs" in refusal(there, data)


def test_another_zip_archive_is_refused(there: Store) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as other:
        other.writestr("holiday.txt", "sun")

    assert refusal(there, file.getvalue()) == "The file is no archive of runs: it has no manifest.json."
    assert "its manifest.json says nothing of the kind" in refusal(there, archive([], manifest={"format": "x"}))
    assert "its manifest.json says nothing of the kind" in refusal(there, archive([], manifest=[1]))


def test_a_file_that_is_cut_off_anywhere_is_refused(here: Store, there: Store) -> None:
    data = packed(here, [ended(here)])

    for length in range(0, len(data), 97):
        refusal(there, data[:length])


def test_a_file_with_a_flipped_byte_is_refused_or_the_same(here: Store, there: Store) -> None:
    run_id = ended(here)
    data = packed(here, [run_id])

    for place in range(0, len(data), 53):
        broken = data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
        try:
            read_in(there, broken)
        except InvalidBundle:
            assert there.count() == 0
        else:  # a byte that says nothing, such as a date
            assert there.get(run_id) == here.get(run_id)
            with there.database.transaction() as db:
                db.execute("DELETE FROM runs")


def test_a_newer_version_is_told_from_a_damaged_file(there: Store) -> None:
    newer = {"format": bundle.FORMAT, "version": bundle.VERSION + 1, "runs": 1, "what": "else"}

    assert "written by a newer Batchscope (format 2, this one reads up to 1)" in refusal(
        there, archive([{}], manifest=newer)
    )
    assert "version must be a whole number, got '1'" in refusal(
        there, archive([{}], manifest={"format": bundle.FORMAT, "version": "1", "runs": 1})
    )


@pytest.mark.parametrize("number", [0, 2, -1, 10**9, "1", None, True])
def test_a_file_must_hold_what_it_announces(here: Store, there: Store, number: Any) -> None:
    told = {"format": bundle.FORMAT, "version": 1, "runs": number}

    assert "announce" in refusal(there, archive([document(here)] * (2 if number is True else 1), manifest=told))


@pytest.mark.parametrize("name", ["../../evil.json", "/etc/passwd", "runs/001.json", "C:\\evil", "runs/000.json/x"])
def test_a_path_in_the_archive_is_never_followed(here: Store, there: Store, tmp_path: Path, name: str) -> None:
    before = sorted(tmp_path.rglob("*"))

    assert "does not hold the 1 run that it announces" in refusal(there, archive([document(here)], names=[name]))

    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]
    assert before


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_documents_of_one_name_or_one_run_are_refused(here: Store, there: Store) -> None:
    one = document(here)

    assert "does not hold the 2 runs" in refusal(there, archive([one, one], names=["runs/000.json"] * 2))
    assert refusal(there, archive([one, one])) == "The file holds the same run twice."


def test_too_large_files_are_refused_before_they_are_unpacked(
    here: Store, there: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = packed(here, [ended(here)])
    monkeypatch.setattr(bundle, "MAX_FILE_BYTES", len(data) - 1)
    assert "The file is larger than" in refusal(there, data)
    monkeypatch.setattr(bundle, "MAX_FILE_BYTES", len(data))
    assert read_in(there, data).added


def test_a_bomb_is_refused_by_what_it_announces(there: Store) -> None:
    data = archive(["0" * (bundle.MAX_UNPACKED_BYTES + 5000)])
    assert len(data) < 1024**2

    assert "unpacks to 128 MiB; at most 128 MiB are read" in refusal(there, data)


def test_a_bomb_that_announces_little_is_not_unpacked_further(there: Store) -> None:
    data = bytearray(archive(["0" * 10_000_000]))
    real, claimed = (10_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    assert data.count(real) >= 2  # in the entry and in the directory

    refusal(there, bytes(data.replace(real, claimed)))


def test_too_many_entries_are_refused_before_they_are_listed(there: Store) -> None:
    data = archive([{}] * 500)

    assert refusal(there, data) == "The file has too many entries: at most 200 runs are read."


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, ("[" + 8 * " ") * 20_000, "{" * 100, '{"id": NaN}', "{}{}", "\xff", '{"id": 1' + "0" * 5000 + "}"],
)
def test_a_document_that_is_no_json_is_refused(there: Store, text: str) -> None:
    assert "Nothing was imported" in refusal(there, archive([text.encode("latin-1")]))


def test_a_document_of_brackets_is_not_even_parsed(there: Store) -> None:
    assert "runs/000.json is not written as runs are" in refusal(there, archive(["[" + "[]," * 100_000 + "[]]"]))


def test_an_unknown_compression_is_refused(here: Store, there: Store) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as written:
        written.writestr("manifest.json", json.dumps({"format": bundle.FORMAT, "version": 1, "runs": 1}))
        written.writestr("runs/000.json", json.dumps(document(here)))

    assert "compressed in an unknown way" in refusal(there, file.getvalue())


@pytest.mark.parametrize("state", ["queued", "running", "cancelling"])
def test_an_active_state_is_refused(here: Store, there: Store, state: str) -> None:
    told = refusal(there, archive([document(here) | {"state": state}]))

    assert told == (
        f"Run 1 of the file is not valid: its state is {state}: only runs that have ended can be carried. "
        "Nothing was imported."
    )


SPOILT: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("id", lambda d: d.update(id="../x")),
    ("id", lambda d: d.update(id=7)),
    ("comparison_id", lambda d: d.update(comparison_id="'; DROP TABLE runs")),
    ("state", lambda d: d.update(state="done")),
    ("state", lambda d: d.update(state=["finished"])),
    ("unknown field 'deleted_at'", lambda d: d.update(deleted_at=1.0)),
    ("unknown field 'record'", lambda d: d.update(record={})),
    ("batch_size", lambda d: d["config"].update(batch_size=0)),
    ("strategy", lambda d: d["config"].update(strategy=["naive"])),
    ("config", lambda d: d.update(config=None)),
    ("config", lambda d: d["config"].update(model="\ud800")),
    ("created_at", lambda d: d.update(created_at=-1)),
    ("created_at", lambda d: d.update(created_at=1e300)),
    ("created_at", lambda d: d.pop("created_at")),
    ("started_at", lambda d: d.update(started_at="yesterday")),
    ("hardware", lambda d: d.update(hardware=[1])),
    ("hardware", lambda d: d.update(hardware={"cpus": "many"})),
    ("hardware", lambda d: d.update(hardware={"cpus": 2, "memory_bytes": "lots"})),
    ("hardware", lambda d: d.update(hardware={"note": "x" * 200_000})),
    ("progress", lambda d: d["progress"].update(images_done="3")),
    ("progress", lambda d: d["progress"].update(more=1)),
    ("progress", lambda d: d["progress"].pop("phase")),
    ("operators", lambda d: d["operators"][0].update(rows=1.5)),
    ("operators", lambda d: d.update(operators={})),
    ("messages", lambda d: d.update(messages=[1])),
    ("plan", lambda d: d.update(plan=1)),
    ("error", lambda d: d.update(error="\ud800")),
    ("name", lambda d: d.update(name="x" * 301)),
    ("note", lambda d: d.update(note=None)),
    ("tags", lambda d: d.update(tags=["x"] * 2000)),
    ("tags", lambda d: d.update(tags=[str(number) for number in range(21)])),
    ("a tag", lambda d: d.update(tags=["x" * 61])),
    ("favourite", lambda d: d.update(favourite=1)),
    ("geometry", lambda d: d.update(geometry="other")),
    ("geometry", lambda d: d.update(geometry={"crop": [224]})),
    ("geometry", lambda d: d.update(geometry={"resample": 99})),
    ("spans", lambda d: d.update(spans=[])),
    ("spans", lambda d: d.update(spans="no json")),
    ("spans", lambda d: d.update(spans='[["w",0,0,0]]')),
    ("spans", lambda d: d.update(spans='[["w","dance",0,1,0,0]]')),
    ("spans", lambda d: d.update(spans='[["w","wait",0,1,0,0]]')),
    ("spans", lambda d: d.update(spans='[["w","load",1,0,0,0]]')),
    ("spans", lambda d: d.update(spans='[["w","load",0,NaN,0,0]]')),
    ("spans", lambda d: d.update(spans='[["w","load",0,1,-5,0]]')),
    ("spans", lambda d: d.update(spans='[[["w"],"load",0,1,0,0]]')),
    ("spans", lambda d: d.update(spans=("[" + 8 * " ") * 5000)),
    ("samples", lambda d: d.update(samples='[["w",0,-1,0]]')),
    ("samples", lambda d: d.update(samples='[["w",0,1,"much"]]')),
    ("samples", lambda d: d.update(samples='[["w",0,1,1e400]]')),
    ("predictions", lambda d: d.update(predictions={})),
    ("predictions", lambda d: d["predictions"][0].pop()),
    ("predictions", lambda d: d["predictions"][0].__setitem__(0, None)),
    ("predictions", lambda d: d["predictions"][0].__setitem__(1, "\ud800")),
    ("predictions", lambda d: d["predictions"][0].__setitem__(2, 2.0)),
    ("predictions", lambda d: d["predictions"][0].__setitem__(3, "maybe")),
    ("predictions", lambda d: d["predictions"][0].__setitem__(4, "a reason, though ok")),
    ("predictions", lambda d: d["predictions"][0].__setitem__(6, [["three"]])),
    ("predictions", lambda d: d["predictions"][0].__setitem__(6, [["three", 0.1]] * 21)),
    ("predictions", lambda d: d["predictions"][0].__setitem__(7, -1)),
    ("predictions", lambda d: d["predictions"][0].__setitem__(7, True)),
]


@pytest.mark.parametrize(("field", "spoil"), SPOILT)
def test_a_run_that_cannot_be_is_refused_with_the_field_and_so_is_the_whole_file(
    here: Store, there: Store, field: str, spoil: Callable[[dict[str, Any]], Any]
) -> None:
    good = document(here)
    bad = copy.deepcopy(good)
    bad["id"] = "0123456789ab"
    spoil(bad)

    told = refusal(there, archive([good, bad]))

    assert told.startswith("Run 2 of the file is not valid: ")
    assert field in told


JUNK = [None, True, -1, 1.5, 10**30, 1e308, "", "x", "\x00", [], [[]], [None], {}, {"": {}}]


def test_no_junk_in_any_field_is_met_with_anything_but_a_refusal(here: Store, there: Store) -> None:
    good = document(here)
    for name in good:
        for junk in JUNK:
            try:
                read_in(there, archive([good | {name: junk}]))
            except InvalidBundle:
                continue
            # What passes can be shown.
            for summary in there.summaries():
                record = there.get(summary.id)
                assert record is not None
                if record.hardware is not None:
                    hardware.facts(hardware.from_dict(record.hardware))
            with there.database.transaction() as db:
                db.execute("DELETE FROM runs")
    assert hardware.chip(hardware.from_dict(MACHINE))
