"""Which dialog is open. One that is open stays so, with all that is typed into it, when a run ends meanwhile.

Streamlit by itself draws a dialog when the button that opens it was pressed, and closes it with the next drawing of the
page, whatever that is for (1.67). So pages ask here whether to draw it, and whether to draw themselves anew.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.ui import state

_OPEN = "open dialog"
_PAGE = "page"


def turn_to(page: str) -> None:
    """Note which page is about to be drawn: what was opened on another one is closed."""
    if state.remembered(_PAGE) != page:
        state.remember(_PAGE, page)
        close()


def open_(name: str, about: Any = None) -> None:
    """Open a dialog; a callback of a button: of several that were pressed at once, the last one counts."""
    state.remember(_OPEN, (name, about))


def button(label: str, name: str, *, icon: str) -> bool:
    """Draw a quiet button that opens a dialog, and say whether that dialog is to be drawn."""
    st.button(label, key=f"open-{name}", type="tertiary", icon=icon, on_click=open_, args=(name,))
    return is_open(name)


def close() -> None:
    """Close the one that is open; a callback too."""
    state.remember(_OPEN, None)


def is_open(name: str) -> bool:
    """Whether this dialog is to be drawn."""
    opened = state.remembered(_OPEN)
    return opened is not None and opened[0] == name


def about(name: str) -> Any:
    """What this dialog was opened about; None where it is not open."""
    return state.remembered(_OPEN)[1] if is_open(name) else None


def redraw_page() -> None:
    """Draw the page anew, because it is out of date; not under an open dialog, with whose end it is drawn anyway.

    What is being typed reaches the server only when its field is left, and would be lost.
    """
    if state.remembered(_OPEN) is None:
        st.rerun()
