"""The control that shows and changes what is said of one run, wherever it stands."""

from __future__ import annotations

import pytest
import seed
from conftest import words
from streamlit.testing.v1 import AppTest

from inference.history import History
from inference.store import Store

HOSTILE = "<script>alert(1)</script> :red[x] ![p](http://example.com/p.png)"


@pytest.fixture
def run_id(store: Store) -> str:
    return seed.finished(store)


@pytest.fixture
def kept(store: Store) -> History:
    return History(store.database)


def shown() -> AppTest:
    """The control for the newest run, on a page of its own."""

    def page() -> None:
        from pages.ui import library, state

        library.describe(state.store().summaries()[0])

    app = AppTest.from_function(page).run()
    assert not app.exception
    return app


def test_the_star_marks_and_unmarks(store: Store, run_id: str) -> None:
    app = shown()
    app.button(key=f"star-{run_id}").click().run()
    assert store.summaries()[0].favourite
    assert app.button(key=f"star-{run_id}").label == "Unmark favourite"
    app.button(key=f"star-{run_id}").click().run()
    assert not store.summaries()[0].favourite


def test_name_note_and_tags_are_shown_literally(run_id: str, kept: History) -> None:
    note = f"{HOSTILE}\n# second line \u202eturned"
    kept.describe(run_id, name=f"\u202e{HOSTILE}", note=note, tags=["*bold*"])
    app = shown()
    assert app.text[0].value == f"{HOSTILE}\n# second line ⟨U+202E⟩turned"
    assert "\u202e" not in words(app)
    assert ":red[x]" not in app.markdown[0].value
    assert r"\*bold\*" in app.markdown[1].value


def test_what_is_entered_in_the_dialog_is_kept(store: Store, run_id: str) -> None:
    app = shown()
    app.button(key=f"describe-{run_id}").click().run()
    app.text_input(key=f"name-of-{run_id}").set_value("x" * 300)
    app.button(key=f"save-{run_id}").click().run()
    assert store.summaries()[0].name == "x" * 300


def test_a_name_that_is_emptied_is_none(store: Store, run_id: str, kept: History) -> None:
    kept.describe(run_id, name="old", note="stays")
    app = shown()
    app.button(key=f"describe-{run_id}").click().run()
    app.text_input(key=f"name-of-{run_id}").set_value("  ")
    app.button(key=f"save-{run_id}").click().run()
    assert (store.summaries()[0].name, store.summaries()[0].note) == (None, "stays")
