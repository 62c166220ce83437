"""Every run of this home folder: found, compared, named, run again, carried to other machines, deleted and restored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from inference.history import Wanted
from inference.preflight import check
from inference.store import RunSummary
from pages.ui import carrying, finding, library, run_table, settings, state
from pages.ui.format import count, literal

MOST_COMPARED = 12
RUNS, BIN = "Runs", "Bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What the last action did, shown until the next one."""

    text: str
    refused: bool = False
    deleted: tuple[str, ...] = ()
    """Runs that can be had back."""
    queued: tuple[str, ...] = ()
    """Runs that can be watched."""


def main() -> None:
    """Draw the page."""
    state.require_app()
    history = state.history()
    binned = history.binned()
    everything = history.count(Wanted())
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="kept"):
        title = st.container()
        view = st.segmented_control(
            "Show",
            (RUNS, BIN),
            default=RUNS,
            required=True,
            key="view",
            label_visibility="collapsed",
            bind="query-params",
            on_change=_say_nothing,
        )
        carrying.import_popover(_say)
    _notice()
    if view == BIN:
        title.title(f"{count(len(binned), 'run')} in the bin" if binned else "Nothing in the bin", anchor=False)
        _draw_bin(binned)
    elif everything == 0:
        title.title("No runs so far", anchor=False)
        st.caption("A run that was launched is kept here with everything that was measured.")
        st.page_link("pages/overview.py", label="Start with the comparison on the Overview page")
    else:
        wanted = finding.draw(history.facets())
        found = everything if wanted == Wanted(sort=wanted.sort, ascending=wanted.ascending) else history.count(wanted)
        title.title(_title(found, everything), anchor=False)
        _draw_runs(wanted, found)


def _title(found: int, everything: int) -> str:
    return f"{found:,} of {count(everything, 'run')}" if found < everything else f"{count(everything, 'run')} so far"


# -- the runs ------------------------------------------------------------------------------------------------------


def _draw_runs(wanted: Wanted, found: int) -> None:
    if found == 0:
        st.markdown("No run is like that.")
        st.button("Show all runs", icon=":material/filter_alt_off:", on_click=finding.clear)
        return
    page = finding.page(found)
    runs = state.history().find(wanted, limit=finding.PER_PAGE, offset=(page - 1) * finding.PER_PAGE)
    actions = st.container(horizontal=True, gap="small", key="actions")
    selected = run_table.select(runs, "runs")
    with actions:
        _look_at(selected)
        _say_of(selected)
        carrying.export_button(selected)
        _delete_button(selected)


def _look_at(selected: Sequence[RunSummary]) -> None:
    one = len(selected) == 1
    need_one = None if one else "Select one run."
    if st.button("Open", icon=":material/open_in_full:", disabled=not one, help=need_one):
        settings.open_run_page(selected[0].config, run_id=selected[0].id)
    comparable = 2 <= len(selected) <= MOST_COMPARED
    if st.button(
        f"Compare {len(selected)} runs" if comparable else "Compare",
        icon=":material/balance:",
        disabled=not comparable,
        help=None if comparable else f"Select 2 to {MOST_COMPARED} runs.",
        key="compare",
    ):
        # Oldest first: the first run is the baseline of a comparison.
        ids = [run.id for run in sorted(selected, key=lambda run: (run.created_at, run.seq))]
        st.switch_page("pages/compare.py", query_params={"runs": ",".join(ids)})
    token = state.request_key("again")
    unfit = [run for run in selected if not check(run.config, state.hardware()).fits]
    why_not = "Select one or more runs." if not selected else "This machine has no room for these settings."
    ready = bool(selected) and not unfit
    st.button(
        "Run again",
        icon=":material/replay:",
        key=f"again-{token}",
        disabled=not ready,
        help="Queue the same settings now." if ready else why_not,
        on_click=_run_again,
        args=(selected, token),
    )
    if st.button("Open settings", icon=":material/tune:", disabled=not one, help=need_one or "Change them, then run."):
        settings.open_run_page(selected[0].config)


def _say_of(selected: Sequence[RunSummary]) -> None:
    need_some = None if selected else "Select one or more runs."
    favourites = bool(selected) and all(run.favourite for run in selected)
    st.button(
        library.favourite_label(favourites),
        icon=":material/star:",
        key="favour",
        disabled=not selected,
        help=need_some,
        on_click=_favour,
        args=([run.id for run in selected], not favourites),
    )
    several = len(selected) > 1
    st.button(
        "Tag…" if several else "Name, note, tags…",
        icon=":material/sell:" if several else ":material/edit:",
        key="describe",
        disabled=not selected,
        help=need_some,
        on_click=_describe,
        args=([run.id for run in selected],),
    )
    library.draw_open()


def _delete_button(selected: Sequence[RunSummary]) -> None:
    ended = [run.id for run in selected if not run.active]
    reason = None
    if not ended:
        reason = "Runs that are still active are not deleted: cancel them first." if selected else "Select some runs."
    st.button(
        f"Delete {count(len(ended), 'run')}" if ended else "Delete",
        icon=":material/delete:",
        key="delete",
        disabled=not ended,
        help=reason or "They stay in the bin for a day.",
        on_click=_delete,
        args=(ended, len(selected) - len(ended)),
    )


# -- the bin -------------------------------------------------------------------------------------------------------


def _draw_bin(binned: Sequence[RunSummary]) -> None:
    st.caption("What was deleted in the last day, the latest first. After a day a run is removed for good.")
    if not binned:
        return
    actions = st.container(horizontal=True, gap="small", key="bin-actions")
    selected = run_table.select(binned, "bin")
    with actions:
        chosen = [run.id for run in selected or binned]
        st.button(
            f"Restore {count(len(chosen), 'run')}" if selected else "Restore all",
            icon=":material/restore_from_trash:",
            key="restore",
            on_click=_restore,
            args=(chosen,),
        )


# -- what actions do: callbacks, which run before the page is drawn ------------------------------------------------


def _run_again(runs: Sequence[RunSummary], token: str) -> None:
    ids = state.store().enqueue([run.config for run in runs], request_key=token)
    state.renew_request_key("again")
    _note(Notice(text=f"Queued {count(len(ids), 'run')}.", queued=tuple(ids)))
    st.toast(f"Queued {count(len(ids), 'run')}.", icon=":material/schedule:")


def _favour(run_ids: Sequence[str], favourite: bool) -> None:
    library.favour(run_ids, favourite)
    _say_nothing()


def _describe(run_ids: Sequence[str]) -> None:
    library.open_(run_ids)
    _say_nothing()


def _delete(run_ids: Sequence[str], active: int) -> None:
    deleted = state.history().delete(run_ids)
    stayed = ""
    if active:
        stayed = f" {count(active, 'run')} {'is' if active == 1 else 'are'} still active and stayed: cancel first."
    _note(Notice(text=f"Deleted {count(len(deleted), 'run')}.{stayed}", deleted=tuple(deleted)))


def _restore(run_ids: Sequence[str]) -> None:
    state.history().restore(run_ids)
    _note(Notice(text=f"Restored {count(len(run_ids), 'run')}."))


def _say(text: str, refused: bool) -> None:
    _note(Notice(text=text, refused=refused))


def _say_nothing() -> None:
    _note(None)


def _note(notice: Notice | None) -> None:
    state.remember("history_notice", notice)


def _notice() -> None:
    notice: Notice | None = state.remembered("history_notice")
    if notice is None:
        return
    if notice.refused:
        st.error(literal(notice.text), icon=":material/error:")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", border=True, key="notice"):
        st.markdown(literal(notice.text), width="content")
        if notice.deleted:
            st.button("Undo", icon=":material/undo:", key="undo", on_click=_restore, args=(notice.deleted,))
        if notice.queued:
            st.page_link(
                "pages/run.py",
                label="Watch",
                icon=":material/monitoring:",
                query_params={"run": ",".join(notice.queued)},
            )


main()
