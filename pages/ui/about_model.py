"""What lies behind the name of a model, before anything is run with it: its card in a dialog.

The card is drawn at once; what one image costs takes a process some seconds to count, and is drawn when it is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from inference import checkpoints, model_card
from inference.counting import Counts, ForwardCost
from inference.errors import BatchscopeError, InvalidConfig, StoreUnavailable
from inference.hardware import fingerprint
from inference.model_card import ModelCard
from inference.store import Store
from inference.supervisor import engine_alive
from pages.ui import address, dialogs, state, widgets
from pages.ui.format import UNKNOWN, bytes_, count, literal, shortened, significant
from pages.ui.widgets import Card

KEPT_S = 60
"""A folder may change: what was found in it is true for a minute."""
POLL_S = 0.5
LISTED = 12
WAITING = "…"

HOW_COUNTED = "Counted by torch on the architecture that its settings describe, without its weights"
FLOP = (
    f"{HOW_COUNTED}: billions of floating-point operations in one forward pass of one image, a multiplication with "
    "its addition being two. Convolutions, matrix products and attention count; all else is small beside them. Papers "
    "often count the two as one, and so come to half of this."
)
SEEN = "Pixels after resizing and cropping, width × height"


def button(model: str) -> None:
    """A button that opens the card of a model, and those of the others that make an ensemble with it."""
    if dialogs.button("About this model", "about-model", icon=":material/info:"):
        _show((model, *_members()))


def _members() -> tuple[str, ...]:
    try:
        return tuple(address.parsed("members", state.value("members") or ""))
    except InvalidConfig:
        return ()  # the form says what is wrong with them


@st.dialog("About this model", width="medium", icon=":material/neurology:", on_dismiss=dialogs.close)
def _show(models: Sequence[str]) -> None:
    if len(models) == 1:
        _show_card(models[0])
        return
    for tab, model in zip(st.tabs([literal(shortened(model, 30)) for model in models]), models, strict=True):
        with tab:
            _show_card(model)


def _show_card(model: str) -> None:
    st.caption(literal(model))
    try:
        with st.spinner("Reading about the model…", show_time=False):
            found = _card(str(state.store().home), checkpoints.absolute(model))
    except BatchscopeError as error:
        st.error(literal(error), icon=":material/error:")
        dialogs.close()  # with the next page: a hub that is silent is not asked again with each
        return
    st.markdown(f"**{literal(found.architecture)}**", help="The class of Transformers that it is.")
    known = _counts().known(found.settings) is not None
    st.fragment(_figures, run_every=None if known else POLL_S)(found, was_known=known)
    if found.labels:
        # A label may be a list of synonyms.
        some = ", ".join(literal(shortened(label.partition(",")[0], 30)) for label in found.labels[:LISTED])
        st.markdown(f"**{count(len(found.labels), 'label')}** {some}{' …' if len(found.labels) > LISTED else ''}")


@st.cache_data(ttl=KEPT_S, max_entries=16, show_spinner=False)
def _card(home: str, model: str) -> ModelCard:
    return model_card.card(model, Path(home))


@st.cache_resource(show_spinner=False)
def _counts() -> Counts:
    return Counts()


def _figures(found: ModelCard, *, was_known: bool) -> None:
    """The figures, and what there is to say of their count; drawn again and again until it is known."""
    counts = _counts()
    cost = counts.known(found.settings)
    if cost is not None and not was_known:
        st.rerun()  # ends the drawing again and again
    measuring = cost is None and _measuring()
    if cost is None and not measuring:
        counts.begin(found.settings)
    widgets.metric_cards(_cards(found, cost))
    if measuring:
        st.caption(
            ":material/hourglass_top: A measurement is going on. Counting would take processor time from it, and "
            "begins when it has ended."
        )
    elif cost is None:
        st.info("Counting on the architecture. It takes some seconds, most of them to load torch.", icon="spinner")
    elif cost.reason:
        st.warning(f"Not counted: {literal(cost.reason)}", icon=":material/calculate:")


def _measuring() -> bool:
    """Whether the engine measures a run or the machine's limit, or is about to."""
    try:
        store: Store = state.store()
        if not engine_alive(store.engine()):
            return False
        return bool(store.active()) or store.limits.requested(fingerprint(state.hardware())) is not None
    except StoreUnavailable:
        return False


def _cards(found: ModelCard, cost: ForwardCost | None) -> list[Card]:
    return [_parameters(found, cost), _flop(found, cost), _seen(found, cost), _labels(found), _weights(found)]


def _parameters(found: ModelCard, cost: ForwardCost | None) -> Card:
    stored, counted = found.stored_values, cost.parameters if cost is not None else None
    if counted is not None:
        beside = "" if stored is None else f" {_beside(stored - counted)}"
        help_ = f"{HOW_COUNTED}: what training adjusts.{beside}"
        exactly = f"{counted:,}" if counted >= 1e6 else ""
        return Card(label="Parameters", value=_abbreviated(counted), help=help_, note=exactly)
    if cost is not None and stored is not None:
        help_ = f"Its files hold {stored:,} numbers, as their headers say; parameters alone could not be counted."
        return Card(label="Parameters", value=_abbreviated(stored), help=help_, note="numbers in its files")
    return Card(label="Parameters", value=_not_known(cost), help=f"{HOW_COUNTED}: what training adjusts.")


def _beside(more: int) -> str:
    """How the numbers in a model's files differ from its parameters."""
    if more == 0:
        return "Its files hold as many numbers."
    if more > 0:
        return f"Its files hold {more:,} more numbers: running averages of normalisation and other constants."
    return f"Its files hold {-more:,} fewer numbers: what they lack would be random."


def _labels(found: ModelCard) -> Card:
    if found.compares_with_texts:
        return Card(
            label="Labels", value="yours", help="It has none of its own: it compares pictures with what you type."
        )
    help_ = "Those that it chooses from, as its config.json says."
    return Card(label="Labels", value=f"{len(found.labels):,}", help=help_)


def _flop(found: ModelCard, cost: ForwardCost | None) -> Card:
    help_, note = FLOP, "multiply and add as two"
    if found.compares_with_texts:
        help_ += " This is the side of the pictures: texts are encoded once, when the model is loaded."
        note = "of the pictures' side"
    flops = cost.flops_per_image if cost is not None else None
    value = _not_known(cost) if flops is None else significant(flops / 1e9)
    return Card(label="GFLOP per image", value=value, help=help_, note=note if flops is not None else "")


def _seen(found: ModelCard, cost: ForwardCost | None) -> Card:
    if cost is not None and cost.input_pixels is not None:
        how = "as its own image processor made them of a picture of 500 × 375"
        if cost.input_varies:
            how += "; of one with another shape it makes something else, and the GFLOP differ with it"
        return Card(
            label="What it sees",
            value=_size(cost.input_pixels),
            help=f"{SEEN}, {how}.",
            note="pixels, varying with the picture" if cost.input_varies else "pixels",
        )
    if found.stated_pixels is not None:
        help_ = f"{SEEN}, as the settings of its image processor say."
        return Card(label="What it sees", value=_size(found.stated_pixels), help=help_, note="pixels")
    return Card(label="What it sees", value=_not_known(cost), help=f"{SEEN}: its image processor tells.")


def _weights(found: ModelCard) -> Card:
    if found.weights_bytes is None:
        help_ = "There are none yet: they are random numbers, which the first run with this model makes."
        return Card(label="Weights", value=UNKNOWN, help=help_, note=found.place)
    told = "Size of its safetensors files" + ("." if found.cached else ", as the hub tells it.")
    note = ", ".join([*([found.precision] if found.precision else []), found.place])
    return Card(label="Weights", value=bytes_(found.weights_bytes), help=told, note=note)


def _not_known(cost: ForwardCost | None) -> str:
    """What stands for a figure that is being counted, or could not be."""
    return WAITING if cost is None else UNKNOWN


def _size(pixels: tuple[int, int]) -> str:
    return f"{pixels[1]:,} × {pixels[0]:,}"


def _abbreviated(number: int) -> str:
    for size, word in ((10**9, "billion"), (10**6, "million")):
        if number >= size:
            return f"{significant(number / size)} {word}"
    return f"{number:,}"
