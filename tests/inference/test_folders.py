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


def allowed() -> list[Path]:
    return [Path(part) for part in os.environ[folders.NAMED].split(os.pathsep)]


def test_a_loopback_server_reads_the_users_folder_and_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(folders.NAMED, "to be restored")
    monkeypatch.delenv(folders.NAMED)
    monkeypatch.chdir(tmp_path)

    folders.restrict(tmp_path / "home", "localhost")

    assert allowed()[:2] == [Path.home().resolve(), tmp_path.resolve()]


@pytest.mark.parametrize("address", ["0.0.0.0", "localhost", None])
def test_what_is_named_is_all_that_may_be_read_beside_the_programs_own(
    tmp_path: Path, inside: Path, monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv(folders.NAMED, f"{inside}{os.pathsep}")

    folders.restrict(home, address)

    assert allowed() == [inside, home / "datasets", home / "uploads", home / "models"]
    folders.restrict(home, address)
    assert len(allowed()) == 4


def test_a_server_for_others_reads_nothing_that_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(folders.NAMED, "to be restored")
    monkeypatch.delenv(folders.NAMED)
    folders.restrict(tmp_path / "home", "0.0.0.0")

    with pytest.raises(DataUnavailable, match=r"none but its own.*BATCHSCOPE_FOLDERS"):
        folders.resolved(Path.home())
    assert folders.resolved(tmp_path / "home" / "uploads" / "x") == tmp_path / "home" / "uploads" / "x"


def test_without_a_rule_everything_may_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(folders.NAMED, raising=False)

    assert folders.resolved(Path("/etc")) == Path("/etc")


@pytest.mark.parametrize("way_out", ["..", "../..", "../../etc", "a/../../x", "link", "link/deeper", "~root"])
def test_no_way_leads_out_of_an_allowed_folder(
    tmp_path: Path, inside: Path, monkeypatch: pytest.MonkeyPatch, way_out: str
) -> None:
    (inside / "link").symlink_to("/etc")
    monkeypatch.setenv(folders.NAMED, os.pathsep.join([str(inside), "a", "b", "c"]))
    path = Path(way_out) if way_out.startswith("~") else inside / way_out

    with pytest.raises(DataUnavailable, match=rf"lies outside .*\({inside}\).*BATCHSCOPE_FOLDERS"):
        folders.resolved(path)


@pytest.mark.parametrize("odd", ["%2e%2e", "a?b", "a#b"])
def test_signs_that_mean_something_elsewhere_are_parts_of_a_name(
    inside: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    monkeypatch.setenv(folders.NAMED, str(inside))

    assert folders.resolved(inside / odd) == inside / odd


def test_a_path_that_no_system_could_have_is_refused(inside: Path) -> None:
    (inside / "circle").symlink_to("circle")

    for path in (inside / "a\0b", Path("~no-such-user-at-all/x")):
        with pytest.raises(DataUnavailable, match="is not the path of a folder"):
            folders.resolved(path)
