"""The predictions of a run as a person looks at them: filtered, sorted, counted and paged by SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.accuracy import Cell
from inference.answers import COLUMNS, TABLES, predictions_of
from inference.database import Database
from inference.results import Prediction

ORDERS = {
    "arrival": "position",
    "score_falling": "score DESC, position",
    "score_rising": "score IS NULL, score, position",
    "name": "images.image_id, position",
    "label": "label IS NULL, (SELECT text FROM texts WHERE id = label), position",
}
"""How the predictions of a run can be sorted, and how SQL says it; images without an answer come last."""

OUTCOMES = {
    "right": "correct = 1",
    "wrong": "correct = 0",
    "unknown": "correct IS NULL AND reason IS NULL",
    "unanswered": "reason IS NOT NULL",
}
"""What may have become of an image, and how SQL says it; `unknown`: there is an answer, and no truth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFilter:
    """Which predictions of a run are wanted, and in which order; by default all, in order of arrival."""

    labels: tuple[str, ...] = ()
    """Only these answers; empty for any, as for all that follow."""
    truths: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    """Some of `OUTCOMES`."""
    min_score: float = 0.0
    max_score: float = 1.0
    """Inclusive, like `min_score`. Images without a score pass only if all scores do."""
    name: str = ""
    """Part of the image's id, whatever the case of ASCII letters."""
    differs_from: str | None = None
    """Id of a run: only images that it answered otherwise, or where only one of the two runs has an answer."""
    order: str = "arrival"
    """One of `ORDERS`."""


class Answers:
    """The predictions of ended and live runs, a page at a time; runs in the bin have none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, run_id: str, wanted: AnswerFilter, *, limit: int, offset: int = 0) -> list[Prediction]:
        """So many predictions that pass the filter, in its order, after the first `offset` ones."""
        where, values = _where(wanted)
        # Sorted by what is short, then read: the last page of a large run would otherwise sort all lists of labels.
        places = f"SELECT position {TABLES} WHERE {where} ORDER BY {ORDERS[wanted.order]} LIMIT :limit OFFSET :offset"
        query = f"SELECT {COLUMNS} WHERE run_seq = :seq AND position IN ({places}) ORDER BY {ORDERS[wanted.order]}"
        with self._database.reading() as db:
            return predictions_of(db, _rows(db, run_id, query, values | {"limit": limit, "offset": offset}))

    def count(self, run_id: str, wanted: AnswerFilter) -> int:
        """How many predictions pass the filter."""
        where, values = _where(wanted)
        tables = TABLES if wanted.name else "FROM predictions"
        with self._database.reading() as db:
            rows = _rows(db, run_id, f"SELECT COUNT(*) {tables} WHERE {where}", values)
            return int(rows[0][0]) if rows else 0

    def of_images(self, run_id: str, image_ids: Sequence[str]) -> dict[str, Prediction]:
        """What a run answered for these images; an image that it did not have is left out."""
        query = (
            f"SELECT {COLUMNS} WHERE run_seq = :seq AND image IN"  # noqa: S608  # ours
            " (SELECT id FROM images WHERE image_id IN (SELECT value FROM json_each(:ids))) ORDER BY position"
        )
        with self._database.reading() as db:
            found = predictions_of(db, _rows(db, run_id, query, {"ids": json.dumps(list(image_ids))}))
        return {prediction.image_id: prediction for prediction in found}

    def tally(self, run_id: str) -> list[Cell]:
        """How many images of each true label got each label."""
        query = (
            "SELECT truths.text, labels.text, number FROM"
            " (SELECT truth, label, COUNT(*) AS number FROM predictions WHERE run_seq = :seq GROUP BY truth, label)"
            " LEFT JOIN texts AS truths ON truths.id = truth LEFT JOIN texts AS labels ON labels.id = label"
        )
        with self._database.reading() as db:
            return [Cell(*row) for row in _rows(db, run_id, query, {})]


def _rows(db: sqlite3.Connection, run_id: str, query: str, values: Mapping[str, Any]) -> list[sqlite3.Row]:
    """What a query about the predictions of one run finds; `:seq` stands for the run, and nothing for no run."""
    run = db.execute("SELECT seq FROM runs WHERE id = ? AND deleted_at IS NULL", (run_id,)).fetchone()
    return db.execute(query, {**values, "seq": run["seq"]}).fetchall() if run else []


def _where(wanted: AnswerFilter) -> tuple[str, dict[str, Any]]:
    """The conditions of a filter in SQL, and the values of their places."""
    conditions: list[str] = ["run_seq = :seq"]
    values: dict[str, Any] = {}
    for column, texts in (("label", wanted.labels), ("truth", wanted.truths)):
        if texts:
            named = f"SELECT id FROM texts WHERE text IN (SELECT value FROM json_each(:{column}s))"  # noqa: S608  # ours
            conditions.append(f"{column} IN ({named})")
            values[f"{column}s"] = json.dumps(texts)
    if wanted.outcomes:
        conditions.append(f"({' OR '.join(f'({OUTCOMES[outcome]})' for outcome in wanted.outcomes)})")
    if (wanted.min_score, wanted.max_score) != (0.0, 1.0):
        conditions.append("score BETWEEN :min_score AND :max_score")
        values |= {"min_score": wanted.min_score, "max_score": wanted.max_score}
    if wanted.name:
        conditions.append("images.image_id LIKE :name ESCAPE '!'")
        values["name"] = f"%{_unpatterned(wanted.name)}%"
    if wanted.differs_from is not None:
        conditions.append(f"position IN ({_DIFFERING})")
        values["other"] = wanted.differs_from
    return " AND ".join(conditions), values


_DIFFERING = """
    WITH theirs AS MATERIALIZED (
        SELECT image, label, reason IS NULL AS answered, MAX(position) FROM predictions
        WHERE run_seq = (SELECT seq FROM runs WHERE id = :other AND deleted_at IS NULL) GROUP BY image
    )
    SELECT mine.position FROM predictions AS mine JOIN theirs ON theirs.image = mine.image
    WHERE mine.run_seq = :seq AND (mine.label IS NOT theirs.label OR (mine.reason IS NULL) IS NOT theirs.answered)
"""
"""Positions of the predictions that another run does not share: as `parity.agreement` has it."""


def _unpatterned(text: str) -> str:
    """A text for LIKE in which nothing is a pattern."""
    return "".join(f"!{character}" if character in "!%_" else character for character in text)
