"""Keeps worker processes ready that have imported what a model needs, so that a run starts within a second.

Two facts of Ray 2.60 shape this. An actor only ever gets a process that has run nothing before, and that process
ends with the actor: idle processes left by tasks do not help the next actor pool. And a process that ran tasks
serves later tasks, so stateless tasks find their imports done from the second run on. Left alone, that would
charge every actor run with imports that the naive run no longer pays. So before each run, outside its clock,
the engine asks the Ray node for as many fresh, warm processes as the run needs: both arms of a comparison start
from the same state. Readers run in processes of their own, without these imports.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import grpc
import psutil
import ray
from ray._private.grpc_utils import init_grpc_channel  # the channel carries Ray's token
from ray.core.generated import common_pb2, node_manager_pb2, node_manager_pb2_grpc, runtime_environment_pb2
from ray.runtime_env import RuntimeEnv

from inference.preload import MODEL_WORKER_VARIABLE
from inference.results import Span
from inference.strategies.answers import RETRIES

SYSTEM_CONFIG = {
    "preload_python_modules": ["inference.preload"],
    # Ray ends idle processes beyond one per CPU after a second, and with them their imports.
    "idle_worker_killing_time_threshold_ms": 10 * 60 * 1000,
    # Ray gives workers the lowest priority but four (15): whatever else the machine does, the browser that watches
    # included, would slow the very work that is measured.
    "worker_niceness": 0,
    # Ray begins a task that was ended for want of memory again for ever.
    "task_oom_retries": RETRIES,
}
"""For `ray.init(_system_config=…)`."""

START_TIMEOUT_S = 20.0
KEEP_ALIVE_S = 24 * 3600


log = logging.getLogger("batchscope.engine")


class WarmWorkers:
    """The processes of one Ray instance that are ready to run a model; they announce themselves in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(exist_ok=True)
        self._used: set[int] = set()
        self._asked = 0
        self.runtime_env = {"env_vars": {MODEL_WORKER_VARIABLE: str(folder)}}
        """What tasks and actors that run a model must ask for: it gives them processes of their own."""

    def ensure(self, *, actors: int, tasks: int, keep_waiting: Callable[[], bool] = lambda: True) -> float:
        """Have warm processes for this many actors and tasks, starting what is missing; return the seconds taken.

        Stops early, with fewer, after 20 seconds or when `keep_waiting` says no: a run then imports for
        itself, and its spans show it.
        """
        start = time.monotonic()
        fresh, used = self._alive()
        missing = max(0, actors - len(fresh)) + max(0, tasks - len(used) - max(0, len(fresh) - actors))
        if missing:
            wanted = len(fresh) + missing
            while len(self._alive()[0]) < wanted and time.monotonic() - start < START_TIMEOUT_S and keep_waiting():
                # Ray counts processes that are still starting towards a further request (2.60): one at a time.
                if self._on_their_way() == 0:
                    self.ask_for(wanted - len(self._alive()[0]))
                time.sleep(0.05)
            if len(self._alive()[0]) < wanted and keep_waiting():
                log.warning("of %d processes asked for, some were not warm in %.0f s", missing, START_TIMEOUT_S)
                self._asked = self._announced()  # whatever became of them, they are not awaited twice
        return time.monotonic() - start

    def mark_used(self, spans: Iterable[Span]) -> None:
        """Say which processes have run something, by what they recorded: actors cannot have them any more."""
        self._used |= {int(span.worker.split()[-1]) for span in spans}

    def mark_process_used(self, process_id: int) -> None:
        """The same for a single process that ran a task which records nothing."""
        self._used.add(process_id)

    def _alive(self) -> tuple[set[int], set[int]]:
        """Warm processes that are alive: those that nothing has used, and those that tasks may use again."""
        alive = {pid for path in self._folder.iterdir() if _is_alive(pid := int(path.name))}
        return alive - self._used, alive & self._used

    def _announced(self) -> int:
        return sum(1 for _ in self._folder.iterdir())

    def _on_their_way(self) -> int:
        """Processes that were asked for and have not announced themselves yet."""
        return max(0, self._asked - self._announced())

    def ask_for(self, count: int) -> None:
        """Have the Ray node start this many processes, and wait for none of them."""
        if count <= 0:
            return
        self._asked += count
        node = ray.nodes()[0]
        request = node_manager_pb2.PrestartWorkersRequest(
            language=common_pb2.PYTHON,
            job_id=bytes.fromhex(ray.get_runtime_context().get_job_id()),
            runtime_env_info=runtime_environment_pb2.RuntimeEnvInfo(
                serialized_runtime_env=RuntimeEnv(**self.runtime_env).serialize()
            ),
            num_workers=count,
            keep_alive_duration_secs=KEEP_ALIVE_S,
        )
        with init_grpc_channel(f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}") as channel:
            stub = node_manager_pb2_grpc.NodeManagerServiceStub(channel)
            try:
                stub.PrestartWorkers(request, timeout=5)
            except grpc.RpcError:
                return  # a run that starts cold is slower, not wrong


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
