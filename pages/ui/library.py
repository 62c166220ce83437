"""What a person says of runs: names, notes, tags and favourites, shown and changed in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from inference.errors import InvalidConfig
from inference.history import MAX_NAME_LENGTH, MAX_NOTE_LENGTH, MAX_TAGS
from inference.store import RunSummary
from pages.ui import dialogs, state
from pages.ui.format import count, in_badge, literal, plain, sentence_case, shortened

OPEN = "describe"
"""The dialog's name."""


def describe(run: RunSummary) -> None:
    """One line with the name and tags of a run, its star, and the button that opens the rest for editing."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"said-{run.id}"):
        if run.name:
            st.markdown(f"**{literal(shortened(run.name, 80))}**", width="content", help=literal(run.name))
        for tag in run.tags:
            st.badge(in_badge(shortened(tag, 30)), icon=":material/sell:", color="gray")
        st.button(
            favourite_label(run.favourite),
            key=f"star-{run.id}",
            icon=":material/star:",
            on_click=favour,
            args=([run.id], not run.favourite),
        )
        st.button(
            "Name, note, tags…", key=f"describe-{run.id}", icon=":material/edit:", on_click=open_, args=([run.id],)
        )
    draw_open()
    if run.note:
        st.text("\n".join(map(plain, run.note.splitlines())))  # `st.text` keeps lines, and interprets nothing


def open_(run_ids: Sequence[str]) -> None:
    """Open the dialog in which one run is described, or several are tagged; a callback of a button."""
    state.remember("library_refused", None)
    dialogs.open_(OPEN, tuple(run_ids))


def draw_open() -> None:
    """Draw the dialog if it is open and its runs are still there."""
    found = [state.store().summary(run_id) for run_id in dialogs.about(OPEN) or ()]
    runs = [run for run in found if run is not None]
    if len(runs) > 1:
        _tag(runs)
    elif runs:
        _edit(runs[0])
    elif dialogs.is_open(OPEN):
        dialogs.close()  # they were deleted


@st.dialog("Name, note and tags", icon=":material/edit:", on_dismiss=dialogs.close)
def _edit(run: RunSummary) -> None:
    """Let the name, the note, the tags and the star of one run be changed."""
    keys = {name: f"{name}-of-{run.id}" for name in ("name", "note", "tags", "star")}
    st.text_input(
        "Name",
        run.name or "",
        max_chars=MAX_NAME_LENGTH,
        key=keys["name"],
        placeholder="Such as: before the driver update",
    )
    st.text_area("Note", run.note, max_chars=MAX_NOTE_LENGTH, key=keys["note"], help="Plain text.")
    _tags_input("Tags", _known_tags(run.tags), keys["tags"], default=run.tags)
    st.toggle("Favourite", run.favourite, key=keys["star"])
    _save_button(run.id, _save, run.id, keys)


@st.dialog("Tag runs", icon=":material/sell:", on_dismiss=dialogs.close)
def _tag(runs: Sequence[RunSummary]) -> None:
    """Let several runs be given tags, and tags be taken from them."""
    used = list(dict.fromkeys(tag for run in runs for tag in run.tags))
    _tags_input(f"Give to {count(len(runs), 'run')}", _known_tags(()), "tags-added")
    st.multiselect("Take away", used, key="tags-removed", format_func=plain, disabled=not used, placeholder="None")
    _save_button("tags", _retag, [run.id for run in runs])


def favourite_label(favourite: bool) -> str:
    """What the button says that makes runs favourites, or no longer."""
    return "Unmark favourite" if favourite else "Favourite"


def favour(run_ids: Sequence[str], favourite: bool) -> None:
    """Make runs favourites, or no longer; a callback of a button."""
    state.history().favour(run_ids, favourite)


def _known_tags(first: Sequence[str]) -> list[str]:
    return list(dict.fromkeys((*first, *state.history().facets().tags)))


def _tags_input(label: str, options: Sequence[str], key: str, default: Sequence[str] = ()) -> None:
    st.multiselect(
        label,
        options,
        default=list(default),
        key=key,
        format_func=plain,
        accept_new_options=True,
        max_selections=MAX_TAGS,
        placeholder="Choose tags, or type a new one",
    )


def _save_button(name: str, save: Callable[..., None], *args: object) -> None:
    """Close the dialog when what was entered could be kept, else say why it could not."""
    st.button("Save", type="primary", key=f"save-{name}", on_click=save, args=args)
    if not dialogs.is_open(OPEN):
        st.rerun()
    refused = state.remembered("library_refused")
    if refused is not None:
        st.error(literal(refused), icon=":material/error:")


def _save(run_id: str, keys: dict[str, str]) -> None:
    held = {name: state.value(key) for name, key in keys.items()}
    _keep(
        lambda: state.history().describe(
            run_id, name=held["name"] or "", note=held["note"] or "", tags=held["tags"] or (), favourite=held["star"]
        )
    )


def _retag(run_ids: Sequence[str]) -> None:
    add, remove = state.value("tags-added") or (), state.value("tags-removed") or ()
    _keep(lambda: state.history().retag(run_ids, add=add, remove=remove))


def _keep(change: Callable[[], None]) -> None:
    try:
        change()
    except InvalidConfig as error:
        state.remember("library_refused", f"{sentence_case(str(error))}.")
    else:
        dialogs.close()
