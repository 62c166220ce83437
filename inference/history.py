"""Runs as a person keeps them: found, sorted, named, noted, tagged, put into the bin and out of it again."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from inference import answers
from inference.database import Database
from inference.results import ACTIVE_STATES
from inference.store import RunSummary, summaries_where

KEPT_IN_BIN_S = 24 * 3600.0
"""How long a deleted run can be had back."""


class History:
    """What is said of runs, and which of them are still wanted."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def describe(
        self,
        run_id: str,
        *,
        name: str | None = None,
        note: str | None = None,
        tags: Sequence[str] | None = None,
        favourite: bool | None = None,
    ) -> None:
        """Change what is given and leave the rest; an empty name is none."""
        changes: dict[str, object] = {}
        if name is not None:
            changes["name"] = name.strip() or None
        if note is not None:
            changes["note"] = note.strip()
        if tags is not None:
            changes["tags"] = json.dumps(list(dict.fromkeys(tag.strip() for tag in tags if tag.strip())))
        if favourite is not None:
            changes["favourite"] = int(favourite)
        if not changes:
            return
        assignments = ", ".join(f"{column} = ?" for column in changes)
        with self.database.transaction() as db:
            db.execute(f"UPDATE runs SET {assignments} WHERE id = ?", (*changes.values(), run_id))  # noqa: S608  # ours

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
        """The runs in the bin, the last one deleted first."""
        with self.database.reading() as db:
            return summaries_where(db, "WHERE deleted_at IS NOT NULL ORDER BY deleted_at DESC, seq DESC", ())
