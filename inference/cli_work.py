"""Work that a command queues and waits for, with its progress on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from inference import hardware
from inference.config import RunConfig
from inference.limits import Limit, LimitKey, measurable
from inference.results import RunRecord
from inference.store import RunSummary, Store, home_folder
from inference.supervisor import Supervisor, engine_alive

REFRESH_S = 0.2
LIMIT_TIMEOUT_S = 330.0
BAR_WIDTH = 24


def perform(
    configs: Sequence[RunConfig], *, compare: bool, then: Callable[[Store, list[str]], None] | None = None
) -> list[RunRecord]:
    """Queue the runs, see that an engine works on them, and wait for their ends. Ctrl-C cancels them.

    `then` is called before the engine is let go.
    """
    store = Store(home_folder())
    run_ids = store.enqueue(configs, compare=compare)

    def work() -> None:
        try:
            _wait(store, run_ids)
        except KeyboardInterrupt:
            for run_id in run_ids:
                store.request_cancel(run_id)
            _wait(store, run_ids)
        if then is not None:
            then(store, run_ids)

    with_engine(store, work)
    return [record for run_id in run_ids if (record := store.get(run_id)) is not None]


def with_engine(store: Store, work: Callable[[], None]) -> None:
    """Keep an engine while `work` goes on."""
    supervisor = Supervisor(store.home)
    supervisor.start()
    try:
        work()
    finally:
        supervisor.stop()
        print(file=sys.stderr)


def limit_key(config: RunConfig) -> LimitKey:
    """What a run like this could reach on this machine, as the store calls it."""
    return LimitKey.of(config, hardware.fingerprint(hardware.detect(home_folder())))


def limit_of_ladder(store: Store, run_ids: Sequence[str]) -> None:
    """Have the limit of the precision that the last step has measured, where it is not known yet."""
    finished = [run for run_id in run_ids if (run := store.summary(run_id)) and run.state == "finished"]
    if finished:
        dtypes = {run.config.dtype: run.config for run in finished}
        for config in filter(measurable, dtypes.values()):
            wait_for_limit(store, limit_key(config))


def wait_for_limit(store: Store, key: LimitKey) -> None:
    """Return when the limit is measured, cannot be, or the time for it is up."""
    deadline = time.monotonic() + LIMIT_TIMEOUT_S
    print(f"measuring what this machine could do in {key.dtype}", file=sys.stderr)
    while store.limits.state(key) in ("requested", "unknown") and time.monotonic() < deadline:
        time.sleep(REFRESH_S)


def highest_limit(runs: Sequence[RunRecord]) -> Limit | None:
    """The highest that is known for these runs on this machine."""
    store = Store(home_folder())
    limits = [limit for run in runs if (limit := store.limits.get(limit_key(run.config))) is not None]
    return max(limits, key=lambda limit: limit.images_per_s, default=None)


def _wait(store: Store, run_ids: Sequence[str]) -> None:
    shown = ""
    while True:
        summaries = [summary for run_id in run_ids if (summary := store.summary(run_id)) is not None]
        current = next((summary for summary in summaries if summary.active), None)
        if current is None:
            return
        line = _progress_line(store, current, len(summaries), summaries.index(current) + 1)
        if line != shown:
            end = "" if sys.stderr.isatty() else "\n"
            start = "\r\x1b[2K" if sys.stderr.isatty() else ""
            print(start + line, end=end, file=sys.stderr, flush=True)
            shown = line
        time.sleep(REFRESH_S)


def _progress_line(store: Store, current: RunSummary, total: int, number: int) -> str:
    name = f"{current.config.strategy} {number} of {total}" if total > 1 else current.config.strategy
    if current.state == "queued":
        status = store.engine()
        doing = status.message if status is not None and engine_alive(status) else "starting the engine"
        return f"{name}: queued ({doing})"
    progress = current.progress
    if progress is None or not progress.images_total:
        return f"{name}: {progress.phase if progress else 'starting'}"
    done = progress.images_done / progress.images_total
    bar = "█" * int(done * BAR_WIDTH) + "░" * (BAR_WIDTH - int(done * BAR_WIDTH))
    rate = f" · {progress.images_done / progress.elapsed_s:.3g} images/s" if progress.elapsed_s else ""
    return f"{name}: {bar} {progress.images_done}/{progress.images_total}{rate} · {progress.phase}"
