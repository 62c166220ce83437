"""What lies behind a name, before anything is run on it: look inside a data set, read a model's card, upload images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from inference import checkpoints, listing, model_card, survey, uploads
from inference.errors import BatchscopeError
from inference.images import EXTENSIONS
from inference.model_card import ModelCard
from inference.survey import Range, Survey
from inference.thumbnails import thumbnails
from pages.ui import state, widgets
from pages.ui.format import bytes_, count, literal, plain, shortened
from pages.ui.widgets import Card

KEPT_S = 60
"""A folder may change: what was found in it is true for a minute."""
LISTED = 12
UPLOAD_KEY = "uploaded"


def about_dataset(dataset: str) -> None:
    """Buttons that open a data set and take an upload."""
    kept = state.remembered("upload kept")
    if kept:
        st.toast(literal(kept), icon=":material/upload:")
        state.remember("upload kept", None)
    with st.container(horizontal=True, gap="small"):
        if st.button("Look inside", key="look-inside", type="tertiary", icon=":material/visibility:"):
            _look_inside(dataset)
        if st.button("Upload images", key="open-upload", type="tertiary", icon=":material/upload:"):
            _upload()


def about_model(model: str) -> None:
    """A button that opens a model's card."""
    if st.button("About this model", key="about-model", type="tertiary", icon=":material/info:"):
        _show_card(model)


# -- data sets -------------------------------------------------------------------------------------------------------


@st.dialog("What is in this data set", width="medium", icon=":material/photo_library:")
def _look_inside(dataset: str) -> None:
    home = state.store().home
    st.caption(literal(dataset))
    try:
        with st.spinner("Looking at the images…", show_time=False):
            found = _survey(str(home), listing.absolute(dataset))
    except BatchscopeError as error:
        st.error(literal(error), icon=":material/error:")
        return
    widgets.metric_cards(_survey_cards(found))
    _show_some(home, dataset, found.shown)
    if found.labels:
        st.markdown(f"**{count(len(found.labels), 'label')}** {_counted(found.labels)}")
    if found.unreadable:
        st.markdown(f"**{count(len(found.unreadable), 'image')} cannot be read** of the {found.looked_at:,} looked at")
        st.dataframe(
            [{"image": plain(image_id), "reason": plain(reason)} for image_id, reason in found.unreadable],
            hide_index=True,
            height="content" if len(found.unreadable) <= LISTED else 420,
            alt="Images that cannot be read, each with its reason.",
        )
    if found.looked_at < found.images:
        st.caption(f"Formats, sizes and broken files are those of {found.looked_at:,} images spread over all.")


def _show_some(home: Path, dataset: str, image_ids: Sequence[str]) -> None:
    grid = st.grid(4, min_column_width=120, gap="small")
    for image_id, picture in zip(image_ids, thumbnails(home, dataset, image_ids), strict=True):
        if picture is not None:
            with grid.cell():
                st.image(picture, width="stretch", alt=plain(image_id), caption=literal(shortened(image_id, 24)))


@st.cache_data(ttl=KEPT_S, max_entries=16, show_spinner=False)
def _survey(home: str, dataset: str) -> Survey:
    return survey.survey(dataset, Path(home))


def _survey_cards(found: Survey) -> list[Card]:
    passed_over = f"{count(found.skipped, 'file')} passed over" if found.skipped else ""
    return [
        Card(label="Images", value=f"{found.images:,}", help="Files with an image's ending, or rows of a list."),
        Card(label="Size", value=bytes_(found.size_bytes), help="Of all files together.", note=passed_over),
        Card(label="Formats", value=_counted(found.formats), help="As the files' content tells, whatever their names."),
        Card(label="Width", value=_range_text(found.widths), help="Pixels: smallest, middle and largest."),
        Card(label="Height", value=_range_text(found.heights), help="Pixels: smallest, middle and largest."),
        Card(
            label="Not readable",
            value=f"{len(found.unreadable):,} of {found.looked_at:,}",
            help="Of the images that were decoded to look at them.",
        ),
    ]


def _range_text(found: Range | None) -> str:
    return "–" if found is None else f"{found.least:,} · {found.median:,} · {found.most:,}"


def _counted(counts: Mapping[str, int]) -> str:
    """`JPEG 12, PNG 3`, the first few of them."""
    told = [f"{literal(shortened(name, 30))} {number:,}" for name, number in list(counts.items())[:LISTED]]
    more = len(counts) - len(told)
    return ", ".join(told) + (f" and {more:,} more" if more > 0 else "")


# -- uploads ---------------------------------------------------------------------------------------------------------


@st.dialog("Upload images", icon=":material/upload:")
def _upload() -> None:
    st.caption(f"Images, or zip archives in which folders are labels: {uploads.LIMITS}.")
    st.file_uploader(
        "Files",
        type=[*(ending.removeprefix(".") for ending in EXTENSIONS), "zip"],
        accept_multiple_files=True,
        key=UPLOAD_KEY,
    )
    problem = state.remembered("upload problem")
    if problem:
        st.error(literal(problem), icon=":material/error:")
    if st.button("Use these images", type="primary", on_click=_keep_upload):
        if not state.remembered("upload problem"):
            st.rerun()  # closes the dialog
        st.rerun(scope="fragment")


def _keep_upload() -> None:
    """Keep what was uploaded and choose it; a callback, because it sets a widget."""
    files = state.value(UPLOAD_KEY) or []
    state.remember("upload problem", None if files else "Choose images or a zip archive first.")
    if not files:
        return
    try:
        kept = uploads.keep(state.store().home, [(file.name, file) for file in files])
    except BatchscopeError as error:
        state.remember("upload problem", str(error))
        return
    state.assign({"dataset": kept.dataset})
    without = f" {count(len(kept.skipped), 'file')} that are no images were left out." if kept.skipped else ""
    state.remember("upload kept", f"{count(kept.images, 'image')} uploaded and chosen.{without}")


# -- models ----------------------------------------------------------------------------------------------------------


@st.dialog("About this model", icon=":material/neurology:")
def _show_card(model: str) -> None:
    st.caption(literal(model))
    try:
        with st.spinner("Reading about the model…", show_time=False):
            found = _card(str(state.store().home), checkpoints.absolute(model))
    except BatchscopeError as error:
        st.error(literal(error), icon=":material/error:")
        return
    st.markdown(f"**{literal(found.architecture)}**", help="The class of Transformers that it is.")
    widgets.metric_cards(_model_cards(found))
    if found.labels:
        # A label may be a list of synonyms.
        some = ", ".join(literal(shortened(label.partition(",")[0], 30)) for label in found.labels[:LISTED])
        st.markdown(f"**{count(len(found.labels), 'label')}** {some}{' …' if len(found.labels) > LISTED else ''}")


@st.cache_data(ttl=KEPT_S, max_entries=16, show_spinner=False)
def _card(home: str, model: str) -> ModelCard:
    return model_card.card(model, Path(home))


def _model_cards(found: ModelCard) -> list[Card]:
    pixels = f"{found.input_pixels[1]} × {found.input_pixels[0]}" if found.input_pixels else "–"
    parameters = f"{found.parameters / 1e6:,.1f} million" if found.parameters is not None else "–"
    return [
        Card(
            label="Parameters",
            value=parameters,
            help="Counted in the headers of its weights." if found.parameters else "Known once it is downloaded.",
            note=found.precision or "",
        ),
        Card(label="What it sees", value=pixels, help="Pixels after resizing and cropping, width × height."),
        Card(
            label="Weights",
            value=bytes_(found.size_bytes),
            help="Size of the safetensors files.",
            note="on this machine" if found.cached else "to be downloaded",
        ),
    ]
