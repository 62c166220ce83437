"""The process that owns Ray: takes runs from the queue one at a time and writes down what they produce.

    python -m inference.engine --home FOLDER

One engine per home folder, held by a file lock. It reads nothing from stdin but its end: when the process that
started it is gone, it stops. Whatever happens to it, the supervisor cleans up after it.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

import filelock
import psutil

from inference import hardware, preflight
from inference.bundled.samples import ensure_samples
from inference.errors import BatchscopeError, RunCancelled
from inference.execution import Execution, measure_limit, rehearse
from inference.identity import ENGINE_ID_VARIABLE, EXIT_LOCKED, LOCK_NAME
from inference.limits import LimitKey, measurable
from inference.listing import samples_folder
from inference.ray_session import RaySession
from inference.results import RunRecord
from inference.store import EngineStatus, Store

POLL_S = 0.1
HEARTBEAT_S = 1.0
RECENT_RUNS = 100
BEFORE_MEASURING_S = 3.0
log = logging.getLogger("batchscope.engine")


def main() -> int:
    """Run the engine until stdin ends or a signal comes; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m inference.engine", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    home = parser.parse_args().home
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if ENGINE_ID_VARIABLE not in os.environ:
        parser.error("the engine is started by a supervisor: use `python -m inference run`, or start the app")
    home.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(home / LOCK_NAME, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        return EXIT_LOCKED
    try:
        Engine(Store(home)).serve()
    except BatchscopeError as error:
        log.error("%s", error)
        return 1
    return 0


class _Interrupted(Exception):
    """Someone queued a run: idle work must give way."""


class Engine:
    """Claims, runs and records, until told to stop."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.id = os.environ[ENGINE_ID_VARIABLE]
        self._hardware = hardware.detect(store.home)
        self._state = "starting"
        self._message = "starting"
        self._dashboard_url: str | None = None
        self._stop = threading.Event()

    def serve(self) -> None:
        """Start Ray, then take runs from the queue until asked to stop."""
        self._stop_with_parent()
        self.store.end_orphans(
            alive_engine_id=self.id, reason="The engine that ran it ended before the run did. Run it again."
        )
        self._say("starting Ray")
        threading.Thread(target=self._heartbeat, daemon=True, name="heartbeat").start()
        with RaySession(self._hardware, self.id) as ray_session:
            self._dashboard_url = ray_session.dashboard_url
            self._hardware = hardware.with_ray(self._hardware, ray_session.resources)
            self._say("starting workers")
            ray_session.warm.ask_for(preflight.default_config(self._hardware).concurrency)
            ray_session.prime()
            self._state = "ready"
            threading.Thread(target=self._watch_ray, args=(ray_session,), daemon=True, name="ray-watch").start()
            while not self._stop.is_set():
                self._prepare_for_anyone(ray_session)
                self._measure_limits(ray_session)
                self._say("idle")
                self._run_queue(ray_session)
        self._state = "stopped"
        self._say("stopped")

    def _run_queue(self, ray_session: RaySession) -> None:
        """Wait for a run, then work until the queue is empty."""
        busy = False
        while not self._stop.is_set():
            record = self.store.claim(self.id, hardware.to_dict(self._hardware))
            if record is not None:
                busy = True
                self._message = "running"
                Execution(self.store, ray_session, self._hardware, record, self._stop.is_set).perform()
                _end_without_ray(ray_session)
                self._want_limit(record)
            elif busy or self.store.limits.requested(hardware.fingerprint(self._hardware)) is not None:
                return
            else:
                self._stop.wait(POLL_S)

    def _idle(self) -> bool:
        return not self._stop.is_set() and not self.store.active()

    def _want_limit(self, record: RunRecord) -> None:
        """Have the limit of what has just run measured, unless it is known or was tried."""
        ended, config = self.store.summary(record.id), record.config
        if ended is None or ended.state != "finished" or not measurable(config):
            return
        key = LimitKey.of(config, hardware.fingerprint(self._hardware))
        limit = self.store.limits.get(key)
        if limit is None:
            wanted = self.store.limits.state(key) == "unknown"
        else:
            wanted = config.backend == "compile" and not any(way.backend == "compile" for way in limit.forwards)
        if wanted:
            self.store.limits.request(key)

    def _compiled(self, key: LimitKey) -> bool:
        """Whether such a run was compiled lately, so that compiling again takes little."""
        recent = [run.config for run in self.store.summaries(limit=RECENT_RUNS)]
        return any((c.backend, c.model, c.dtype) == ("compile", key.model, key.dtype) for c in recent)

    def _measure_limits(self, ray_session: RaySession) -> None:
        """While nobody waits: measure what this machine could do, for what has run and for what was asked for."""
        here = hardware.fingerprint(self._hardware)
        if self.store.limits.requested(here) is not None:
            self._say("idle")
            until = time.monotonic() + BEFORE_MEASURING_S  # whoever goes on at once is not kept from it
            while self._idle() and time.monotonic() < until:
                self._stop.wait(POLL_S)
        while self._idle() and (key := self.store.limits.requested(here)) is not None:
            self._say("measuring what this machine could do")
            try:
                limit = measure_limit(
                    self.store.home,
                    ray_session,
                    self._hardware,
                    key,
                    backend="compile" if self._compiled(key) else "eager",
                    keep_going=self._idle,
                )
            except RunCancelled:
                return  # a run came; the request stands
            except BatchscopeError as error:
                self.store.limits.save(key, None, problem=str(error))
            else:
                self.store.limits.save(key, limit)

    def _prepare_for_anyone(self, ray_session: RaySession) -> None:
        """While nobody waits: make the sample images, and have workers warm for a run with default settings."""

        def report(done: int, total: int) -> None:
            self._message = f"making sample images: {done} of {total}"
            if not self._idle():
                raise _Interrupted

        try:
            ensure_samples(samples_folder(self.store.home), on_progress=report)
            if self._idle() and not ray_session.rehearsed:
                self._message = "rehearsing"
                rehearse(ray_session, self.store.home, self._hardware, self._idle)
            if self._idle():
                self._message = "warming workers"
                workers = preflight.default_config(self._hardware).concurrency
                ray_session.warm.ensure(actors=workers, tasks=workers, keep_waiting=self._idle)
        except _Interrupted:
            pass  # what was made is kept; the run makes what it needs
        except OSError as error:
            log.warning("The sample images could not be made: %s", error)  # a run that needs them says so

    def _say(self, message: str) -> None:
        self._message = message
        self._save_status()

    def _save_status(self) -> None:
        process = psutil.Process()
        self.store.save_engine(
            EngineStatus(
                engine_id=self.id,
                pid=process.pid,
                process_started_at=process.create_time(),
                state=self._state,
                message=self._message,
                heartbeat_at=time.time(),
                hardware=hardware.to_dict(self._hardware),
                dashboard_url=self._dashboard_url,
                dashboard_token=os.environ.get("RAY_AUTH_TOKEN") if self._dashboard_url else None,
            )
        )

    def _heartbeat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            try:
                self._save_status()
            except BatchscopeError as error:
                log.warning("%s", error)  # a full disk may pass; a missing heartbeat says enough until then

    def _watch_ray(self, ray_session: RaySession) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            _end_without_ray(ray_session)

    def _stop_with_parent(self) -> None:
        def until_end_of_stdin() -> None:
            with contextlib.suppress(OSError, ValueError):
                while sys.stdin.buffer.read(4096):
                    pass
            self._stop.set()

        threading.Thread(target=until_end_of_stdin, daemon=True, name="parent-watch").start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())


def _end_without_ray(ray_session: RaySession) -> None:
    """End at once if Ray is gone, which cannot be stopped in order then: the supervisor tidies up and starts anew."""
    if not ray_session.is_alive():
        log.error("Ray's own processes have died.")
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
