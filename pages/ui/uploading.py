"""Take images in from the browser, and show what came in before: choose it again, or remove it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from inference import uploads
from inference.errors import BatchscopeError
from inference.history import Wanted
from inference.images import EXTENSIONS
from inference.listing import DIGITS
from inference.uploads import Kept
from pages.ui import dialogs, state
from pages.ui.format import bytes_, count, literal, moment

MOST_SHOWN = 50
OPEN = "upload"
"""The dialog's name."""
_NOTHING_YET = "Choose images or a zip archive first."
_LIST_PIXELS = 260


def button() -> None:
    """A button that opens the dialog, and word of what was uploaded there."""
    told = state.remembered("upload told")
    if told:
        st.toast(literal(told), icon=":material/upload:")
        state.remember("upload told", None)
    st.button("Upload images", key="open-upload", type="tertiary", icon=":material/upload:", on_click=_open)
    if dialogs.is_open(OPEN):
        _dialog()


def _open() -> None:
    state.remember("upload problem", None)
    dialogs.open_(OPEN)


def _dismiss() -> None:
    _forget()
    dialogs.close()


def _forget() -> None:
    """Let go of what the browser has sent, which Streamlit holds in memory until the session ends (1.67)."""
    context = get_script_run_ctx()
    if context is not None and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        for file in _files():
            context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)
    state.remember("upload number", _number() + 1)  # the next uploader is another one, and empty


@st.dialog("Upload images", icon=":material/upload:", on_dismiss=_dismiss)
def _dialog() -> None:
    if not dialogs.is_open(OPEN):
        st.rerun()  # images are chosen
    st.caption(f"Images, or zip archives in which folders are labels: {uploads.LIMITS}.")
    st.file_uploader(
        "Files",
        type=[*(ending.removeprefix(".") for ending in EXTENSIONS), "zip"],
        accept_multiple_files=True,
        key=_key(),
        on_change=_check_size,
        max_upload_size=min(uploads.MAX_FILE_BYTES // 1024**2, int(st.get_option("server.maxUploadSize"))),
    )
    problem = state.remembered("upload problem")
    if problem:
        st.error(literal(problem), icon=":material/error:")
    # A file that is still on its way is shown above, and has not come: what is pressed then would not be kept.
    waiting = None if _files() else _NOTHING_YET
    st.button("Use these images", key="use", type="primary", on_click=_keep, disabled=bool(waiting), help=waiting)
    _draw_kept(uploads.kept_uploads(state.store().home))


def _check_size() -> None:
    """Hold no more in memory than may be kept; a callback, because it empties the uploader."""
    files = _files()
    if len(files) > uploads.MAX_IMAGES or sum(file.size for file in files) > uploads.MAX_TOTAL_BYTES:
        state.remember("upload problem", f"That is too much at once: an upload may hold {uploads.LIMITS}.")
        _forget()
    else:
        state.remember("upload problem", None)


def _keep() -> None:
    """Keep what was uploaded and choose it; a callback, because it sets a widget."""
    files = _files()
    state.remember("upload problem", None if files else _NOTHING_YET)
    if not files:
        return
    try:
        kept = uploads.keep(state.store().home, [(file.name, file) for file in files])
    except BatchscopeError as error:
        state.remember("upload problem", str(error))
        return
    _forget()
    without = f" {count(len(kept.skipped), 'file')} that are no images were left out." if kept.skipped else ""
    _choose(kept.dataset, f"{count(kept.images, 'image')} uploaded and chosen.{without}")


def _choose(dataset: str, told: str) -> None:
    state.assign({"dataset": dataset})
    state.remember("upload told", told)
    dialogs.close()


def _files() -> Sequence[UploadedFile]:
    return state.value(_key()) or ()


def _key() -> str:
    return f"uploaded-{_number()}"


def _number() -> int:
    return state.remembered("upload number") or 0


# -- what came in before -----------------------------------------------------------------------------------------------


def _draw_kept(kept: Sequence[Kept]) -> None:
    if not kept:
        return
    room = bytes_(sum(one.size_bytes for one in kept))
    st.markdown(f"**Uploaded before**: {count(len(kept), 'upload')}, {literal(room)}")
    in_use = {run.config.dataset for run in state.store().active()}
    shown = kept[:MOST_SHOWN]
    with st.container(height=_LIST_PIXELS if len(shown) > 3 else "content", border=False, gap="xsmall"):
        for one in shown:
            _draw_one(one, in_use=one.dataset in in_use)
    if len(kept) > len(shown):
        st.caption(f"{len(kept) - len(shown):,} more came before these.")


def _draw_one(one: Kept, *, in_use: bool) -> None:
    runs = state.history().count(Wanted(datasets=(one.dataset,)))
    facts = (
        count(one.images, "image"),
        bytes_(one.size_bytes),
        f"used by {count(runs, 'run')}" if runs else "not used",
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"upload-{one.name}"):
        st.markdown(f"{moment(one.at)}  \n:gray[{literal(' · '.join(facts))}]", width="stretch")
        told = f"{count(one.images, 'image')} chosen."
        st.button("Choose", key=f"choose-{one.name}", on_click=_choose, args=(one.dataset, told))
        why_not = "A run that waits or goes on uses it." if in_use else None
        with st.popover("Remove", icon=":material/delete:", disabled=in_use, help=why_not, key=f"ask-{one.name}"):
            keep = f" The {count(runs, 'run')} that used them keep their results, without pictures." if runs else ""
            st.markdown(f"Remove {count(one.images, 'image')} from this machine for good?{keep}")
            st.button("Remove for good", key=f"remove-{one.name}", on_click=_remove, args=(one,))


def _remove(one: Kept) -> None:
    """Remove an upload, and choose another data set where it was chosen; a callback, because it may set a widget."""
    try:
        uploads.remove(state.store().home, one.name)
    except BatchscopeError as error:
        state.remember("upload problem", str(error))
        return
    if state.value("dataset") == one.dataset:
        state.assign({"dataset": DIGITS})
