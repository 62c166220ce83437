"""A trap for programs that a picture might start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("gs", "gswin32c", "convert", "magick")
"""What image libraries call for formats that they do not read themselves."""


@dataclass(frozen=True, slots=True)
class Trap:
    """A folder of programs of those names, all of which do nothing but leave evidence."""

    folder: Path

    @classmethod
    def laid(cls, folder: Path) -> Trap:
        """Make the programs in a new folder."""
        folder.mkdir()
        trap = cls(folder)
        for name in PROGRAMS:
            (folder / name).write_text(f'#!/bin/sh\necho "$0" >> "{trap._evidence}"\n')
            (folder / name).chmod(0o755)
        return trap

    @property
    def path(self) -> str:
        """A value of `PATH` by which the trap is found first."""
        return f"{self.folder}{os.pathsep}{os.environ['PATH']}"

    @property
    def caught(self) -> str:
        """The programs that were started, a line each; empty if none was."""
        return self._evidence.read_text() if self._evidence.exists() else ""

    @property
    def _evidence(self) -> Path:
        return self.folder / "started"
