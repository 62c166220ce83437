"""A port that somebody else has: the server says so, and takes the next free one."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.conftest import wait_until

ROOT = Path(__file__).parents[1]
USUAL_PORT = 8501


def test_where_the_usual_port_is_taken_the_next_free_one_is_used_and_printed(tmp_path: Path) -> None:
    printed = tmp_path / "printed"
    with socket.socket() as taken, printed.open("wb") as log:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", USUAL_PORT))
            taken.listen()
        except OSError:
            pass  # somebody has it already
        server = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true"],
            cwd=ROOT,
            env={"PATH": "", "HOME": str(tmp_path), "BATCHSCOPE_HOME": str(tmp_path), "BATCHSCOPE_NO_ENGINE": "1"},
            stdout=log,
            stderr=log,
        )
        try:
            wait_until(lambda: re.search(r"http://localhost:\d+", printed.read_text()), seconds=30, what="an address")
            address = re.search(r"http://localhost:(\d+)", printed.read_text())
            assert address is not None
            assert int(address[1]) != USUAL_PORT
            with urllib.request.urlopen(f"{address[0]}/_stcore/health", timeout=10) as answer:  # noqa: S310  # our own
                assert answer.status == 200
        finally:
            server.terminate()
            server.wait(20)
