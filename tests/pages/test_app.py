"""The frame around every page."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from conftest import OpenPage, words

from inference.store import DATABASE_NAME, Store

PAGES = ("overview", "run", "ladder", "compare", "predictions", "history", "replay")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_in_a_new_home_folder_under_the_header(open_page: OpenPage, page: str) -> None:
    app = open_page(page)
    assert not app.exception
    assert "Batchscope" in words(app)
    assert len(app.title) == 1


def test_a_pages_own_address_keeps_its_parameters_on_a_new_server(open_page: OpenPage) -> None:
    app = open_page("run", {"batch_size": "16"})
    assert app.query_params == {"batch_size": "16"}
    assert app.select_slider(key="batch_size").value == 16


def test_no_engine_is_started_when_it_is_switched_off(open_page: OpenPage, store: Store) -> None:
    open_page("run")
    assert store.engine() is None


def test_a_home_folder_that_cannot_be_used_is_one_plain_sentence(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "a *file*"
    blocked.write_text("not a folder")
    monkeypatch.setenv("BATCHSCOPE_HOME", str(blocked))
    app = open_page("run")
    assert not app.exception
    assert len(app.error) == 1
    assert r"a \*file\*" in app.error[0].value
    assert "BATCHSCOPE\\_HOME" in app.error[0].value
    assert not app.title


def test_a_database_of_a_newer_version_is_named_and_left_alone(open_page: OpenPage, store: Store) -> None:
    with sqlite3.connect(store.home / DATABASE_NAME) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    app = open_page("history")
    assert not app.exception
    assert "newer Batchscope" in app.error[0].value
