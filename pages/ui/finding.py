"""Which runs the History page shows, and in what order: chosen with widgets, and kept in the page's address."""

from __future__ import annotations

import math

import streamlit as st

from inference.history import Facets, Wanted
from inference.setting_words import dataset_words
from pages.ui import state
from pages.ui.format import plain

PER_PAGE = 50
SORTS = {
    "when": "created_at",
    "images/s": "images_per_s",
    "steady images/s": "steady_images_per_s",
    "set-up": "setup_s",
    "total time": "total_s",
    "model loads": "model_loads",
    "right answers": "accuracy",
    "peak memory": "peak_worker_memory_bytes",
    "CPU seconds": "cpu_s",
    "batch size": "batch_size",
    "concurrency": "concurrency",
    "images": "limit",
}
"""What runs can be sorted by, as the page and its address call it."""
ORDERS = ("descending", "ascending")
FILTERS = {
    "strategies": "Strategy",
    "models": "Model",
    "datasets": "Data set",
    "states": "State",
    "tags": "Any of these tags",
}
"""Fields of `Wanted` and `Facets`, keys of the widgets and parameters of the address, with their labels."""


def draw(facets: Facets) -> Wanted:
    """Draw the controls and return what they ask for."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="finding"):
        words = st.text_input(
            "Find",
            key="find",
            type="search",
            live=True,
            max_chars=200,
            icon=":material/search:",
            placeholder="Name, note, tag, model, id…",
            help="Runs in which each of these words occurs: in the name, the note, a tag, the model, the data set, "
            "the strategy or the id.",
            width=290,
            on_change=_first_page,
            bind="query-params",
        )
        chosen, favourites = _filters(facets)
        sort = st.selectbox("Sort by", list(SORTS), key="sort", width=165, on_change=_first_page, bind="query-params")
        order = st.segmented_control(
            "Order",
            ORDERS,
            default=ORDERS[0],
            required=True,
            key="order",
            label_visibility="collapsed",
            on_change=_first_page,
            bind="query-params",
        )
    return Wanted(
        words=words or "",
        favourites=favourites,
        sort=SORTS.get(sort or "", "created_at"),
        ascending=order == "ascending",
        **chosen,
    )


def page(total: int) -> int:
    """Draw the choice of a page, if there is one, and return the number of the page that is shown."""
    pages = math.ceil(total / PER_PAGE)
    if pages <= 1:
        return 1
    return int(st.pagination(pages, key="page", bind="query-params"))


def clear() -> None:
    """Ask for every run again; a callback of a button."""
    state.assign({"find": "", "favourites": False, "page": 1} | {name: [] for name in FILTERS})


def _filters(facets: Facets) -> tuple[dict[str, tuple[str, ...]], bool]:
    active = sum(map(_is_asked, (*FILTERS, "favourites")))
    with st.popover(f"Filter: {active}" if active else "Filter", icon=":material/filter_alt:", key="filter"):
        chosen = {name: _filter(name, label, getattr(facets, name)) for name, label in FILTERS.items()}
        favourites = st.toggle("Favourites only", key="favourites", on_change=_first_page, bind="query-params")
    return chosen, favourites


def _is_asked(name: str) -> bool:
    """Whether a filter asks for anything: its widget, or the address before there is one."""
    held = state.value(name)
    return bool(st.query_params.get_all(name) if held is None else held)


def _filter(name: str, label: str, values: tuple[str, ...]) -> tuple[str, ...]:
    # A link may ask for what no run has any more: it then finds no runs, rather than all.
    asked = [value for value in st.query_params.get_all(name) if value and value not in map(_shown, values)]
    return tuple(
        st.multiselect(
            label,
            [*values, *asked],
            key=name,
            format_func=_shown,
            placeholder="Any",
            on_change=_first_page,
            bind="query-params",
        )
    )


def _shown(value: str) -> str:
    return plain(dataset_words(value, in_full=True))


def _first_page() -> None:
    state.assign({"page": 1})
