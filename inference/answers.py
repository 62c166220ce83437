"""Predictions in the database: written compactly, read whole or by page."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterable, Mapping, Sequence

from inference.results import Prediction, same_label

# A prediction takes well under 100 bytes: ids of images, labels and workers are references, and the best label is
# not repeated in its list. Scores in the list are float32, as models compute them; the best one is kept in full.

MAX_VALUES = 500
"""Values that one statement is given; SQLite takes at least 999."""

_COLUMNS = (
    "position, images.image_id, label, score, reason, truth, top, done_us, worker"
    " FROM predictions JOIN images ON images.id = image"
)


def append(db: sqlite3.Connection, run_seq: int, predictions: Sequence[Prediction]) -> None:
    """Add predictions to those of a run, after the last one."""
    if not predictions:
        return
    images = _ids(db, "images", "image_id", (p.image_id for p in predictions))
    labels = {label for p in predictions for label, _ in p.top}
    words = labels | {text for p in predictions for text in (p.label, p.truth, p.worker) if text is not None}
    texts = _ids(db, "texts", "text", words)
    first = db.execute(
        "SELECT COALESCE(MAX(position), -1) + 1 FROM predictions WHERE run_seq = ?", (run_seq,)
    ).fetchone()[0]
    db.executemany(
        "INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                run_seq,
                first + number,
                images[p.image_id],
                texts[p.label] if p.label is not None else None,
                p.score,
                None if p.status == "ok" else p.reason or "",
                texts[p.truth] if p.truth is not None else None,
                p.correct,
                packed_top(texts.get(p.label or ""), p.score, [(texts[label], score) for label, score in p.top]),
                round(p.done_s * 1e6),
                texts[p.worker],
            )
            for number, p in enumerate(predictions)
        ],
    )


def read(db: sqlite3.Connection, run_seq: int, *, newest: int | None = None) -> list[Prediction]:
    """The predictions of a run in the order in which they were kept, or the `newest` so many, newest first."""
    order = "position" if newest is None else f"position DESC LIMIT {newest:d}"
    rows = db.execute(f"SELECT {_COLUMNS} WHERE run_seq = ? ORDER BY {order}", (run_seq,)).fetchall()
    return predictions_of(db, rows)


def predictions_of(db: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> list[Prediction]:
    """Rows with the columns of `_COLUMNS` as predictions."""
    tops = [unpacked_top(row["top"]) for row in rows]
    used = {row[name] for row in rows for name in ("label", "truth", "worker")} | {
        label for _, rest in tops for label, _ in rest
    }
    texts = _texts(db, used)
    found = []
    for row, (repeats_best, rest) in zip(rows, tops, strict=True):
        label = texts.get(row["label"])
        top = tuple((texts[text], score) for text, score in rest)
        found.append(
            Prediction(
                image_id=row["image_id"],
                label=label,
                score=row["score"],
                status="ok" if row["reason"] is None else "error",
                reason=row["reason"] or None,
                truth=texts.get(row["truth"]),
                top=((label, row["score"]), *top) if repeats_best and label is not None else top,
                done_s=row["done_us"] / 1e6,
                worker=texts[row["worker"]],
            )
        )
    return found


def packed_top(label: int | None, score: float | None, top: str | Sequence[Sequence[float]]) -> bytes:
    """Labels by id with their scores, best first: one byte, then the ids, then the scores as float32.

    The byte is 1 where the first pair is `label` with `score` and therefore left out, else 0. As a text, `top` is
    JSON: migrations call it from SQL.
    """
    pairs = json.loads(top) if isinstance(top, str) else top
    repeats_best = bool(pairs) and pairs[0][0] == label and pairs[0][1] == score
    rest = pairs[1:] if repeats_best else pairs
    ids, scores = [int(pair[0]) for pair in rest], [pair[1] for pair in rest]
    return struct.pack(f"<B{len(rest)}I{len(rest)}f", repeats_best, *ids, *scores)


def unpacked_top(blob: bytes) -> tuple[bool, list[tuple[int, float]]]:
    """What `packed_top` wrote: whether the best label comes before these, and the pairs that were written."""
    number = (len(blob) - 1) // 8
    values = struct.unpack(f"<B{number}I{number}f", blob)
    return bool(values[0]), list(zip(values[1 : 1 + number], values[1 + number :], strict=True))


def is_right(label: str | None, truth: str | None) -> bool | None:
    """Whether a label is the truth; None where either is unknown. Migrations call it from SQL."""
    return None if label is None or truth is None else same_label(label, truth)


def forget_unused_images(db: sqlite3.Connection) -> None:
    """Remove the ids of images that no prediction is about any more."""
    db.execute("DELETE FROM images WHERE id NOT IN (SELECT image FROM predictions)")


def _ids(db: sqlite3.Connection, table: str, column: str, texts: Iterable[str]) -> Mapping[str, int]:
    """The ids of these texts in a table that keeps each once; new ones are added."""
    wanted = list(dict.fromkeys(texts))
    db.executemany(f"INSERT OR IGNORE INTO {table} ({column}) VALUES (?)", [(text,) for text in wanted])  # noqa: S608  # ours
    ids: dict[str, int] = {}
    for start in range(0, len(wanted), MAX_VALUES):
        some = wanted[start : start + MAX_VALUES]
        places = ", ".join("?" * len(some))
        query = f"SELECT {column}, id FROM {table} WHERE {column} IN ({places})"  # noqa: S608  # ours
        ids.update(tuple(row) for row in db.execute(query, some))
    return ids


def _texts(db: sqlite3.Connection, ids: Iterable[int | None]) -> Mapping[int | None, str]:
    wanted = json.dumps([number for number in ids if number is not None])
    rows = db.execute("SELECT id, text FROM texts WHERE id IN (SELECT value FROM json_each(?))", (wanted,))
    return dict(tuple(row) for row in rows)
