"""One private Ray instance on loopback: how it is started, primed and ended."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import psutil
import ray
import ray.data

from inference.datasets import image_bytes
from inference.geometry import Geometry
from inference.hardware import Hardware
from inference.identity import ray_folder
from inference.listing import ImageRef
from inference.warm import SYSTEM_CONFIG, WarmWorkers

_T = TypeVar("_T")


class RaySession:
    """Ray, for as long as the `with` lasts; leaves no process and no file behind."""

    def __init__(self, hardware: Hardware, engine_id: str) -> None:
        self._hardware = hardware
        self._folder = ray_folder(engine_id)
        self.dashboard_url: str | None = None
        self.resources: Mapping[str, float] = {}
        self._geometries: dict[tuple[Path, int], Geometry | None] = {}
        self.rehearsed = False
        """Whether a first run of no consequence has been made: see `execution.rehearse`."""

    def __enter__(self) -> RaySession:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self.warm = WarmWorkers(self._folder / "warm")
        context = ray.init(
            address="local",
            num_cpus=self._hardware.cpus,
            include_dashboard=None,  # if the `dashboard` extra is installed
            log_to_driver=False,
            configure_logging=False,
            _temp_dir=str(self._folder),
            _system_config=SYSTEM_CONFIG,
        )
        self._own = [child for child in psutil.Process().children() if child.name() in ("gcs_server", "raylet")]
        self.dashboard_url = f"http://{context.dashboard_url}" if context.dashboard_url else None
        self.resources = ray.cluster_resources()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ray.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)

    def is_alive(self) -> bool:
        """Whether Ray's own processes are at work. Ray itself may take a minute to notice that one is not (2.60)."""
        try:
            return all(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in self._own)
        except psutil.NoSuchProcess:
            return False

    def prime(self) -> None:
        """Pay once, before any run, for what Ray Data does at its first execution.

        Imports in the engine and in the process that will read, and Ray Data's own statistics actor.
        """
        ray.data.DataContext.get_current().enable_progress_bars = False
        this_file = ImageRef(image_id="none", uri=__file__)
        image_bytes((this_file,), batch_size=1, num_cpus=1, run_started_at=time.time()).materialize()

    def in_worker(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Run an importable function in a worker process, for what needs torch; its value, or its error."""
        task = ray.remote(num_cpus=1, runtime_env=self.warm.runtime_env)(_with_process)
        process_id, value = ray.get(task.remote(function, arguments))
        self.warm.mark_process_used(process_id)
        return value

    def geometry_of(self, model_folder: Path) -> Geometry | None:
        """What the model's pictures go through, found out once for each state of its image processor's settings."""
        settings = model_folder / "preprocessor_config.json"
        key = (model_folder, settings.stat().st_mtime_ns if settings.exists() else 0)
        if key not in self._geometries:
            self._geometries[key] = self.in_worker(_geometry_of, str(model_folder))
        return self._geometries[key]


def _with_process(function: Callable[..., _T], arguments: tuple[Any, ...]) -> tuple[int, _T]:
    return os.getpid(), function(*arguments)


def _geometry_of(model_folder: str) -> Geometry | None:
    from inference.models import geometry_of  # in a worker: the engine does without torch

    return geometry_of(model_folder)
