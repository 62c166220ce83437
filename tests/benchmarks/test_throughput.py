"""The comparison as a person starts it, on images enough to see that it works."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.bench import ROWS
from benchmarks.tutorial import cpus_per_worker

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"name", "setup_s", "images_per_s", "steady_images_per_s", "cpu_s_per_image", "peak_memory_bytes"}


def throughput(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.throughput", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=200,
    )


@pytest.fixture
def home(tmp_path: Path, samples: Path) -> Path:
    """With the sample images in it, under further names."""
    folder = tmp_path / "home" / "datasets" / "digits"
    folder.mkdir(parents=True)
    for path in samples.iterdir():
        os.link(path, folder / path.name)
    return tmp_path / "home"


def test_the_document_has_the_rows_that_were_asked_for_and_their_ratios(home: Path):
    arguments = ["--only", "hf-pipeline,limit,pipelined", "--limit", "32", "--rounds", "1", "--json"]
    done = throughput(*arguments, "--home", str(home))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["model"], document["images"]) == ("digits", 32)
    rows = {row["name"]: row for row in document["rows"]}
    assert list(rows) == ["hf-pipeline", "limit", "pipelined"]
    for row in rows.values():
        assert row.keys() >= KEYS
        assert all(row[key] > 0 for key in KEYS - {"name"}), row
        assert row["images"] == 32
        assert row["answers"]["share"] >= 0.95
    ratio = document["ratios"]["pipelined/limit"]
    steady = [rows[name]["steady_images_per_s"] for name in ("pipelined", "limit")]
    assert ratio["ratio"] == pytest.approx(steady[0] / steady[1])
    assert document["ratios"].keys() == {"pipelined/limit", "pipelined/hf-pipeline", "pipelined/limit end-to-end"}


def test_a_row_that_does_not_exist_is_refused_with_those_that_do():
    done = throughput("--only", "fastest")
    assert done.returncode == 2
    assert all(row in done.stderr for row in ROWS)


def test_a_model_that_does_not_exist_is_refused_in_one_line(home: Path):
    done = throughput("--model", "/no/such/folder", "--limit", "1", "--home", str(home))
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == "throughput: There is no folder /no/such/folder. Give a folder with a model, or a hub id."
    )
    assert done.stdout == ""


@pytest.mark.parametrize(("cpus", "expected"), [(1, 0.4), (2, 0.9), (4, 1.9), (5, 2), (64, 2)])
def test_both_workers_of_the_tutorial_fit_beside_a_reader(cpus: int, expected: float):
    assert cpus_per_worker(cpus) == expected
