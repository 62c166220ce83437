"""Take a run or a comparison away: files to download, and the address of what is on the screen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import streamlit as st

from inference.arms import arms_of, winner
from inference.export import FORMATS, exported
from inference.export_script import why_no_script
from inference.results import RunRecord
from pages.ui import format, state

_BUTTONS = {
    "html": ("Report (HTML)", ":material/article:", "text/html"),
    "csv": ("Table (CSV)", ":material/table:", "text/csv"),
    "parquet": ("Table (Parquet)", ":material/table_view:", "application/vnd.apache.parquet"),
    "json": ("Everything (JSON)", ":material/data_object:", "application/json"),
    "py": ("Python script", ":material/code:", "text/x-python"),
}
"""What a person reads on each button, its sign, and the type of its file."""

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9.]+")
_MOST_NAMED = 4
"""More strategies than this are counted in a file's name."""


@st.fragment
def run_downloads(record: RunRecord) -> None:
    """A popover with every file of one run, and the address that shows it."""
    popover = _popover()
    if not popover.open:
        return
    with popover:
        for ending in _BUTTONS:
            why_not = why_no_script(record.config) if ending == "py" else ""
            _button(ending, FORMATS[ending].run_holds, record, name=file_name(record, ending), why_not=why_not)
        _address("run", {"run": record.id})


@st.fragment
def comparison_downloads(runs: Sequence[RunRecord]) -> None:
    """A popover with every file of a comparison, the baseline first, and the address that shows it."""
    popover = _popover()
    if not popover.open:
        return
    with popover:
        for ending in _BUTTONS:
            if ending == "py":
                _winners_script(runs)
            else:
                _button(ending, FORMATS[ending].comparison_holds, runs, name=comparison_name(runs, ending))
        _address("compare", {"runs": ",".join(run.id for run in runs)})


def _winners_script(runs: Sequence[RunRecord]) -> None:
    """The button for the script of the configuration that wins, with the reason why it does."""
    best = winner(arms_of(runs))
    if best is None:
        _button("py", "", runs, name="", why_not="There is no script: the first run has no answers.")
        return
    run = best.arm.median
    holds = f"{format.sentence_case(FORMATS['py'].comparison_holds)}. {format.sentence_case(best.reason)}"
    _button("py", holds, runs, name=file_name(run, "py"), why_not=why_no_script(run.config))


def file_name(record: RunRecord, ending: str) -> str:
    """`batchscope-actor-digits-0123ab.csv`: safe on every system, whatever the model is called."""
    model = _safe(Path(record.config.model).name)[:40]
    return f"{_safe(f'batchscope {record.config.strategy} {model} {record.id[:6]}')}.{ending}"


def comparison_name(runs: Sequence[RunRecord], ending: str) -> str:
    """`batchscope-naive-actor-0123ab.html`, or how many runs there are where their strategies are too many."""
    strategies = list(dict.fromkeys(run.config.strategy for run in runs))
    several = len(strategies) > 1 and len(strategies) <= _MOST_NAMED
    told = " ".join(strategies) if several else f"{len(runs)} runs"
    return f"{_safe(f'batchscope {told} {runs[0].id[:6]}')}.{ending}"


def address(page: str, query: dict[str, str]) -> str:
    """The whole address of a page with these parameters, or its part behind the server where that is not known."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    path = f"{f'/{base}' if base else ''}/{quote(page)}?{urlencode(query, safe=',')}"
    here = urlsplit(st.context.url or "")
    return f"{here.scheme}://{here.netloc}{path}" if here.netloc else path


def _popover() -> Any:
    """Closed at first; what is in it is drawn when it is opened."""
    return st.popover("Export and share", icon=":material/ios_share:", key="share", on_change="rerun")


def _button(ending: str, holds: str, runs: RunRecord | Sequence[RunRecord], *, name: str, why_not: str = "") -> None:
    """A button whose file is made when it is clicked, and a line that says what is in it."""
    label, icon, mime = _BUTTONS[ending]
    home = state.store().home
    with st.container(gap="xsmall"):
        st.download_button(
            label,
            lambda: exported(runs, ending, home=home),
            file_name=name or None,
            mime=mime,
            key=f"share-{ending}",
            icon=icon,
            on_click="ignore",
            width="stretch",
            disabled=bool(why_not),
        )
        st.caption(format.literal(format.sentence_case(why_not or holds)))


def _address(page: str, query: dict[str, str]) -> None:
    st.markdown("**The address of this view**")
    st.code(address(page, query), language=None, wrap_lines=True)
    st.caption("It works for whoever reaches this server.")


def _safe(text: str) -> str:
    return _NOT_IN_A_NAME.sub("-", text).strip("-.")
