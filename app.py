"""The entry of the web server: page config, navigation, and the header that every page shares."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from inference import folders
from inference.errors import StoreUnavailable
from pages.ui import dialogs, header, state
from pages.ui.format import literal

SIDEBAR_PIXELS = 200
PAGES = {
    "Measure": [
        st.Page("pages/overview.py", title="Overview", icon=":material/speed:", default=True),
        st.Page("pages/run.py", title="Run", icon=":material/play_arrow:"),
        st.Page("pages/ladder.py", title="Ladder", icon=":material/stairs:"),
        st.Page("pages/compare.py", title="Compare", icon=":material/balance:"),
    ],
    "Understand": [
        st.Page("pages/predictions.py", title="Predictions", icon=":material/photo_library:"),
        st.Page("pages/learn.py", title="Learn", icon=":material/school:"),
    ],
    "Keep": [
        st.Page("pages/history.py", title="History", icon=":material/history:"),
        st.Page("pages/replay.py", title="Demo", icon=":material/slideshow:"),
    ],
}


def main() -> None:
    """Draw the page that the address names, under the header."""
    st.set_page_config(
        page_title="Batchscope",
        page_icon=str(Path(__file__).parent / "pages" / "ui" / "icon.png"),
        layout="wide",
        initial_sidebar_state=SIDEBAR_PIXELS,
    )
    page = st.navigation(PAGES)
    try:
        folders.restrict(state.store().home, st.get_option("server.address"))
        if os.environ.get("BATCHSCOPE_NO_ENGINE") != "1":
            state.keep_engine()
        dialogs.turn_to(page.url_path)
        header.draw()
        state.enter_app()
        page.run()
    except StoreUnavailable as error:
        st.error(literal(error), icon=":material/database_off:")


if __name__ == "__main__":
    main()
