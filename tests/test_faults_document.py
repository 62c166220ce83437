"""The table of faults names tests that exist, for every row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| (?P<number>\d+) \| (?P<fault>[^|]+) \| (?P<outcome>[^|]+) \|(?P<tests>[^|]*)\|$")
NAMED = re.compile(r"`(?P<file>tests/[\w/]+\.py)::(?P<test>test_\w+)`")


def rows() -> list[re.Match[str]]:
    lines = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8").splitlines()
    return [found for line in lines if (found := ROW.match(line))]


ROWS = rows()


def test_the_rows_are_numbered_one_after_the_other_and_none_is_left_out() -> None:
    written = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")

    assert [int(row["number"]) for row in ROWS] == list(range(1, len(ROWS) + 1))
    assert len(ROWS) == len(re.findall(r"^\| *\d", written, re.MULTILINE))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["number"])
def test_a_row_names_tests_that_exist(row: re.Match[str]) -> None:
    named = NAMED.findall(row["tests"])

    assert named
    assert NAMED.sub("", row["tests"]).strip(" ,") == ""  # nothing else stands there
    for file, test in named:
        assert test in names_in(file), f"{file} has no {test}"


def names_in(file: str) -> set[str]:
    """The names of a file's tests, read and not run."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
