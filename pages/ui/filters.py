"""Which run's answers are looked at, and which of them: widgets, and the address that brings them back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from inference.accuracy import Cell
from inference.selection import AnswerFilter
from inference.store import RunSummary, Store
from pages.ui import format, state, widgets

NEWEST = 300
"""Runs that are offered; an address can ask for any."""
PAGE = "gallery_page"
NO_RUN = ""

ORDER_WORDS = {
    "order of arrival": "arrival",
    "highest score first": "score_falling",
    "lowest score first": "score_rising",
    "file name": "name",
    "label": "label",
}
OUTCOME_WORDS = {"right": "right", "wrong": "wrong", "truth unknown": "unknown", "no answer": "unanswered"}
EVERYTHING = {
    "outcome": [],
    "label": [],
    "truth": [],
    "name": "",
    "score": (0.0, 1.0),
    "sort": "order of arrival",
}
"""The widgets' keys, which are parameters of the address, with what they hold where nothing is asked."""


def query(
    run_id: str,
    *,
    labels: Iterable[str] = (),
    truths: Iterable[str] = (),
    outcomes: Iterable[str] = (),
    differs_from: str | None = None,
) -> list[tuple[str, str]]:
    """The address of the Predictions page for these answers; `outcomes` are keys of `OUTCOME_WORDS`."""
    found = [("run", run_id)]
    found += [("label", format.plain(label)) for label in labels]
    found += [("truth", format.plain(truth)) for truth in truths]
    found += [("outcome", outcome) for outcome in outcomes]
    return found + ([("other", differs_from)] if differs_from else [])


def choose_run(store: Store) -> RunSummary | None:
    """The run that the address asks for, or that is chosen; None if no run has answers."""
    runs = {run.id: run for run in store.summaries(limit=NEWEST) if _has_answers(run)}
    asked = st.query_params.get("run")
    if asked is not None and asked not in runs:
        found = store.summary(asked)
        if found is None:
            named = format.literal(format.shortened(asked))
            st.warning(f"There is no run {named}: it was deleted, or the address is wrong.", icon=":material/link_off:")
        else:
            runs = {asked: found} | runs
    if not runs:
        return None
    chosen = _pick("Run", runs, asked, parameter="run")
    return runs[chosen]


def choose_answers(store: Store, run: RunSummary, cells: Sequence[Cell]) -> AnswerFilter:
    """The filter that the widgets hold; `cells` are all answers of the run, counted."""
    known = any(cell.truth is not None for cell in cells)
    bound: dict[str, Any] = {"bind": "query-params", "on_change": _first_page}
    outcomes = st.pills("Answer", list(OUTCOME_WORDS), selection_mode="multi", key="outcome", **bound)
    with st.grid(3, min_column_width=220, gap="small"):
        labels = _among("Label", "label", (cell.label for cell in cells), bound)
        truths = _among("True label", "truth", (cell.truth for cell in cells), bound) if known else ()
        score = st.slider("Score", 0.0, 1.0, (0.0, 1.0), 0.01, key="score", **bound)
        name = st.text_input("File name contains", key="name", max_chars=200, **bound)
        other = _choose_other(store, run)
        sort = st.selectbox("Sort by", list(ORDER_WORDS), key="sort", **bound)
    return AnswerFilter(
        labels=tuple(labels),
        truths=tuple(truths),
        outcomes=tuple(OUTCOME_WORDS[outcome] for outcome in outcomes),
        min_score=score[0],
        max_score=score[1],
        name=name or "",
        differs_from=other,
        order=ORDER_WORDS[sort],
    )


def clear() -> None:
    """Show all answers of the run again; to be called from a callback."""
    state.assign(EVERYTHING | {PAGE: 1, "other": NO_RUN})
    st.query_params.pop("other", None)


def narrow(*, labels: Iterable[str] = (), truths: Iterable[str] = (), outcomes: Iterable[str] = ()) -> None:
    """Show these answers of the run and no others, as `query` does; to be called from a callback of its own page.

    A link from a page to itself loses the parameters of widgets (Streamlit 1.67).
    """
    clear()
    plain = {name: [format.plain(text) for text in texts] for name, texts in (("label", labels), ("truth", truths))}
    state.assign(plain | {"outcome": list(outcomes)})


def _among(words: str, key: str, texts: Iterable[str | None], bound: Mapping[str, Any]) -> list[str]:
    """Some of these texts; none for any."""
    offered = {format.plain(text): text for text in sorted({text for text in texts if text is not None})}
    chosen = st.multiselect(words, list(offered), key=key, placeholder="any", wrap=True, **bound)
    return [offered[text] for text in chosen]


def _choose_other(store: Store, run: RunSummary) -> str | None:
    """The run whose answers must differ, among those with the same images."""
    asked = st.query_params.get("other")
    runs = {
        other.id: other
        for other in store.summaries(limit=NEWEST)
        if _has_answers(other) and other.id != run.id and other.config.dataset == run.config.dataset
    }
    if asked is not None and asked not in runs and asked != run.id and (found := store.summary(asked)) is not None:
        runs = {asked: found} | runs
    chosen = _pick("Answered otherwise by", runs, asked, parameter="other", nothing="no other run")
    return chosen or None


def _pick(
    words: str, runs: Mapping[str, RunSummary], asked: str | None, *, parameter: str, nothing: str | None = None
) -> str:
    """One of these runs by id; the address has the id, which is why it is not bound to what a person reads."""
    offered = [*([NO_RUN] if nothing is not None else []), *runs]

    def chosen() -> None:
        run_id = state.value(f"chosen_{parameter}")
        if run_id:
            st.query_params[parameter] = run_id
        else:
            st.query_params.pop(parameter, None)
        if parameter == "run":  # another run has other labels, and other runs to be set against
            clear()
        _first_page()

    key = f"chosen_{parameter}"
    wanted = asked if asked in runs else offered[0]
    if state.value(key) != wanted:
        state.assign({key: wanted})
    return st.selectbox(
        words,
        offered,
        format_func=lambda run_id: run_words(runs[run_id]) if run_id in runs else str(nothing),
        key=key,
        on_change=chosen,
    )


def run_words(run: RunSummary) -> str:
    """A run in one line of plain text, its name in front."""
    label = widgets.run_label(run)
    return f"{format.shortened(run.name, 40)} · {label}" if run.name else label


def _has_answers(run: RunSummary) -> bool:
    if run.active:
        return run.progress is not None and run.progress.images_done > 0
    return run.metrics is not None and run.metrics.images > 0


def _first_page() -> None:
    state.assign({PAGE: 1})
