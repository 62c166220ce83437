"""What is taken down of the machine and its GPUs while a run goes."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from inference import meter
from inference.meter import Meter
from inference.recorder import now_s
from inference.results import Sample
from tests.conftest import wait_until

NO_TOOL = {"PATH": "/nowhere"}
needs_sh = pytest.mark.skipif(sys.platform != "linux", reason="nvidia-smi is played by a shell script")
ANSWERS = 'case "$*" in *loop-ms*) {loop};; *) echo "0, NVIDIA H200, 143771, 550, 9.0";; esac'


def tool(folder: Path, loop: str) -> dict[str, str]:
    """An environment whose nvidia-smi finds one GPU, and does this when it is asked to report again and again."""
    script = folder / "nvidia-smi"
    script.write_text("#!/bin/bash\n" + ANSWERS.format(loop=loop) + "\n")
    script.chmod(0o755)
    return {"PATH": str(folder)}


def lane(samples: list[Sample], name: str) -> list[Sample]:
    return [sample for sample in samples if sample.worker == name]


def test_work_on_a_processor_is_counted_from_the_start_of_the_run() -> None:
    with Meter(now_s(), NO_TOOL) as taken:
        begun = time.process_time()
        while time.process_time() - begun < 0.4:
            pass
        first, last = taken.take(last=True)
    assert (first.worker, first.cpu_s, last.worker) == ("machine", 0.0, "machine")
    assert 0.3 <= last.cpu_s <= (os.cpu_count() or 1) * (last.at_s - first.at_s) + 0.1
    assert 0 < last.memory_bytes <= psutil.virtual_memory().total


def test_the_machine_is_sampled_twice_a_second_however_often_it_is_asked() -> None:
    with Meter(now_s(), NO_TOOL) as taken:
        assert len(taken.take()) == 1
        assert taken.take() == ()
    with Meter(now_s() - meter.EVERY_S, NO_TOOL) as taken:
        assert len(taken.take()) == 2


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="psutil looks elsewhere on this system")
def test_a_machine_that_says_nothing_of_itself_costs_only_its_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    with Meter(now_s(), NO_TOOL) as taken:
        assert taken.take(last=True) == ()


@needs_sh
def test_a_gpu_becomes_a_lane_whose_busy_seconds_are_the_integral_of_its_use(tmp_path: Path) -> None:
    got: list[Sample] = []
    with Meter(now_s(), tool(tmp_path, "while true; do echo '0, 50, 2048'; read -t 0.05 < <(:); done")) as taken:

        def three_lines() -> bool:
            got.extend(taken.take())
            return len(lane(got, "gpu 0")) >= 3

        wait_until(three_lines, seconds=20, what="three lines of the GPU")
    found = lane(got, "gpu 0")
    assert found[0].cpu_s == 0.0
    assert found[-1].cpu_s == pytest.approx(0.5 * (found[-1].at_s - found[0].at_s), abs=1e-6)
    assert {sample.memory_bytes for sample in found} == {2048 * 1024**2}


@needs_sh
@pytest.mark.parametrize(
    "loop", ["echo '0, [N/A], [N/A]'; echo 'Unable to determine the device handle'", "exit 9", "echo '0, 50'"]
)
def test_a_gpu_that_says_nothing_of_its_use_has_no_lane(tmp_path: Path, loop: str) -> None:
    with Meter(now_s(), tool(tmp_path, loop)) as taken:
        wait_until(lambda: not gpu_threads(), seconds=20, what="the tool's end")
        assert {sample.worker for sample in taken.take(last=True)} == {"machine"}


@needs_sh
def test_the_tool_ends_with_the_run_also_when_that_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with Meter(now_s(), tool(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 600")):
            wait_until(lambda: pid_file.exists() and pid_file.read_text().strip(), seconds=20, what="the tool's start")
            raise RuntimeError("the run fails")

    pid_file = tmp_path / "pid"
    # The script of this test needs `sleep`, which is elsewhere.
    (tmp_path / "sleep").symlink_to("/bin/sleep")
    with pytest.raises(RuntimeError, match="the run fails"):
        fail()
    assert not psutil.pid_exists(int(pid_file.read_text()))
    assert not gpu_threads()


def gpu_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gpu-meter"]
