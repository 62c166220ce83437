"""Runs from the queue to their results, and the engine's last word.

Nothing is computed here but the metrics that are kept beside a finished run. A run in the bin is none for anybody
but `History`.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from inference import answers, chunks
from inference.chunks import packed_text as packed_text
from inference.chunks import unpacked_text
from inference.config import RunConfig
from inference.database import DATABASE_NAME, Database
from inference.errors import StoreUnavailable
from inference.geometry import Geometry, Seen, seen_from_json, seen_to_json
from inference.measured_limits import MeasuredLimits
from inference.results import (
    ACTIVE_STATES,
    END_STATES,
    Metrics,
    OperatorProgress,
    Prediction,
    Progress,
    RunRecord,
    Sample,
    Span,
    metrics,
)

__all__ = ["DATABASE_NAME", "EngineStatus", "RunSummary", "Store", "home_folder"]

_T = TypeVar("_T")


def home_folder() -> Path:
    """Where the database and caches live: `BATCHSCOPE_HOME`, else this system's place for a person's data."""
    chosen = os.environ.get("BATCHSCOPE_HOME")
    return Path(chosen).expanduser().resolve() if chosen else Path(platformdirs.user_data_dir("batchscope"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """A run as a list shows it: everything but spans, predictions and plan."""

    seq: int
    """Place in the queue of all times: a later run has a larger one."""
    id: str
    state: str
    config: RunConfig
    comparison_id: str | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    progress: Progress | None
    metrics: Metrics | None
    error: str | None
    name: str | None = None
    """What a person calls it."""
    note: str = ""
    tags: tuple[str, ...] = ()
    favourite: bool = False
    deleted_at: float | None = None
    """Since when it lies in the bin; None for a run that does not."""
    imported_at: float | None = None
    """When it came here from another home folder; None for a run that was queued here."""

    @property
    def active(self) -> bool:
        """Whether the run has not ended yet."""
        return self.state in ACTIVE_STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """What the engine last said of itself."""

    engine_id: str
    pid: int
    process_started_at: float
    """The system's creation time of the process: with `pid`, its identity."""
    state: str
    """`starting`, `ready`, or `stopped`."""
    message: str
    """What it is doing, in words for a person."""
    heartbeat_at: float
    hardware: Mapping[str, Any] | None
    dashboard_url: str | None
    """Where the Ray Dashboard is, if the engine started one."""
    dashboard_token: str | None = None
    """What the Ray Dashboard asks for before it shows anything."""


class Store:
    """The database of one home folder; made, or migrated after a backup, when first opened.

    Raises `StoreUnavailable` when the folder cannot be written or the database is of a newer version.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.database = Database(
            home,
            {
                "packed_text": (1, packed_text),
                "packed_top": (3, answers.packed_top),
                "is_right": (2, answers.is_right),
            },
        )
        self.path = self.database.path
        self.limits = MeasuredLimits(self.database)

    # -- the queue -----------------------------------------------------------------------------------------

    def enqueue(
        self, configs: Sequence[RunConfig], *, compare: bool = False, request_key: str | None = None
    ) -> list[str]:
        """Queue runs in this order and return their ids; with `compare` they share a comparison id.

        A `request_key` makes the call idempotent: the same key returns the ids of the first call, so that a
        double click queues once.
        """
        comparison_id = _new_id() if compare else None
        with self.database.transaction() as db:
            if request_key is not None:
                known = db.execute("SELECT id FROM runs WHERE request_key = ? ORDER BY seq", (request_key,)).fetchall()
                if known:
                    return [row["id"] for row in known]
            ids = [_new_id() for _ in configs]
            db.executemany(
                "INSERT INTO runs (id, state, config, comparison_id, request_key, created_at)"
                " VALUES (?, 'queued', ?, ?, ?, ?)",
                [
                    (run_id, _json(config.to_dict()), comparison_id, request_key, time.time())
                    for run_id, config in zip(ids, configs, strict=True)
                ],
            )
        return ids

    def claim(self, engine_id: str, hardware: Mapping[str, Any]) -> RunRecord | None:
        """Take the oldest queued run and mark it running; None when the queue is empty or a run is active."""
        with self.database.transaction() as db:
            if db.execute("SELECT 1 FROM runs WHERE state IN ('running', 'cancelling') LIMIT 1").fetchone():
                return None
            row = db.execute("SELECT seq, id FROM runs WHERE state = 'queued' ORDER BY seq LIMIT 1").fetchone()
            if row is None:
                return None
            db.execute(
                "UPDATE runs SET state = 'running', started_at = ?, engine_id = ?, machine = ? WHERE seq = ?",
                (time.time(), engine_id, machine_id(db, hardware), row["seq"]),
            )
        return self.get(row["id"])

    def request_cancel(self, run_id: str) -> None:
        """Ask for a run to stop: a queued one is cancelled at once, a running one by its engine."""
        with self.database.transaction() as db:
            db.execute(
                "UPDATE runs SET state = 'cancelled', finished_at = ? WHERE id = ? AND state = 'queued'",
                (time.time(), run_id),
            )
            db.execute("UPDATE runs SET state = 'cancelling' WHERE id = ? AND state = 'running'", (run_id,))

    def cancel_requested(self, run_id: str) -> bool:
        """Whether someone asked for this run to stop."""
        with self.database.reading() as db:
            row = db.execute("SELECT state FROM runs WHERE id = ?", (run_id,)).fetchone()
        return row is None or row["state"] == "cancelling"

    # -- what a run produces -------------------------------------------------------------------------------

    def save_progress(
        self,
        run_id: str,
        progress: Progress,
        *,
        spans: Sequence[Span] = (),
        samples: Sequence[Sample] = (),
        predictions: Sequence[Prediction] = (),
        operators: Sequence[OperatorProgress] = (),
        messages: Sequence[str] = (),
    ) -> None:
        """Add what is new since the last call, and replace the account of how far the run is."""
        with self.database.transaction() as db:
            seq = self._seq(db, run_id)
            self._append(db, seq, spans, samples, predictions)
            db.execute(
                "UPDATE runs SET progress = ?, operators = ?, messages = ? WHERE seq = ?",
                (
                    _json(asdict(progress)),
                    _json([asdict(op) for op in operators]),
                    _json(list(messages)),
                    seq,
                ),
            )

    def end(
        self,
        run_id: str,
        state: str,
        *,
        error: str | None = None,
        plan: str | None = None,
        spans: Sequence[Span] = (),
        samples: Sequence[Sample] = (),
        predictions: Sequence[Prediction] = (),
    ) -> None:
        """Give a run its end state, its last spans and predictions and its metrics, in one transaction.

        A run that has ended already keeps its first end.
        """
        if state not in END_STATES:
            raise ValueError(f"state must be one of {', '.join(END_STATES)}, got {state}")
        with self.database.transaction() as db:
            seq = self._seq(db, run_id)
            self._append(db, seq, spans, samples, predictions)
            record = record_where(db, "WHERE seq = ?", (seq,))
            if record is None or not record.active:
                return
            derived = _json(asdict(metrics(record))) if record.spans or record.predictions else None
            db.execute(
                "UPDATE runs SET state = ?, finished_at = ?, error = ?, plan = COALESCE(?, plan), metrics = ?,"
                " operators = ? WHERE seq = ?",
                (
                    state,
                    time.time(),
                    error,
                    packed_text(plan),
                    derived,
                    packed_text(_json([asdict(op) for op in record.operators])),
                    seq,
                ),
            )
            # Many small chunks, as they came while the run was live, take far more room and time than one.
            db.execute("DELETE FROM span_chunks WHERE run_seq = ?", (seq,))
            self._append(db, seq, record.spans, record.samples, ())

    def save_geometry(self, run_id: str, geometry: Geometry | None) -> None:
        """Keep what the pictures of a run's model go through; None where only its image processor can tell."""
        with self.database.transaction() as db:
            db.execute("UPDATE runs SET geometry = ? WHERE id = ?", (seen_to_json(geometry), run_id))

    def end_orphans(self, *, alive_engine_id: str | None, reason: str) -> list[str]:
        """Mark as crashed every running run that does not belong to the engine that is alive; return their ids.

        A run that someone was cancelling is cancelled: it stopped, as asked.
        """
        with self.database.reading() as db:
            rows = db.execute(
                "SELECT id, state FROM runs WHERE state IN ('running', 'cancelling') AND engine_id IS NOT ?",
                (alive_engine_id,),
            ).fetchall()
        for row in rows:
            if row["state"] == "cancelling":
                self.end(row["id"], "cancelled")
            else:
                self.end(row["id"], "crashed", error=reason)
        return [row["id"] for row in rows]

    # -- reading -------------------------------------------------------------------------------------------

    def get(self, run_id: str) -> RunRecord | None:
        """A run with everything that was kept of it; None if there is no such run."""
        with self.database.reading() as db:
            return record_where(db, "WHERE id = ? AND deleted_at IS NULL", (run_id,))

    def recent(self, run_id: str, *, predictions: int) -> list[Prediction]:
        """The last predictions of a run that were saved, newest first."""
        with self.database.reading() as db:
            row = db.execute("SELECT seq FROM runs WHERE id = ? AND deleted_at IS NULL", (run_id,)).fetchone()
            return list(answers.read(db, row["seq"], newest=predictions)) if row else []

    def geometry(self, run_id: str) -> Seen | None:
        """What the pictures of a run's model go through; `geometry.OWN` where its processor does something else.

        None where that is not known: no such run, or one that ended before it could be found out.
        """
        with self.database.reading() as db:
            row = db.execute("SELECT geometry FROM runs WHERE id = ? AND deleted_at IS NULL", (run_id,)).fetchone()
        return seen_from_json(row["geometry"]) if row and row["geometry"] else None

    def spans(self, run_id: str) -> list[Span]:
        """What the workers of a run did, without its predictions; empty if there is no such run."""
        with self.database.reading() as db:
            row = db.execute("SELECT seq FROM runs WHERE id = ? AND deleted_at IS NULL", (run_id,)).fetchone()
            return _measured(db, row["seq"])[0] if row else []

    def summary(self, run_id: str) -> RunSummary | None:
        """A run without its spans and predictions; None if there is no such run."""
        return next(iter(self._summaries("WHERE id = ? AND deleted_at IS NULL", (run_id,))), None)

    def summaries(self, *, limit: int = 100, offset: int = 0) -> list[RunSummary]:
        """Runs, newest first."""
        return self._summaries("WHERE deleted_at IS NULL ORDER BY seq DESC LIMIT ? OFFSET ?", (limit, offset))

    def count(self) -> int:
        """How many runs there are."""
        with self.database.reading() as db:
            return int(db.execute("SELECT COUNT(*) FROM runs WHERE deleted_at IS NULL").fetchone()[0])

    def active(self) -> list[RunSummary]:
        """The running run, if any, then the queue in its order."""
        return self._summaries("WHERE state IN ('queued', 'running', 'cancelling') ORDER BY state = 'queued', seq", ())

    def comparison(self, comparison_id: str) -> list[RunSummary]:
        """The runs that were launched together, in their order."""
        return self._summaries("WHERE comparison_id = ? AND deleted_at IS NULL ORDER BY seq", (comparison_id,))

    def latest_comparison(self) -> list[RunSummary]:
        """The runs of the newest comparison, finished or not; empty if there is none."""
        return self._summaries(
            "WHERE comparison_id = (SELECT comparison_id FROM runs WHERE comparison_id IS NOT NULL"
            " AND deleted_at IS NULL ORDER BY seq DESC LIMIT 1) AND deleted_at IS NULL ORDER BY seq",
            (),
        )

    # -- the engine ----------------------------------------------------------------------------------------

    def save_engine(self, status: EngineStatus) -> None:
        """Replace the engine's account of itself."""
        hardware = json.dumps(dict(status.hardware)) if status.hardware is not None else None
        with self.database.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO engine (only, engine_id, pid, process_started_at, state, message,"
                " heartbeat_at, hardware, dashboard_url, dashboard_token) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    status.engine_id,
                    status.pid,
                    status.process_started_at,
                    status.state,
                    status.message,
                    status.heartbeat_at,
                    hardware,
                    status.dashboard_url,
                    status.dashboard_token,
                ),
            )

    def engine(self) -> EngineStatus | None:
        """The engine's last account of itself; None if none ever ran here."""
        with self.database.reading() as db:
            row = db.execute("SELECT * FROM engine").fetchone()
        if row is None:
            return None
        values = {name: row[name] for name in row.keys() if name not in ("only", "hardware")}  # noqa: SIM118  # a Row iterates over values
        return EngineStatus(**values, hardware=json.loads(row["hardware"]) if row["hardware"] else None)

    # -- inside --------------------------------------------------------------------------------------------

    @staticmethod
    def _seq(db: sqlite3.Connection, run_id: str) -> int:
        row = db.execute("SELECT seq FROM runs WHERE id = ?", (run_id,)).fetchone()
        if row is None:
            raise StoreUnavailable(f"There is no run {run_id}: it was deleted.")
        return int(row["seq"])

    @staticmethod
    def _append(
        db: sqlite3.Connection,
        seq: int,
        spans: Sequence[Span],
        samples: Sequence[Sample],
        predictions: Sequence[Prediction],
    ) -> None:
        if spans or samples:
            blob = chunks.pack(spans, samples)
            db.execute(
                "INSERT INTO span_chunks SELECT ?, COALESCE(MAX(chunk), -1) + 1, ? FROM span_chunks WHERE run_seq = ?",
                (seq, blob, seq),
            )
        answers.append(db, seq, predictions)

    def _summaries(self, clause: str, values: tuple[Any, ...]) -> list[RunSummary]:
        with self.database.reading() as db:
            return summaries_where(db, clause, values)


def summaries_where(db: sqlite3.Connection, clause: str, values: Sequence[Any]) -> list[RunSummary]:
    """Runs as a list shows them; `clause` is what follows `FROM runs`, with places for `values`."""
    return [
        RunSummary(
            seq=row["seq"],
            metrics=_loaded(row["metrics"], lambda values: Metrics(**values)),
            name=row["name"],
            note=row["note"],
            tags=tuple(json.loads(row["tags"])),
            favourite=bool(row["favourite"]),
            deleted_at=row["deleted_at"],
            imported_at=row["imported_at"],
            **_shared_fields(row),
        )
        for row in db.execute(f"SELECT {_SUMMARY_COLUMNS} FROM runs {clause}", values)  # noqa: S608  # ours
    ]


def record_where(db: sqlite3.Connection, clause: str, values: Sequence[Any]) -> RunRecord | None:
    """The first run with all that was kept of it, None if there is none; `clause` is what follows `FROM runs`."""
    row = db.execute(f"SELECT {_RECORD_COLUMNS} FROM runs {clause}", values).fetchone()  # noqa: S608  # ours
    if row is None:
        return None
    spans, samples = _measured(db, row["seq"])
    machine = db.execute("SELECT hardware FROM machines WHERE id = ?", (row["machine"],)).fetchone()
    return RunRecord(
        hardware=json.loads(machine["hardware"]) if machine else None,
        spans=tuple(spans),
        samples=tuple(samples),
        predictions=answers.read(db, row["seq"]),
        operators=tuple(OperatorProgress(**values) for values in json.loads(unpacked_text(row["operators"]))),
        messages=tuple(json.loads(row["messages"])),
        plan=unpacked_text(row["plan"]) if row["plan"] else None,
        **_shared_fields(row),
    )


def _measured(db: sqlite3.Connection, seq: int) -> tuple[list[Span], list[Sample]]:
    kept = db.execute("SELECT spans FROM span_chunks WHERE run_seq = ? ORDER BY chunk", (seq,))
    return chunks.unpack(row["spans"] for row in kept)


def machine_id(db: sqlite3.Connection, hardware: Mapping[str, Any]) -> int:
    """The id under which a machine's description is kept, once for all its runs."""
    text = json.dumps(hardware)
    db.execute("INSERT OR IGNORE INTO machines (hardware) VALUES (?)", (text,))
    return int(db.execute("SELECT id FROM machines WHERE hardware = ?", (text,)).fetchone()["id"])


def _json(values: Any) -> str:
    return json.dumps(values, separators=(",", ":"))


# Named one by one: a path that is no UTF-8 breaks the reading of the columns that are computed from the settings.
_RECORD_COLUMNS = (
    "seq, id, state, config, comparison_id, created_at, started_at, finished_at, progress, error, machine, operators,"
    " messages, plan"
)
_SUMMARY_COLUMNS = (
    "seq, id, state, config, comparison_id, created_at, started_at, finished_at, progress, metrics, error,"
    " name, note, tags, favourite, deleted_at, imported_at"
)


def _new_id() -> str:
    """Short enough to read aloud, long enough never to meet itself: 48 random bits."""
    return uuid.uuid4().hex[:12]


def _shared_fields(row: sqlite3.Row) -> dict[str, Any]:
    names = ("id", "state", "comparison_id", "created_at", "started_at", "finished_at", "error")
    return {name: row[name] for name in names} | {
        "config": RunConfig.from_dict(json.loads(row["config"])),
        "progress": _loaded(row["progress"], lambda values: Progress(**values)),
    }


def _loaded(text: str | None, make: Callable[[dict[str, Any]], _T]) -> _T | None:
    return make(json.loads(text)) if text else None
