"""Which folders pages may read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inference import folders
from inference.errors import DataUnavailable


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    folder = tmp_path / "inside"
    folder.mkdir()
    return folder


def test_a_loopback_server_reads_the_users_folder_and_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(folders.NAMED, raising=False)
    monkeypatch.chdir(tmp_path)

    found = folders.allowed(tmp_path / "home", "localhost")

    assert found[:2] == (Path.home().resolve(), tmp_path.resolve())


def test_a_server_for_others_reads_only_what_is_named(
    tmp_path: Path, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    own = {home / "datasets", home / "uploads", home / "models"}
    monkeypatch.delenv(folders.NAMED, raising=False)
    assert set(folders.allowed(home, "0.0.0.0")) == own

    monkeypatch.setenv(folders.NAMED, f"{inside}{os.pathsep}")
    assert set(folders.allowed(home, "0.0.0.0")) == own | {inside}
    assert set(folders.allowed(home, "localhost")) == own | {inside}


@pytest.mark.parametrize("way_out", ["..", "../..", "../../etc", "a/../../x", "link", "link/deeper"])
def test_no_way_leads_out_of_an_allowed_folder(inside: Path, way_out: str) -> None:
    (inside / "link").symlink_to("/etc")

    with pytest.raises(DataUnavailable, match=r"lies outside .*BATCHSCOPE_FOLDERS"):
        folders.require_allowed(inside / way_out, [inside])


@pytest.mark.parametrize("odd", ["%2e%2e", "a?b", "a#b", "~root"])
def test_signs_that_mean_something_elsewhere_are_parts_of_a_name(inside: Path, odd: str) -> None:
    assert folders.require_allowed(inside / odd, [inside]) == inside / odd


def test_a_path_that_no_system_could_have_is_refused(inside: Path) -> None:
    (inside / "circle").symlink_to("circle")

    for path in (inside / "a\0b", inside / "circle" / "x"):
        with pytest.raises(DataUnavailable):
            folders.require_allowed(path, [inside])
