"""What each machine could reach at best, as it was measured, asked for, or found to be impossible."""

from __future__ import annotations

import json
from dataclasses import astuple

from inference.database import Database
from inference.limits import Limit, LimitKey


class MeasuredLimits:
    """The limits that a database keeps."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def get(self, key: LimitKey) -> Limit | None:
        """What was measured for this key; None if nothing was."""
        with self.database.reading() as db:
            row = db.execute(
                "SELECT measured FROM limits WHERE fingerprint = ? AND model = ? AND dataset = ? AND dtype = ?",
                astuple(key),
            ).fetchone()
        return Limit.from_dict(json.loads(row["measured"])) if row and row["measured"] else None

    def request(self, key: LimitKey) -> None:
        """Ask the engine to measure, again if it has, when nothing else is to be done."""
        with self.database.transaction() as db:
            db.execute(
                "INSERT INTO limits (fingerprint, model, dataset, dtype, requested) VALUES (?, ?, ?, ?, 1)"
                " ON CONFLICT DO UPDATE SET requested = 1, problem = NULL",
                astuple(key),
            )

    def requested(self, fingerprint: str) -> LimitKey | None:
        """One that is asked for on this machine; None if there is none."""
        with self.database.reading() as db:
            row = db.execute(
                "SELECT fingerprint, model, dataset, dtype FROM limits WHERE requested AND fingerprint = ? LIMIT 1",
                (fingerprint,),
            ).fetchone()
        return LimitKey(*row) if row else None

    def state(self, key: LimitKey) -> str:
        """`measured`, `requested`, `unknown`, or why it could not be measured, as a sentence."""
        with self.database.reading() as db:
            row = db.execute(
                "SELECT requested, problem FROM limits"
                " WHERE fingerprint = ? AND model = ? AND dataset = ? AND dtype = ?",
                astuple(key),
            ).fetchone()
        if row is None:
            return "unknown"
        return "requested" if row["requested"] else row["problem"] or "measured"

    def save(self, key: LimitKey, limit: Limit | None, *, problem: str | None = None) -> None:
        """Keep what was measured in place of what was, or why nothing could be."""
        measured = json.dumps(limit.to_dict()) if limit is not None else None
        with self.database.transaction() as db:
            db.execute(
                "INSERT INTO limits (fingerprint, model, dataset, dtype, requested, measured, problem)"
                " VALUES (?, ?, ?, ?, 0, ?, ?) ON CONFLICT DO UPDATE SET requested = 0,"
                " measured = COALESCE(excluded.measured, measured), problem = excluded.problem",
                (*astuple(key), measured, problem),
            )
