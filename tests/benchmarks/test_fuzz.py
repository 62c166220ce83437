"""Damaged files: decoded, or refused with a reason; nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import fuzz
from inference.images import decode


def test_every_seed_is_a_picture_before_it_is_damaged() -> None:
    for data in fuzz.seeds():
        assert decode(data).mode == "RGB"


def test_the_same_seed_damages_alike_and_another_differently() -> None:
    assert list(fuzz.files(60, 1)) == list(fuzz.files(60, 1)) != list(fuzz.files(60, 2))


def test_the_files_can_be_written_into_a_folder_for_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["fuzz", "--into", str(tmp_path / "new"), "--files", "40", "--seed", "2"])

    assert fuzz.main() == 0

    written = sorted((tmp_path / "new").iterdir())
    assert [path.read_bytes() for path in written] == list(fuzz.files(40, 2))
    assert {path.suffix for path in written} == {".jpg"}


def test_no_damaged_file_crashes_the_decoder_or_takes_all_memory() -> None:
    found = fuzz.fuzz(400, seed=3)

    assert found.clean
    assert found.decoded + found.refused == 400
    assert found.decoded > 0
    assert found.refused > 0


def test_a_crash_is_counted_and_the_next_file_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying(fuzz._Decoder):
        def decode(self, data: bytes) -> tuple[str, str, int] | None:
            if data == b"deadly":
                self._process.kill()
            return super().decode(data)

    monkeypatch.setattr(fuzz, "_Decoder", Dying)
    monkeypatch.setattr(fuzz, "files", lambda number, seed: iter([b"deadly", b"no picture"]))

    found = fuzz.fuzz(2, seed=0)

    assert (found.crashes, found.refused, found.clean) == (1, 1, False)
