"""A home folder as it is after ten thousand runs: a few real ones, and what they left behind many times over.

Every run goes through the store's own calls, in the pieces in which an engine saves it. What is made up is how often:
each copy has a length, processes, settings and a moment of its own.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.an_engine import AnEngine
from inference import hardware as machine
from inference import ladder
from inference.config import RunConfig, interleaved
from inference.execution import SAVE_S
from inference.geometry import Geometry
from inference.history import History
from inference.listing import samples_folder
from inference.preflight import default_config
from inference.results import Prediction, Progress, RunRecord, Sample, Span
from inference.store import Store

ENGINE_ID = "benchmark"
BEFORE_LARGE_RUN_S = 3600.0
"""How long ago the last small run ended; the large one takes half of that."""
BETWEEN_RUNS_S = 90.0
"""From one run's end to the next one's start, on average."""
IMAGES_PER_FOLDER = 1000
NAMES = ("before the move", "Friday", "new driver", "with the door closed", "for the talk", "second try")
TAGS = ("baseline", "keep", "laptop", "noisy", "paper", "talk")


def real_runs(home: Path) -> tuple[dict[str, RunRecord], RunRecord]:
    """Real runs of 100 images by strategy, and one of 400 images in batches of 16; made by a real engine."""
    asked = [RunConfig(strategy=strategy) for strategy in ("naive", "actor", "batched", "pipelined")]
    with AnEngine(home) as engine:
        small = {config.strategy: engine.run(config).record for config in asked}
        return small, engine.run(RunConfig(strategy="batched", batch_size=16, limit=400)).record


def fill(home: Path, small: dict[str, RunRecord], *, runs: int, seed: int = 0) -> None:
    """Add so many runs of 100 images in comparisons of naive and actor, single runs, and one ladder at the end."""
    dice, pen = random.Random(seed), Pen(home, ended_ago_s=BEFORE_LARGE_RUN_S)
    steps = ladder.steps(default_config(machine.detect(home)), machine.detect(home))
    with pen.writing():
        while pen.written < runs:
            options = {"threads": dice.randint(0, 4), "cpus_per_worker": dice.choice((0.5, 1.0, 2.0))}
            configs = [small[name].config.with_(**options) for name in small]
            if dice.random() < 0.5:
                configs = interleaved(configs[:2], 2)
            pen.write([(config, small[config.strategy]) for config in configs], dice)
        climbed = interleaved([step.config for step in steps], 2)
        pen.write([(config, small[config.strategy]) for config in climbed], dice)
        compared = interleaved([small["naive"].config, small["actor"].config], 2)
        pen.write([(config, small[config.strategy]) for config in compared], dice)
    describe(home, dice)


def fill_large(home: Path, pattern: RunRecord, *, images: int, seed: int = 1) -> str:
    """Add one run over a folder of so many images, and return its id: the pattern's steady stretch again and again."""
    folder = home / "photographs"
    ids = linked_images(folder, samples_folder(home), images)
    record = repeated(pattern, ids)
    config = pattern.config.with_(dataset=str(folder), limit=images)
    pen = Pen(home)
    with pen.writing():
        (run_id,) = pen.write([(config, record)], random.Random(seed))
    return run_id


def linked_images(folder: Path, samples: Path, images: int) -> list[str]:
    """Fill a folder with this many names for the sample pictures, and return them as ids of images."""
    pictures = sorted(samples.glob("*.jpg")) or sorted(path for path in samples.rglob("*") if path.is_file())
    ids = []
    for number in range(images):
        name = f"{number // IMAGES_PER_FOLDER:04}/photograph-{number:06}{pictures[number % len(pictures)].suffix}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if not (folder / name).exists():
            os.link(pictures[number % len(pictures)], folder / name)
        ids.append(name)
    return ids


def repeated(pattern: RunRecord, ids: Sequence[str]) -> RunRecord:
    """The pattern with as many images as there are ids: after its set-up, its images again and again."""
    answers, spans, samples = pattern.predictions, pattern.spans, pattern.samples
    begin_s = min(span.start_s for span in spans if span.phase == "preprocess")
    length_s = max(answer.done_s for answer in answers) - begin_s
    batches = 1 + max(span.batch for span in spans)
    rounds = -(-len(ids) // len(answers))
    more_spans, more_samples, more_answers = list(spans), list(samples), list(answers)
    cpu_s = {lane: _range([s.cpu_s for s in samples if s.worker == lane]) for lane in {s.worker for s in samples}}
    for number in range(1, rounds):
        later_s = number * length_s
        more_spans += [
            replace(s, start_s=s.start_s + later_s, end_s=s.end_s + later_s, batch=s.batch + number * batches)
            for s in spans
            if s.batch >= 0
        ]
        more_samples += [
            replace(s, at_s=s.at_s + later_s, cpu_s=s.cpu_s + number * cpu_s[s.worker])
            for s in samples
            if s.at_s > begin_s
        ]
        more_answers += [replace(p, done_s=p.done_s + later_s) for p in answers]
    named = [replace(p, image_id=image_id) for p, image_id in zip(more_answers, ids, strict=False)]
    until_s = named[-1].done_s
    return replace(
        pattern,
        spans=tuple(span for span in more_spans if span.end_s <= until_s),
        samples=tuple(sample for sample in more_samples if sample.at_s <= until_s),
        predictions=tuple(named),
    )


def _range(values: Sequence[float]) -> float:
    return max(values) - min(values)


@dataclass(frozen=True, slots=True)
class Piece:
    """What one save of a live run adds."""

    spans: list[Span]
    samples: list[Sample]
    predictions: list[Prediction]


class Pen:
    """Writes runs into the store of a home folder as an engine does, many in one transaction.

    The last of them will have ended `ended_ago_s` seconds ago.
    """

    def __init__(self, home: Path, *, ended_ago_s: float = 0.0) -> None:
        self.store = Store(home)
        self._ended_ago_s = ended_ago_s
        self.written = 0
        self._hardware = machine.to_dict(machine.detect(home))
        self._moments: list[tuple[float, float, float, str]] = []
        self._now = 0.0

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Everything inside is one transaction; the moments of its runs are made up when it ends."""
        database = self.store.database
        with database.transaction() as db:

            @contextmanager
            def same() -> Iterator[object]:
                yield db

            database.transaction = database.reading = same  # type: ignore[method-assign,assignment]
            try:
                yield
                late_s = time.time() - self._ended_ago_s - self._now
                db.executemany(
                    "UPDATE runs SET created_at = ?, started_at = ?, finished_at = ? WHERE id = ?",
                    [(a + late_s, b + late_s, c + late_s, run_id) for a, b, c, run_id in self._moments],
                )
                self._moments = []
            finally:
                del database.transaction, database.reading

    def write(self, runs: Sequence[tuple[RunConfig, RunRecord]], dice: random.Random) -> list[str]:
        """Queue these configurations together and let each leave behind what its record did, in another tempo."""
        ids = self.store.enqueue([config for config, _ in runs], compare=len(runs) > 1)
        queued_at = self._now + dice.expovariate(1 / BETWEEN_RUNS_S)
        for run_id, (_, record) in zip(ids, runs, strict=True):
            self.store.claim(ENGINE_ID, self._hardware)
            seen = self.store.geometry(record.id)
            if isinstance(seen, Geometry):
                self.store.save_geometry(run_id, seen)
            varied = in_another_tempo(record, dice)
            lasted_s = self._replay(run_id, varied)
            begun_at = max(queued_at, self._now)
            self._now = begun_at + lasted_s + dice.uniform(0.5, 3.0)
            self._moments.append((queued_at, begun_at, self._now, run_id))
        self.written += len(ids)
        return ids

    def _replay(self, run_id: str, record: RunRecord) -> float:
        done = 0
        total_s = max(answer.done_s for answer in record.predictions)
        for number, piece in enumerate(pieces(record, total_s), start=1):
            done += len(piece.predictions)
            self.store.save_progress(
                run_id,
                Progress(
                    phase="classifying",
                    images_done=done,
                    images_total=len(record.predictions),
                    elapsed_s=min(number * SAVE_S, total_s),
                    clock_started_at=record.created_at,
                ),
                spans=piece.spans,
                samples=piece.samples,
                predictions=piece.predictions,
                operators=record.operators,
                messages=record.messages,
            )
        self.store.end(run_id, "finished", plan=record.plan)
        return total_s


def in_another_tempo(record: RunRecord, dice: random.Random) -> RunRecord:
    """The same run by other processes, somewhat slower or faster."""
    tempo = dice.uniform(0.8, 1.3)
    lanes = sorted({span.worker for span in record.spans} | {sample.worker for sample in record.samples})
    first_pid = dice.randint(1000, 60_000)
    pids = {lane: f"{lane.split()[0]} {first_pid + n}" if " " in lane else lane for n, lane in enumerate(lanes)}
    return replace(
        record,
        spans=tuple(
            replace(s, worker=pids[s.worker], start_s=s.start_s * tempo, end_s=s.end_s * tempo) for s in record.spans
        ),
        samples=tuple(
            replace(s, worker=pids[s.worker], at_s=s.at_s * tempo, cpu_s=s.cpu_s * tempo) for s in record.samples
        ),
        predictions=tuple(replace(p, worker=pids[p.worker], done_s=p.done_s * tempo) for p in record.predictions),
    )


def pieces(record: RunRecord, total_s: float) -> list[Piece]:
    """What each save of a live run would have added, one every `SAVE_S` seconds."""
    found = [Piece([], [], []) for _ in range(1 + int(total_s / SAVE_S))]
    last = len(found) - 1
    for span in record.spans:
        found[min(last, int(span.end_s / SAVE_S))].spans.append(span)
    for sample in record.samples:
        found[min(last, int(sample.at_s / SAVE_S))].samples.append(sample)
    for prediction in record.predictions:
        found[min(last, int(prediction.done_s / SAVE_S))].predictions.append(prediction)
    return found


def describe(home: Path, dice: random.Random) -> None:
    """Name one run in ten, tag one in five, note one in twenty, and favour one in fifty."""
    store = Store(home)
    history = History(store.database)
    with store.database.reading() as db:
        ids = [row["id"] for row in db.execute("SELECT id FROM runs")]
    for run_id in ids:
        chance = dice.random()
        if chance < 0.2:
            history.describe(
                run_id,
                name=dice.choice(NAMES) if chance < 0.1 else None,
                tags=dice.sample(TAGS, dice.randint(1, 3)),
                note="The fan was loud; measured again." if chance < 0.05 else None,
                favourite=chance < 0.02,
            )


def megabytes(store: Store) -> tuple[float, dict[str, float]]:
    """The size of the database after a checkpoint, and of its tables with their indexes; 10^6 bytes each.

    The second is empty where this SQLite cannot tell.
    """
    with store.database._connection() as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        options = {row[0] for row in db.execute("SELECT compile_options FROM pragma_compile_options")}
        tables: dict[str, float] = {}
        if "ENABLE_DBSTAT_VTAB" in options:
            query = (
                "SELECT tbl_name, SUM(pgsize) / 1e6 FROM dbstat JOIN sqlite_schema USING (name)"
                " GROUP BY 1 ORDER BY 2 DESC"
            )
            tables = {row[0]: row[1] for row in db.execute(query)}
    return store.path.stat().st_size / 1e6, tables
