"""Runs as files between machines: the button that writes one, and the place where one is taken in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from inference import bundle
from inference.errors import BatchscopeError
from inference.store import RunSummary
from pages.ui import state
from pages.ui.format import bytes_, count, shortened

WHAT_IT_HOLDS = (
    f"One .{bundle.ENDING} file with everything that is kept of the runs: settings, hardware, measurements, answers, "
    "name, note and tags. The images are not in it."
)


def export_button(runs: Sequence[RunSummary]) -> None:
    """Download the selected runs as one file, made when the button is pressed; it says why it cannot be."""
    reason = _why_not(runs)
    ids = [run.id for run in runs]
    store = state.store()
    st.download_button(
        "Export",
        data=(lambda: bundle.packed(store, ids)) if reason is None else b"",
        file_name=f"{f'run-{ids[0]}' if len(ids) == 1 else f'{len(ids)}-runs'}.{bundle.ENDING}",
        mime="application/zip",
        icon=":material/download:",
        disabled=reason is not None,
        help=reason or WHAT_IT_HOLDS,
        on_click="ignore",
        key="export",
    )


def import_popover(said: Callable[[str, bool], None]) -> None:
    """Take in a file of runs; `said` gets the sentence of what became of it, and whether it was refused."""
    token = state.request_key("import")
    with st.popover("Import", icon=":material/upload:", key="import"):
        st.file_uploader(
            f"A .{bundle.ENDING} file from another machine",
            type=bundle.ENDING,
            key=f"import-{token}",
            max_upload_size=bundle.MAX_FILE_BYTES // 1024**2,
            on_change=_take_in,
            args=(f"import-{token}", said),
        )
        st.caption(
            f"Up to {bytes_(bundle.MAX_FILE_BYTES)}, {bytes_(bundle.MAX_UNPACKED_BYTES)} unpacked and "
            f"{count(bundle.MAX_RUNS, 'run')}. Runs keep their ids and their hardware; images are not in the file. "
            "All runs of a file are taken, or none."
        )


def imported_sentence(found: bundle.Imported) -> str:
    """What became of the runs of a file."""
    sentences = [f"Imported {count(len(found.added), 'run')}."] if found.added else ["Nothing was imported."]
    if found.here:
        sentences.append(f"{_were(found.here)} here already and stayed as {_it(found.here)}.")
    if found.binned:
        sentences.append(f"{_were(found.binned)} deleted here: the bin still has {_them(found.binned)}.")
    return " ".join(sentences)


def _take_in(key: str, said: Callable[[str, bool], None]) -> None:
    file = state.value(key)
    if file is None:
        return
    try:
        said(imported_sentence(bundle.read_in(state.store(), file.getvalue())), False)
    except BatchscopeError as error:
        said(f"{shortened(file.name)} was not imported. {error}", True)
    state.renew_request_key("import")  # an empty place for the next file


def _why_not(runs: Sequence[RunSummary]) -> str | None:
    if not runs:
        return "Select one or more runs."
    if any(run.active for run in runs):
        return "Runs that have not ended cannot be exported: wait for their end, or cancel them."
    if sum(run.metrics.images for run in runs if run.metrics) > bundle.MAX_ANSWERS:
        return f"A file holds {bundle.MAX_ANSWERS:,} answers: select fewer runs, or runs with fewer images."
    return None


def _were(run_ids: Sequence[str]) -> str:
    return f"{count(len(run_ids), 'run')} {'was' if len(run_ids) == 1 else 'were'}"


def _it(run_ids: Sequence[str]) -> str:
    return "it is" if len(run_ids) == 1 else "they are"


def _them(run_ids: Sequence[str]) -> str:
    return "it" if len(run_ids) == 1 else "them"
