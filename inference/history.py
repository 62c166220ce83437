"""Runs as a person keeps them: found, sorted, named, noted, tagged, put into the bin and out of it again."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference import answers
from inference.database import Database
from inference.errors import InvalidConfig
from inference.results import ACTIVE_STATES
from inference.store import RunSummary, summaries_where

KEPT_IN_BIN_S = 24 * 3600.0
"""How long a deleted run can be had back."""

MAX_NAME_LENGTH = 300
MAX_NOTE_LENGTH = 5000
MAX_TAG_LENGTH = 60
MAX_TAGS = 20

SORTS: Mapping[str, str] = {
    "created_at": "created_at",
    **{
        name: f"json_extract(metrics, '$.{name}')"
        for name in (
            "images_per_s",
            "steady_images_per_s",
            "setup_s",
            "total_s",
            "model_loads",
            "accuracy",
            "peak_worker_memory_bytes",
            "cpu_s",
        )
    },
    **{name: f"json_extract(config, '$.{name}')" for name in ("batch_size", "concurrency", "limit")},
}
"""What runs can be sorted by, fields of `RunSummary`, `Metrics` and `RunConfig`, and where SQL finds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which runs are looked for, and in what order; an empty tuple asks for nothing in particular.

    Raises `InvalidConfig` for what runs cannot be sorted by.
    """

    words: str = ""
    """Each of these, whatever its case, occurs in the name, the note, a tag, the model, the data set, the strategy
    or the id."""
    strategies: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    """The run has at least one of these."""
    favourites: bool = False
    """Favourites alone."""
    sort: str = "created_at"
    """One of `SORTS`; runs without that figure come last either way."""
    ascending: bool = False

    def __post_init__(self) -> None:
        """Refuse an unknown order."""
        if self.sort not in SORTS:
            raise InvalidConfig(f"sort must be one of {', '.join(SORTS)}, got {self.sort!r:.80}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """What there is to choose from among the runs that are kept, the most frequent first."""

    strategies: tuple[str, ...]
    models: tuple[str, ...]
    datasets: tuple[str, ...]
    states: tuple[str, ...]
    tags: tuple[str, ...]


class History:
    """What is said of runs, and which of them are still wanted."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # -- finding -------------------------------------------------------------------------------------------

    def find(self, wanted: Wanted, *, limit: int, offset: int = 0) -> list[RunSummary]:
        """The runs that are looked for, from the one at `offset` on."""
        condition, values = _condition(wanted)
        direction = "ASC" if wanted.ascending else "DESC"
        order = f"{SORTS[wanted.sort]} {direction} NULLS LAST, seq {direction}"
        # The inner query sorts numbers alone: with whole rows it takes twice as long.
        clause = f"WHERE seq IN (SELECT seq FROM runs WHERE {condition} ORDER BY {order} LIMIT ? OFFSET ?)"  # noqa: S608  # ours
        with self.database.reading() as db:
            _teach(db, wanted.words)
            return summaries_where(db, f"{clause} ORDER BY {order}", (*values, limit, offset))

    def count(self, wanted: Wanted) -> int:
        """How many runs are looked for."""
        condition, values = _condition(wanted)
        with self.database.reading() as db:
            _teach(db, wanted.words)
            return int(db.execute(f"SELECT COUNT(*) FROM runs WHERE {condition}", values).fetchone()[0])  # noqa: S608  # ours

    def facets(self) -> Facets:
        """The values that runs can be filtered by."""
        with self.database.reading() as db:
            db.text_factory = _text  # a folder's name need not be valid UTF-8
            return Facets(
                strategies=_values(db, "strategy", "runs"),
                models=_values(db, "model", "runs"),
                datasets=_values(db, "dataset", "runs"),
                states=_values(db, "state", "runs"),
                tags=_values(db, "each.value", "runs, json_each(tags) AS each"),
            )

    def machines(self, run_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """The hardware that each of these runs ran on, where it is known, as `hardware.to_dict` describes it."""
        with self.database.reading() as db:
            rows = db.execute(
                "SELECT runs.id, hardware FROM runs JOIN machines ON machines.id = machine"
                " WHERE runs.id IN (SELECT value FROM json_each(?))",
                (json.dumps(list(run_ids)),),
            ).fetchall()
        return {row["id"]: json.loads(row["hardware"]) for row in rows}

    def is_from_here(self, dataset: str) -> bool:
        """Whether a run of this data set was queued on this machine, and not only read in from elsewhere."""
        with self.database.reading() as db:
            return bool(
                db.execute(
                    "SELECT EXISTS (SELECT 1 FROM runs WHERE imported_at IS NULL AND dataset = ?)", (dataset,)
                ).fetchone()[0]
            )

    # -- saying --------------------------------------------------------------------------------------------

    def describe(
        self,
        run_id: str,
        *,
        name: str | None = None,
        note: str | None = None,
        tags: Sequence[str] | None = None,
        favourite: bool | None = None,
    ) -> None:
        """Change what is given and leave the rest; an empty name is none.

        Raises `InvalidConfig` for a text that is too long.
        """
        changes: dict[str, object] = {}
        if name is not None:
            changes["name"] = _short("name", name, MAX_NAME_LENGTH) or None
        if note is not None:
            changes["note"] = _short("note", note, MAX_NOTE_LENGTH)
        if tags is not None:
            changes["tags"] = json.dumps(tidy_tags(tags))
        if favourite is not None:
            changes["favourite"] = int(favourite)
        if not changes:
            return
        assignments = ", ".join(f"{column} = ?" for column in changes)
        with self.database.transaction() as db:
            db.execute(f"UPDATE runs SET {assignments} WHERE id = ?", (*changes.values(), run_id))  # noqa: S608  # ours

    def favour(self, run_ids: Sequence[str], favourite: bool) -> None:
        """Make these runs favourites, or no longer."""
        with self.database.transaction() as db:
            db.executemany("UPDATE runs SET favourite = ? WHERE id = ?", [(int(favourite), each) for each in run_ids])

    def retag(self, run_ids: Sequence[str], *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """Give these runs tags and take others from them; what else they have stays.

        Raises `InvalidConfig`, and changes nothing, if a tag is too long or a run would have too many.
        """
        with self.database.transaction() as db:
            for run_id in run_ids:
                row = db.execute("SELECT tags FROM runs WHERE id = ?", (run_id,)).fetchone()
                if row is not None:
                    kept = [tag for tag in json.loads(row["tags"]) if tag not in remove]
                    tags = json.dumps(tidy_tags([*kept, *add]))
                    db.execute("UPDATE runs SET tags = ? WHERE id = ?", (tags, run_id))

    # -- the bin -------------------------------------------------------------------------------------------

    def delete(self, run_ids: Sequence[str]) -> list[str]:
        """Put ended runs into the bin and return their ids; active runs stay. `restore` brings them back.

        What has lain there for a day is removed for good.
        """
        now = time.time()
        active = ", ".join(f"'{state}'" for state in ACTIVE_STATES)
        with self.database.transaction() as db:
            binned = [
                run_id
                for run_id in run_ids
                if db.execute(
                    f"UPDATE runs SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL AND state NOT IN ({active})",  # noqa: S608  # ours
                    (now, run_id),
                ).rowcount
            ]
            if db.execute("DELETE FROM runs WHERE deleted_at < ?", (now - KEPT_IN_BIN_S,)).rowcount:
                answers.forget_unused_images(db)
        return binned

    def restore(self, run_ids: Sequence[str]) -> None:
        """Take runs out of the bin."""
        with self.database.transaction() as db:
            db.executemany("UPDATE runs SET deleted_at = NULL WHERE id = ?", [(run_id,) for run_id in run_ids])

    def binned(self) -> list[RunSummary]:
        """The runs that were put into the bin in the last day, the last one first."""
        with self.database.reading() as db:
            clause = "WHERE deleted_at >= ? ORDER BY deleted_at DESC, seq DESC"
            return summaries_where(db, clause, (time.time() - KEPT_IN_BIN_S,))


def tidy_tags(tags: Sequence[str]) -> list[str]:
    """Tags without surrounding spaces, each once; raises `InvalidConfig` where one is too long or they are too many."""
    tidy = list(dict.fromkeys(_short("a tag", tag, MAX_TAG_LENGTH) for tag in tags if tag.strip()))
    if len(tidy) > MAX_TAGS:
        raise InvalidConfig(f"a run can have {MAX_TAGS} tags, got {len(tidy)}: remove some first")
    return tidy


def _short(what: str, text: str, limit: int) -> str:
    tidy = text.strip()
    if len(tidy) > limit:
        raise InvalidConfig(f"{what} can have {limit:,} characters, got {len(tidy):,}: shorten it")
    return tidy


def _condition(wanted: Wanted) -> tuple[str, list[Any]]:
    """What follows WHERE, with places for the values; `_teach` has to make `is_found` known."""
    parts, values = ["deleted_at IS NULL"], []
    chosen = {
        "strategy": wanted.strategies,
        "model": wanted.models,
        "dataset": wanted.datasets,
        "state": wanted.states,
    }
    for column, some in chosen.items():
        if some:
            parts.append(f"{column} IN (SELECT value FROM json_each(?))")  # noqa: S608  # ours
            values.append(json.dumps(some))
    if wanted.tags:
        parts.append(
            "tags <> '[]' AND EXISTS (SELECT 1 FROM json_each(runs.tags) AS each"
            " WHERE each.value IN (SELECT value FROM json_each(?)))"
        )
        values.append(json.dumps(wanted.tags))
    if wanted.favourites:
        parts.append("favourite = 1")
    if wanted.words.strip():
        parts.append("is_found(id, name, note, tags, strategy, CAST(model AS BLOB), CAST(dataset AS BLOB))")
    return " AND ".join(parts), values


def _teach(db: sqlite3.Connection, words: str) -> None:
    """Make `is_found` known to this connection: SQLite's own LIKE knows upper and lower case of ASCII alone."""
    wanted = words.casefold().split()

    def is_found(run_id: str, name: str | None, note: str, tags: str, strategy: str, *blobs: bytes) -> bool:
        tag_words = json.loads(tags) if tags != "[]" else []
        text = "\n".join((run_id, name or "", note, strategy, *tag_words, *map(_text, blobs))).casefold()
        return all(word in text for word in wanted)

    db.create_function("is_found", 7, is_found, deterministic=True)


def _values(db: sqlite3.Connection, column: str, source: str) -> tuple[str, ...]:
    query = f"SELECT {column} FROM {source} WHERE deleted_at IS NULL GROUP BY 1 ORDER BY COUNT(*) DESC, 1"  # noqa: S608  # ours
    return tuple(row[0] for row in db.execute(query))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")
