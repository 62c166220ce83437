"""Predictions in the database: written compactly, read whole or by page."""

from __future__ import annotations

import functools
import json
import sqlite3
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inference.prediction import Columns, Prediction, Predictions, Top, same_label

# A prediction takes some 65 bytes: ids of images, labels and workers are references, and the best label is
# not repeated in its list. Scores in the list are float32, as models compute them; the best one is kept in full.

MAX_VALUES = 500
"""Values that one statement is given; SQLite takes at least 999."""

TABLES = "FROM predictions JOIN images ON images.id = image"
COLUMNS = f"position, images.image_id, label, score, reason, truth, correct, top, done_us, worker, votes {TABLES}"
"""What `predictions_of` needs, up to the conditions."""


def append(db: sqlite3.Connection, run_seq: int, predictions: Sequence[Prediction]) -> None:
    """Add predictions to those of a run, after the last one."""
    if not predictions:
        return
    images = _ids(db, "images", "image_id", (p.image_id for p in predictions))
    labels = {label for p in predictions for label, _ in (*p.top, *p.votes)}
    words = labels | {text for p in predictions for text in (p.label, p.truth, p.worker) if text is not None}
    texts = _ids(db, "texts", "text", words)
    first = db.execute(
        "SELECT COALESCE(MAX(position), -1) + 1 FROM predictions WHERE run_seq = ?", (run_seq,)
    ).fetchone()[0]
    db.executemany(
        "INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                packed_top(None, None, [(texts[label], score) for label, score in p.votes]) if p.votes else None,
            )
            for number, p in enumerate(predictions)
        ],
    )


def read(db: sqlite3.Connection, run_seq: int, *, newest: int | None = None) -> Predictions:
    """The predictions of a run in the order in which they were kept, or the `newest` so many, newest first."""
    order = "position" if newest is None else f"position DESC LIMIT {newest:d}"
    cursor = db.cursor()
    cursor.row_factory = None  # plain tuples come apart in a quarter of the time
    cursor.execute(f"SELECT {COLUMNS} WHERE run_seq = ? ORDER BY {order}", (run_seq,))
    columns: list[list[Any]] = [[] for _ in cursor.description]
    # Little by little: rows that live together by the hundred thousand set the garbage collector to work.
    while rows := cursor.fetchmany(500):
        for column, values in zip(columns, zip(*rows, strict=True), strict=True):
            column += values
    return _by_column(db, *columns)


def predictions_of(db: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> list[Prediction]:
    """Rows with the columns of `COLUMNS` as predictions."""
    return list(_by_column(db, *zip(*rows, strict=True))) if rows else []


def _by_column(
    db: sqlite3.Connection,
    _positions: Sequence[int],
    image_ids: Sequence[str],
    labels: Sequence[int | None],
    scores: Sequence[float | None],
    reasons: Sequence[str | None],
    truths: Sequence[int | None],
    correct: Sequence[int | None],
    tops: Sequence[bytes],
    done_us: Sequence[int],
    workers: Sequence[int],
    votes: Sequence[bytes | None],
) -> Predictions:
    """The columns of `COLUMNS` as predictions."""
    texts = _texts(db, {*labels, *truths, *workers, *_ids_in(tops), *_ids_in(filter(None, votes))})
    columns = Columns(
        image_ids=image_ids,
        labels=[texts.get(label) for label in labels],
        scores=scores,
        reasons=reasons,
        truths=[texts.get(truth) for truth in truths],
        correct=[None if right is None else bool(right) for right in correct],
        done_s=[moment / 1e6 for moment in done_us],
        workers=[texts[worker] for worker in workers],
    )

    def top(number: int) -> Top:
        repeats_best, pairs = unpacked_top(tops[number])
        rest = tuple((texts[text], score) for text, score in pairs)
        label, score = columns.labels[number], columns.scores[number]
        return ((label, score), *rest) if repeats_best and label is not None and score is not None else rest

    def votes_of(number: int) -> Top:
        blob = votes[number]
        return tuple((texts[text], score) for text, score in unpacked_top(blob)[1]) if blob else ()

    return Predictions(columns, top, votes_of)


def packed_top(label: int | None, score: float | None, top: str | Sequence[Sequence[float]]) -> bytes:
    """Labels by id with their scores, best first: one byte, then the ids, then the scores as float32.

    The byte's first bit is 1 where the first pair is `label` with `score` and therefore left out; the others say how
    wide an id is: see `_ID_FORMS`. As a text, `top` is JSON: migrations call it from SQL.
    """
    pairs = json.loads(top) if isinstance(top, str) else top
    repeats_best = bool(pairs) and pairs[0][0] == label and pairs[0][1] == score
    rest = pairs[1:] if repeats_best else pairs
    ids, scores = [int(pair[0]) for pair in rest], [pair[1] for pair in rest]
    highest = max(ids, default=0)
    width = _ONE_BYTE if highest < 2**8 else _TWO_BYTES if highest < 2**16 else _FOUR_BYTES
    return _top_struct(width, len(rest)).pack(width << 1 | repeats_best, *ids, *scores)


def unpacked_top(blob: bytes) -> tuple[bool, list[tuple[int, float]]]:
    """What `packed_top` wrote: whether the best label comes before these, and the pairs that were written."""
    number = _num_pairs(blob)
    values = _top_struct(blob[0] >> 1, number).unpack(blob)
    return bool(blob[0] & 1), list(zip(values[1 : 1 + number], values[1 + number :], strict=True))


_FOUR_BYTES, _ONE_BYTE, _TWO_BYTES = range(3)
_ID_FORMS = {_FOUR_BYTES: "I", _ONE_BYTE: "B", _TWO_BYTES: "H"}
"""How an id is written, as a format of `struct`; four bytes are 0, as everything was written at first."""


@functools.lru_cache(maxsize=64)
def _top_struct(width: int, number: int) -> struct.Struct:
    return struct.Struct(f"<B{number}{_ID_FORMS[width]}{number}f")


def _num_pairs(blob: bytes) -> int:
    return (len(blob) - 1) // (struct.calcsize(f"<{_ID_FORMS[blob[0] >> 1]}") + 4)


def _ids_in(tops: Iterable[bytes]) -> set[int]:
    """The ids of all labels in what `packed_top` wrote."""
    alike: dict[tuple[int, int], list[bytes]] = defaultdict(list)
    for blob in tops:
        alike[blob[0], len(blob)].append(blob)
    found: set[int] = set()
    for (first, _), blobs in alike.items():
        form, number = _ID_FORMS[first >> 1], _num_pairs(blobs[0])
        size = struct.calcsize(f"<{number}{form}")
        found.update(struct.unpack(f"<{number * len(blobs)}{form}", b"".join([blob[1 : 1 + size] for blob in blobs])))
    return found


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
