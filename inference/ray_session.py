"""One private Ray instance on loopback: how it is started, primed and ended."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import pyarrow as pa
import ray
import ray.data

from inference.hardware import Hardware
from inference.identity import ray_folder
from inference.warm import SYSTEM_CONFIG, WarmWorkers


class RaySession:
    """Ray, for as long as the `with` lasts; leaves no process and no file behind."""

    def __init__(self, hardware: Hardware, engine_id: str) -> None:
        self._hardware = hardware
        self._folder = ray_folder(engine_id)
        self.dashboard_url: str | None = None
        self.resources: Mapping[str, float] = {}

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
        self.dashboard_url = f"http://{context.dashboard_url}" if context.dashboard_url else None
        self.resources = ray.cluster_resources()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ray.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)

    def prime(self) -> None:
        """Pay once, before any run, for what Ray Data does at its first execution: imports, its statistics actor."""
        ray.data.DataContext.get_current().enable_progress_bars = False
        one_row = ray.data.from_arrow(pa.table({"image_id": ["none"]}))
        one_row.map_batches(_same, batch_size=None, batch_format="pyarrow", num_cpus=1).materialize()

    def in_worker(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function in a worker process, for what needs torch; its value, or its error."""
        return ray.get(ray.remote(num_cpus=1)(function).remote(*arguments))


def _same(block: pa.Table) -> pa.Table:
    return block
