"""What lies behind the name of a data set, before anything is run on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from inference import listing, survey
from inference.errors import BatchscopeError
from inference.setting_words import dataset_words
from inference.survey import Range, Survey
from inference.thumbnails import thumbnails
from pages.ui import dialogs, state, uploading, widgets
from pages.ui.format import bytes_, count, literal, plain, shortened
from pages.ui.widgets import Card

KEPT_S = 60
"""A folder may change: what was found in it is true for a minute."""
LISTED = 12


def about_dataset(dataset: str) -> None:
    """Buttons that open a data set and take an upload."""
    with st.container(horizontal=True, gap="small"):
        if dialogs.button("Look inside", "look-inside", icon=":material/visibility:"):
            _look_inside(dataset)
        uploading.button()


# -- data sets -------------------------------------------------------------------------------------------------------


@st.dialog("What is in this data set", width="medium", icon=":material/photo_library:", on_dismiss=dialogs.close)
def _look_inside(dataset: str) -> None:
    home = state.store().home
    st.caption(literal(dataset_words(dataset, in_full=True)))
    try:
        with st.spinner("Looking at the images…", show_time=False):
            found = _survey(str(home), listing.absolute(dataset))
    except BatchscopeError as error:
        st.error(literal(error), icon=":material/error:")
        return
    widgets.metric_cards(_survey_cards(found))
    _show_some(home, dataset, found.shown)
    if len(found.formats) > 1:
        st.markdown(f"**{count(len(found.formats), 'format')}** {_counted(found.formats)}")
    if found.labels:
        st.markdown(f"**{count(len(found.labels), 'label')}** {_counted(found.labels)}")
    if found.unreadable:
        st.markdown(f"**{count(len(found.unreadable), 'image')} cannot be read** of the {found.looked_at:,} looked at")
        _list_reasons(found.unreadable)
    if found.looked_at < found.images:
        st.caption(f"Formats, sizes and broken files are those of {found.looked_at:,} images spread over all.")
    if found.skipped:
        named = f", the first {len(found.skipped):,} of them" if found.num_skipped > len(found.skipped) else ""
        st.markdown(f"**{_entries(found.num_skipped)} passed over**, not among the images{named}")
        _list_reasons([(entry.name, entry.reason) for entry in found.skipped])


def _list_reasons(reasons: Sequence[tuple[str, str]]) -> None:
    """Names with their reasons in full: text wraps on the narrowest screen, where the cells of a table do not."""
    with st.container(height=420 if len(reasons) > LISTED else "content", border=len(reasons) > LISTED):
        st.markdown("\n".join(f"- **{literal(name)}** {literal(reason)}" for name, reason in reasons))


def _entries(number: int) -> str:
    return "1 entry is" if number == 1 else f"{number:,} entries are"


def _show_some(home: Path, dataset: str, image_ids: Sequence[str]) -> None:
    grid = st.grid(4, min_column_width=120, gap="small")
    pictures = thumbnails(home, dataset, image_ids, chosen=True)
    for image_id, picture in zip(image_ids, pictures, strict=True):
        if picture is not None:
            with grid.cell():
                st.image(picture, width="stretch", alt=plain(image_id), caption=literal(shortened(image_id, 24)))


@st.cache_data(ttl=KEPT_S, max_entries=16, show_spinner=False)
def _survey(home: str, dataset: str) -> Survey:
    return survey.survey(dataset, Path(home))


def _survey_cards(found: Survey) -> list[Card]:
    passed_over = f"{found.num_skipped:,} passed over" if found.num_skipped else ""
    return [
        Card(label="Images", value=f"{found.images:,}", help="Files with an image's ending, or rows of a list."),
        Card(label="Size", value=bytes_(found.size_bytes), help="Of all files together."),
        Card(
            label="Formats",
            value=_counted(found.formats) if len(found.formats) == 1 else f"{len(found.formats):,}",
            help="As the files' content tells, whatever their names.",
        ),
        Card(label="Width", value=_range_text(found.widths), help="Pixels: smallest, middle and largest."),
        Card(label="Height", value=_range_text(found.heights), help="Pixels: smallest, middle and largest."),
        Card(
            label="Not readable",
            value=f"{len(found.unreadable):,} of {found.looked_at:,}",
            help="Of the images that were decoded to look at them. What is passed over is not among the images.",
            note=passed_over,
        ),
    ]


def _range_text(found: Range | None) -> str:
    return "–" if found is None else f"{found.least:,} · {found.median:,} · {found.most:,}"


def _counted(counts: Mapping[str, int]) -> str:
    """`JPEG 12, PNG 3`, the first few of them."""
    told = [f"{literal(shortened(name, 30))} {number:,}" for name, number in list(counts.items())[:LISTED]]
    more = len(counts) - len(told)
    return ", ".join(told) + (f" and {more:,} more" if more > 0 else "")
