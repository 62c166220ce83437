"""Whole runs as one file, carried from one machine to another: everything that is kept of them but the images.

The file is a zip archive: `manifest.json` says what it is, and one JSON document per run follows. Nothing is ever
unpacked to a path; names in the archive only say which document comes next.
"""

from __future__ import annotations

import io
import json
import sqlite3
import time
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inference import answers, recorder
from inference.carried import Carried, carried, document
from inference.errors import InvalidBundle
from inference.geometry import Geometry, seen_from_json, seen_to_json
from inference.results import metrics
from inference.store import Store, machine_id, packed_text, record_where
from inference.wording import bytes_, count

ENDING = "batchscope"
"""Of the file's name."""
FORMAT = "batchscope runs"
VERSION = 1
"""Of the archive and its documents; a reader refuses a newer one."""

MAX_FILE_BYTES = 64 * 1024**2
MAX_UNPACKED_BYTES = 128 * 1024**2
MAX_RUNS = 200
MAX_ANSWERS = 400_000
"""Images of all runs together; with usual names and labels they take as much room as there is."""

_MANIFEST = "manifest.json"
_ENTRY_SIGNATURE = b"PK\x01\x02"
_SLACK = 16  # compressed data may hold the signature by chance
_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BYTES_PER_BRACKET = 8  # runs are written with fewer brackets than that; each takes far more memory than a byte
_OLDEST = (1980, 1, 1, 0, 0, 0)  # the same runs make the same file


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of the runs of a file, by their ids, in the file's order."""

    added: tuple[str, ...] = ()
    here: tuple[str, ...] = ()
    """Were here already and stayed as they are."""
    binned: tuple[str, ...] = ()
    """Lie in this home's bin and stay there."""


def packed(store: Store, run_ids: Sequence[str]) -> bytes:
    """These runs as one file, in the order in which they were queued.

    Raises `InvalidBundle` for a run that is not there or has not ended, and for more than fits into one file.
    """
    wanted = list(dict.fromkeys(run_ids))
    if not 1 <= len(wanted) <= MAX_RUNS:
        raise InvalidBundle(f"A file holds 1 to {MAX_RUNS} runs, got {len(wanted)}: choose fewer.")
    answers_there = sum(
        run.metrics.images for run_id in wanted if (run := store.summary(run_id)) is not None and run.metrics
    )
    if answers_there > MAX_ANSWERS:
        raise InvalidBundle(f"A file holds {MAX_ANSWERS:,} answers, these runs have {answers_there:,}: choose fewer.")
    texts = [_written(store, run_id).encode() for run_id in _in_order(store, wanted)]
    size_bytes = sum(map(len, texts))
    if size_bytes > MAX_UNPACKED_BYTES:
        raise InvalidBundle(
            f"{count(len(texts), 'run')} of {bytes_(size_bytes)} together; a file holds {bytes_(MAX_UNPACKED_BYTES)}: "
            "choose fewer, or runs with fewer images."
        )
    manifest = json.dumps({"format": FORMAT, "version": VERSION, "runs": len(texts)})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in [(_MANIFEST, manifest.encode()), *zip(_entries(len(texts)), texts, strict=True)]:
            archive.writestr(zipfile.ZipInfo(name, _OLDEST), text, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def write(store: Store, run_ids: Sequence[str], path: Path) -> None:
    """Write `packed` to a file, in place of what was there; raises `InvalidBundle` where that cannot be."""
    data = packed(store, run_ids)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise InvalidBundle(f"{path} cannot be written: {error.strerror}. Choose another place.") from error


def read_file(store: Store, path: Path) -> Imported:
    """`read_in` of a file; raises `InvalidBundle` also where it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidBundle(f"{path} cannot be read: {error.strerror}.") from error
    return read_in(store, data)


def read_in(store: Store, data: bytes) -> Imported:
    """Add the runs of a file that are not here yet, all of them or none.

    They keep their ids and are marked as imported. Raises `InvalidBundle`, and adds nothing, when the file is no
    such archive, is damaged, too large or of a newer version, or if any run in it is not valid.
    """
    runs = _unpacked(data)
    figures = [_metrics(run) for run in runs]
    now = time.time()
    with store.database.transaction() as db:
        known = {row["id"]: row["deleted_at"] for row in _known(db, [run.record.id for run in runs])}
        # Before all runs of this home: they were never in its queue, and are nobody's latest here.
        oldest = db.execute("SELECT MIN(0, COALESCE(MIN(seq), 0)) FROM runs").fetchone()[0]
        for number, (run, derived) in enumerate(zip(runs, figures, strict=True)):
            if run.record.id not in known:
                _insert(db, oldest - len(runs) + number, run, derived, now)
    ids = [run.record.id for run in runs]
    return Imported(
        added=tuple(run_id for run_id in ids if run_id not in known),
        here=tuple(run_id for run_id in ids if run_id in known and known[run_id] is None),
        binned=tuple(run_id for run_id in ids if known.get(run_id) is not None),
    )


# -- out -----------------------------------------------------------------------------------------------------------


def _in_order(store: Store, run_ids: Sequence[str]) -> list[str]:
    with store.database.reading() as db:
        found = {row["id"]: row["seq"] for row in _known(db, run_ids) if row["deleted_at"] is None}
    missing = [run_id for run_id in run_ids if run_id not in found]
    if missing:
        raise InvalidBundle(f"There is no run {missing[0]!r:.80}: it was deleted, or the id is wrong.")
    return sorted(run_ids, key=found.__getitem__)


def _written(store: Store, run_id: str) -> str:
    with store.database.reading() as db:
        record = record_where(db, "WHERE id = ? AND deleted_at IS NULL", (run_id,))
        if record is None:
            raise InvalidBundle(f"Run {run_id} was deleted meanwhile.")
        row = db.execute("SELECT name, note, tags, favourite, geometry FROM runs WHERE id = ?", (run_id,)).fetchone()
        if record.active:
            raise InvalidBundle(f"Run {run_id} is {record.state}: wait for its end, or cancel it first.")
        run = Carried(
            record=record,
            name=row["name"],
            note=row["note"],
            tags=tuple(json.loads(row["tags"])),
            favourite=bool(row["favourite"]),
            geometry=seen_from_json(row["geometry"]) if row["geometry"] else None,
        )
    return json.dumps(document(run), separators=(",", ":"), allow_nan=False)


def _entries(number: int) -> list[str]:
    return [f"runs/{position:03}.json" for position in range(number)]


# -- in ------------------------------------------------------------------------------------------------------------


def _unpacked(data: bytes) -> list[Carried]:
    """The runs of a file, each of them checked."""
    if len(data) > MAX_FILE_BYTES:
        raise InvalidBundle(f"The file is larger than {bytes_(MAX_FILE_BYTES)}, which is the most that is read.")
    if data.count(_ENTRY_SIGNATURE) > MAX_RUNS + 1 + _SLACK:
        raise InvalidBundle(f"The file has too many entries: at most {MAX_RUNS} runs are read.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _runs(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise InvalidBundle("The file is no archive of runs, or it is damaged or cut off.") from error


def _runs(archive: zipfile.ZipFile) -> list[Carried]:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if _MANIFEST not in names:
        raise InvalidBundle(f"The file is no archive of runs: it has no {_MANIFEST}.")
    size_bytes = sum(entry.file_size for entry in entries)
    if size_bytes > MAX_UNPACKED_BYTES + 4096:
        raise InvalidBundle(f"The file unpacks to {bytes_(size_bytes)}; at most {bytes_(MAX_UNPACKED_BYTES)} are read.")
    number = _announced(_loaded(archive, _MANIFEST))
    if sorted(names) != sorted([_MANIFEST, *_entries(number)]):
        raise InvalidBundle(f"The file does not hold the {count(number, 'run')} that it announces, and nothing else.")
    runs = [_run(archive, name, place) for place, name in enumerate(_entries(number), start=1)]
    if len({run.record.id for run in runs}) < len(runs):
        raise InvalidBundle("The file holds the same run twice.")
    return runs


def _announced(manifest: Any) -> int:
    """How many runs there are, from the manifest of a version that is known here."""
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InvalidBundle(f"The file is no archive of runs: its {_MANIFEST} says nothing of the kind.")
    version, number = manifest.get("version"), manifest.get("runs")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InvalidBundle(f"The file's version must be a whole number, got {version!r:.80}.")
    if version > VERSION:
        raise InvalidBundle(
            f"The file was written by a newer Batchscope (format {version}, this one reads up to {VERSION}): "
            "update this one first."
        )
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MAX_RUNS:
        raise InvalidBundle(f"The file must announce 1 to {MAX_RUNS} runs, got {number!r:.80}.")
    return number


def _run(archive: zipfile.ZipFile, name: str, place: int) -> Carried:
    try:
        return carried(_loaded(archive, name))
    except InvalidBundle as error:
        raise InvalidBundle(f"Run {place} of the file is not valid: {error}. Nothing was imported.") from error


def _loaded(archive: zipfile.ZipFile, name: str) -> Any:
    """One document of the archive; never more of it than the archive says it has."""
    entry = archive.getinfo(name)
    if entry.compress_type not in _KINDS:
        raise InvalidBundle(f"{name} is compressed in an unknown way")
    with archive.open(entry) as file:
        raw = file.read(entry.file_size + 1)
    if raw.count(b"[") + raw.count(b"{") > len(raw) / _BYTES_PER_BRACKET + 64:
        raise InvalidBundle(f"{name} is not written as runs are")
    try:
        return json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidBundle(f"{name} is no JSON: {error!s:.120}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _metrics(run: Carried) -> str | None:
    record = run.record
    try:
        return json.dumps(asdict(metrics(record)), allow_nan=False) if record.spans or record.predictions else None
    except (ValueError, ArithmeticError) as error:
        raise InvalidBundle(f"Run {record.id} cannot be summed up: {error}. Nothing was imported.") from error


def _known(db: sqlite3.Connection, run_ids: Sequence[str]) -> list[sqlite3.Row]:
    wanted = json.dumps(list(run_ids))
    query = "SELECT id, seq, deleted_at FROM runs WHERE id IN (SELECT value FROM json_each(?))"
    return db.execute(query, (wanted,)).fetchall()


def _insert(db: sqlite3.Connection, seq: int, run: Carried, derived: str | None, imported_at: float) -> None:
    record, seen = run.record, run.geometry
    columns = {
        "seq": seq,
        "id": record.id,
        "state": record.state,
        "config": json.dumps(record.config.to_dict()),
        "comparison_id": record.comparison_id,
        "created_at": record.created_at,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "machine": None if record.hardware is None else machine_id(db, record.hardware),
        "progress": json.dumps(asdict(record.progress)) if record.progress else None,
        "operators": json.dumps([asdict(operator) for operator in record.operators]),
        "messages": json.dumps(record.messages),
        "plan": packed_text(record.plan),
        "error": record.error,
        "metrics": derived,
        "name": run.name,
        "note": run.note,
        "tags": json.dumps(run.tags),
        "favourite": int(run.favourite),
        "geometry": None if seen is None else seen_to_json(seen if isinstance(seen, Geometry) else None),
        "imported_at": imported_at,
    }
    places = ", ".join("?" * len(columns))
    db.execute(f"INSERT INTO runs ({', '.join(columns)}) VALUES ({places})", tuple(columns.values()))  # noqa: S608  # ours
    if record.spans or record.samples:
        blob = zlib.compress(recorder.encode(record.spans, record.samples).encode())
        db.execute("INSERT INTO span_chunks VALUES (?, 0, ?)", (seq, blob))
    answers.append(db, seq, record.predictions)
