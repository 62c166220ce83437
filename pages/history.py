"""Every run of this home folder, newest first: open one, compare several, run it again, delete it."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import Any

import streamlit as st

from inference.store import RunSummary
from pages.ui import settings, state
from pages.ui.format import count
from pages.ui.words import option_words

PER_PAGE = 50


def main() -> None:
    """Draw the page."""
    state.require_app()
    total = state.store().count()
    st.title(f"{count(total, 'run')} so far" if total else "No runs so far", anchor=False)
    if total == 0:
        st.caption("A run that was launched is kept here with everything that was measured.")
        st.page_link("pages/overview.py", label="Start with the comparison on the Overview page")
        return
    page = _page(total)
    runs = state.store().summaries(limit=PER_PAGE, offset=(page - 1) * PER_PAGE)
    actions = st.container(horizontal=True, gap="small", key="actions")
    selected = _table(runs, total)
    with actions:
        _actions(selected)


def _page(total: int) -> int:
    pages = math.ceil(total / PER_PAGE)
    if pages == 1:
        return 1
    return int(st.pagination(pages, key="page", bind="query-params"))


def _table(runs: Sequence[RunSummary], total: int) -> list[RunSummary]:
    """Draw the runs and return those that are selected."""
    chosen = st.dataframe(
        [_row(run) for run in runs],
        hide_index=True,
        column_config=_columns(),
        placeholder="–",
        height=min(38 + 35 * len(runs), 720),
        # A selection is by position, so it must not outlive the rows it was made on.
        key=f"runs-{runs[0].id if runs else ''}-{total}",
        on_select="rerun",
        selection_mode="multi-row",
        alt="Runs, newest first, with their settings and what they measured.",
    )
    return [runs[position] for position in chosen.selection.rows if position < len(runs)]


def _row(run: RunSummary) -> dict[str, Any]:
    config, figures = run.config, run.metrics
    accuracy = figures.accuracy if figures else None
    return {
        "when": datetime.datetime.fromtimestamp(run.created_at).astimezone(),
        "state": run.state,
        "strategy": config.strategy,
        "model": config.model,
        "dataset": config.dataset,
        "images": config.limit,
        "batch_size": config.batch_size,
        "concurrency": config.concurrency,
        "options": " · ".join(option_words(config)) or None,
        "images_per_s": figures.images_per_s if figures else None,
        "steady": figures.steady_images_per_s if figures else None,
        "setup_s": figures.setup_s if figures else None,
        "loads": figures.model_loads if figures else None,
        "accuracy": None if accuracy is None else 100 * accuracy,
    }


def _columns() -> dict[str, Any]:
    column = st.column_config
    return {
        "when": column.DatetimeColumn("When", format="D MMM YYYY, HH:mm", help="When the run was queued."),
        "state": column.TextColumn("State", help="Of a run that did not finish, figures are partial."),
        "strategy": column.TextColumn("Strategy"),
        "model": column.TextColumn("Model", width="small"),
        "dataset": column.TextColumn("Data set", width="small"),
        "images": column.NumberColumn("Images", format="localized"),
        "batch_size": column.NumberColumn("Batch", help="Batch size: images that a worker gets in one call."),
        "concurrency": column.NumberColumn("Workers", help="Concurrency: workers that run the model."),
        "options": column.TextColumn(
            "Options", width="small", help="Precision, backend and the like, where not plain."
        ),
        "images_per_s": column.NumberColumn("images/s", format="%.3g", help="End to end."),
        "steady": column.NumberColumn(
            "Steady", format="%.3g", help="Images/s with every worker ready and its first batch left out."
        ),
        "setup_s": column.NumberColumn("Set-up s", format="%.1f", help="Seconds until the first image was worked on."),
        "loads": column.NumberColumn("Loads", help="How often the model was loaded."),
        "accuracy": column.NumberColumn("Right", format="%.0f %%", help="Share of right labels, where they are known."),
    }


def _actions(selected: Sequence[RunSummary]) -> None:
    """Buttons for what can be done with the selected runs; each says why it cannot be pressed."""
    one, several = len(selected) == 1, len(selected) > 1
    need_one = "Select one run." if not one else None
    if st.button("Open", icon=":material/open_in_full:", disabled=not one, help=need_one):
        settings.open_run_page(selected[0].config, run_id=selected[0].id)
    if st.button(
        f"Compare {len(selected)} runs" if several else "Compare",
        icon=":material/balance:",
        disabled=not several,
        help=None if several else "Select two or more runs.",
    ):
        # Oldest first: the first run is the baseline of a comparison.
        ids = [run.id for run in sorted(selected, key=lambda run: run.seq)]
        st.switch_page("pages/compare.py", query_params={"runs": ",".join(ids)})
    if st.button("Run again with these settings", icon=":material/replay:", disabled=not one, help=need_one):
        settings.open_run_page(selected[0].config)
    if st.button(
        f"Delete {count(len(selected), 'run')}…" if selected else "Delete…",
        icon=":material/delete:",
        disabled=not selected,
        help=None if selected else "Select one or more runs.",
    ):
        _ask_to_delete(selected)


@st.dialog("Delete runs", icon=":material/delete:")
def _ask_to_delete(selected: Sequence[RunSummary]) -> None:
    ended = [run.id for run in selected if not run.active]
    active = len(selected) - len(ended)
    if active:
        st.warning(
            f"{count(active, 'run')} of these {'is' if active == 1 else 'are'} still active and "
            "will not be deleted: cancel first.",
            icon=":material/info:",
        )
    if not ended:
        return
    st.markdown(f"Delete {count(len(ended), 'run')} with all that was measured and answered? This cannot be undone.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Keep"):
            st.rerun()
        if st.button(
            f"Delete {count(len(ended), 'run')}",
            type="primary",
            key="confirm-delete",
            on_click=_delete,
            args=(ended,),
        ):
            st.rerun()  # closes the dialog


def _delete(run_ids: Sequence[str]) -> None:
    state.history().delete(run_ids)


main()
