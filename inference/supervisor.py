"""Keeps one engine running for a home folder, and cleans up after it.

Light: no Ray. Lives in a thread of the web server, or of a command-line run. Several supervisors may share a
home folder: the engine's file lock lets one engine live, and the others' engines step back at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import filelock
import psutil

from inference.errors import BatchscopeError
from inference.identity import ENGINE_ID_VARIABLE, EXIT_LOCKED, LOCK_NAME, LOG_NAME, engine_environment, ray_folder
from inference.store import EngineStatus, Store

CHECK_S = 0.5
RETRY_S = 2.0
CANCEL_PATIENCE_S = 8.0
"""How long a cancelled run may take to stop by itself before its engine is ended."""

HEARTBEAT_PATIENCE_S = 30.0
STOP_PATIENCE_S = 8.0


def engine_alive(status: EngineStatus | None) -> bool:
    """Whether the process that last reported as engine is still the same one and alive."""
    return status is not None and _same_process(status.pid, status.process_started_at) is not None


class Supervisor:
    """Starts the engine, notices its death, ends what it left behind, and starts it again."""

    def __init__(self, home: Path) -> None:
        self._store = Store(home)
        self._home = home
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._engine: subprocess.Popen[bytes] | None = None
        self._engine_id = ""
        self._cancelling_since: dict[str, float] = {}

    def start(self) -> None:
        """Begin to keep an engine; further calls change nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep, daemon=True, name="engine-supervisor")
            self._thread.start()

    def stop(self) -> None:
        """End the engine and everything it started; returns when they are gone."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _keep(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._keep_once()
                except (BatchscopeError, OSError) as error:
                    print(f"batchscope: {error}", file=sys.stderr)  # the disk may have room again later
                    self._stopping.wait(RETRY_S)
        finally:
            self._end_engine()

    def _keep_once(self) -> None:
        """Start an engine and watch it until it ends."""
        if self._is_home_taken():
            self._stopping.wait(RETRY_S)
            return
        self._bury_dead_engine()
        engine = self._engine = self._launched()
        while engine.poll() is None:
            if self._stopping.wait(CHECK_S):
                return
            if self._is_stuck():
                engine.kill()
                engine.wait()
        if engine.returncode == EXIT_LOCKED:
            self._engine = None  # another server was quicker
            return
        _end_processes_of(self._engine_id)
        self._end_runs_of(self._engine_id)
        self._engine = None
        self._stopping.wait(RETRY_S)

    def _is_home_taken(self) -> bool:
        """Whether another server's engine serves this home folder; starting one to find out costs CPU seconds."""
        lock = filelock.FileLock(self._home / LOCK_NAME, blocking=False)
        try:
            lock.acquire()
        except filelock.Timeout:
            return True
        lock.release()
        return False

    def _launched(self) -> subprocess.Popen[bytes]:
        self._engine_id = uuid.uuid4().hex
        with open(self._home / LOG_NAME, "ab") as log:
            if log.tell() > 5_000_000:
                log.truncate(0)
            return subprocess.Popen(
                [sys.executable, "-m", "inference.engine", "--home", str(self._home)],
                stdin=subprocess.PIPE,  # its end is how the engine learns that we are gone
                stdout=log,
                stderr=log,
                env=engine_environment(self._engine_id),
                cwd=Path(__file__).resolve().parent.parent,
                start_new_session=True,  # Ctrl-C in the terminal reaches us; we end the engine in order
            )

    def _is_stuck(self) -> bool:
        """Whether the engine ignores a cancel request, or has stopped reporting."""
        status = self._store.engine()
        if status is None or status.engine_id != self._engine_id:
            return False
        cancelling = {run.id for run in self._store.active() if run.state == "cancelling"}
        now = time.monotonic()
        self._cancelling_since = {run_id: self._cancelling_since.get(run_id, now) for run_id in cancelling}
        overdue = any(now - since > CANCEL_PATIENCE_S for since in self._cancelling_since.values())
        return overdue or time.time() - status.heartbeat_at > HEARTBEAT_PATIENCE_S

    def _bury_dead_engine(self) -> None:
        """After a server and its engine were both killed: end the engine's processes and its runs."""
        status = self._store.engine()
        if status is not None and not engine_alive(status):
            _end_processes_of(status.engine_id)
            self._end_runs_of(status.engine_id)

    def _end_runs_of(self, engine_id: str) -> None:
        status = self._store.engine()
        alive = status.engine_id if status and engine_alive(status) and status.engine_id != engine_id else None
        self._store.end_orphans(
            alive_engine_id=alive,
            reason="The engine that ran it died. Memory may have run out: try a lower batch size or concurrency.",
        )

    def _end_engine(self) -> None:
        if self._engine is None:
            return
        with contextlib.suppress(OSError):
            if self._engine.stdin is not None:
                self._engine.stdin.close()
        try:
            self._engine.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._engine.kill()
            self._engine.wait()
        _end_processes_of(self._engine_id)
        with contextlib.suppress(BatchscopeError):
            self._end_runs_of(self._engine_id)
        self._engine = None


def _same_process(pid: int, started_at: float) -> psutil.Process | None:
    """The process with this id, if it is the one that started then and not a later one with the same id."""
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - started_at) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    except psutil.Error:
        pass
    return None


def _end_processes_of(engine_id: str) -> None:
    """End every process that inherited this engine's id, and remove its Ray folder.

    A killed Ray driver leaves agents behind that no parent knows (2.60); the id in their environment does.
    """
    mine = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(ENGINE_ID_VARIABLE) == engine_id and process.pid != os.getpid():
                process.kill()
                mine.append(process)
    psutil.wait_procs(mine, timeout=5)
    shutil.rmtree(ray_folder(engine_id), ignore_errors=True)
