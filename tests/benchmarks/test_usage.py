import os
import subprocess
import sys
import time
import uuid

import pytest

from benchmarks.usage import Meter, end_processes_of, processes_of

VARIABLE = "BATCHSCOPE_TEST_MARK"
BURN_IN_A_CHILD = """
import subprocess, sys
subprocess.run([sys.executable, "-c", '''
import time
kept = bytearray(b"x") * 200_000_000
while time.process_time() < 1.0:
    pass
time.sleep(0.5)
'''])
"""


@pytest.fixture
def mark() -> str:
    return uuid.uuid4().hex


def started(mark: str, code: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", code], env=os.environ | {VARIABLE: mark})


def test_cpu_and_memory_of_a_child_of_a_marked_process_are_counted(mark: str):
    start_at = time.time()
    with Meter(VARIABLE, mark) as meter:
        assert started(mark, BURN_IN_A_CHILD).wait() == 0
    usage = meter.between(start_at, time.time())
    assert usage.cpu_s == pytest.approx(1.0, abs=0.5)
    assert usage.peak_memory_bytes > 200_000_000


def test_nothing_is_counted_of_processes_without_the_mark(mark: str):
    start_at = time.time()
    with Meter(VARIABLE, mark) as meter:
        assert started("another", "sum(range(10_000_000))").wait() == 0
    usage = meter.between(start_at, time.time())
    assert (usage.cpu_s, usage.peak_memory_bytes) == (0.0, 0)


def test_marked_processes_that_stay_are_ended(mark: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmarks.usage.GRACE_S", 0.1)
    process = started(mark, "import time; time.sleep(600)")
    assert end_processes_of(VARIABLE, mark) == 1
    process.wait()
    assert processes_of(VARIABLE, mark) == []
