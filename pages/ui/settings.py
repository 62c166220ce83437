"""The settings of a run as widgets and as an address: every setting is a parameter of the page's address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from inference import catalog, checkpoints, listing, remote, uploads
from inference.config import STRATEGIES, RunConfig
from inference.errors import BatchscopeError, DataUnavailable, ModelUnavailable
from inference.hardware import Hardware
from inference.history import History
from inference.preflight import default_config
from inference.setting_words import uploaded_at
from inference.store import Store
from inference.thumbnails import thumbnails
from pages.ui import about_model, address, chooser, options, state
from pages.ui.format import literal, plain
from pages.ui.words import HELP, label, written

BATCH_SIZES = tuple(2**power for power in range(11))
IMAGE_COUNTS = tuple(step * 10**power for power in range(1, 6) for step in (1, 2, 5))
MIN_CONCURRENCY_RANGE = 8
PREVIEWED = 4
REQUIRED_S = 10
USED_KEPT_S = 60
MOST_USED = 12
WHAT = ("model", "dataset", "limit")
"""The settings that say what is classified, and not how."""

OWN: Mapping[str, str] = {
    "model": "Your own: a model id on the Hugging Face hub, or a folder on this machine.",
    "dataset": "Your own: a folder, a pattern, a CSV or Parquet list, or a bucket.",
}
UPLOADED = "It is kept on this machine until somebody removes it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What the form holds."""

    config: RunConfig | None
    """None where the settings are not valid; `problem` says why."""
    repeats: int = 1
    problem: str | None = None
    """None also where the reason stands beside the field that it is about."""


def form(home: Path, machine: Hardware) -> Chosen:
    """Draw the settings and return what is chosen, validated again here whatever the widgets let through."""
    defaults = default_config(machine)
    refused = address.refused(defaults)  # the widgets take what they cannot show out of the address
    address.keep(defaults)
    notice = st.container()
    values: dict[str, Any] = {}
    reasons = {}
    for name in ("model", "dataset"):
        values[name] = named(name, home, defaults)
        reasons[name] = st.container()
    values["limit"] = images(defaults)
    values["sample_seed"] = options.sample()
    _preview(home, values["dataset"])
    values |= _how(defaults, machine)
    with st.expander("Advanced", key="advanced"):
        values |= options.draw(defaults, machine, values["strategy"])
        repeats = options.steps("repeats", range(1, address.MAX_REPEATS + 1), 1, int)
    with notice:
        address.show_refused(refused, values)
    return _chosen(values, repeats, reasons)


def what_row(home: Path, defaults: RunConfig) -> Chosen:
    """Draw only what is classified, side by side; everything else is as in `defaults`."""
    refused = address.refused(defaults)
    address.keep(defaults, WHAT)
    notice = st.container()
    model, dataset, limit = st.columns(3, gap="medium")
    with model:
        values: dict[str, Any] = {"model": named("model", home, defaults)}
    with dataset:
        values["dataset"] = named("dataset", home, defaults)
    with limit:
        values["limit"] = images(defaults)
    with notice:
        address.show_refused(refused, values)
    return _chosen(defaults.settings() | values, 1, {"model": model, "dataset": dataset})


def _chosen(values: dict[str, Any], repeats: int, reasons: Mapping[str, DeltaGenerator]) -> Chosen:
    """What the form holds; why a model or a data set cannot be used is told in its place among `reasons`."""
    try:
        typed = {
            name: address.parsed(name, values[name]) for name in address.TYPED if isinstance(values.get(name), str)
        }
        config = RunConfig(**values | typed)
        found = [
            _required(model, config.dataset, bool(config.labels), str(state.store().home)) for model in config.models
        ]
        (model, dataset), *members = found
        config = config.with_(model=model, dataset=dataset, members=tuple(member for member, _ in members))
        return Chosen(config=config, repeats=repeats)
    except (ModelUnavailable, DataUnavailable) as error:
        place = reasons["model" if isinstance(error, ModelUnavailable) else "dataset"]
        place.error(literal(error), icon=":material/error:")
        return Chosen(config=None)
    except BatchscopeError as error:
        return Chosen(config=None, problem=str(error))


@st.cache_data(ttl=REQUIRED_S, max_entries=16, show_spinner="Looking for the images…")
def _required(model: str, dataset: str, zero_shot: bool, home: str) -> tuple[str, str]:
    """See `catalog.require`; remembered for a moment, because a page runs at every click and a list may be long."""
    return catalog.require(model, dataset, Path(home), zero_shot=zero_shot)


def models_can_be_had(config: RunConfig, notice: DeltaGenerator) -> bool:
    """Whether the models of a run that is about to be queued are here, or on the hub; the reason if not in `notice`.

    Asked at the click, because the engine, which asks again, may first have other runs to do.
    """
    home = state.store().home
    try:
        with notice, st.spinner("Asking the hub for the model…", show_time=False):
            for model in config.models:
                checkpoints.require_obtainable(model, home, zero_shot=bool(config.labels))
    except BatchscopeError as error:
        notice.error(literal(error), icon=":material/error:")
        return False
    return True


def open_run_page(config: RunConfig, *, run_id: str = "") -> NoReturn:
    """Go to the Run page with these settings, and with this run."""
    apply(config)  # a default in the address would not replace what the widgets hold from an earlier visit
    go_to_run_page(config, run_id=run_id)


def go_to_run_page(config: RunConfig, *, run_id: str = "") -> NoReturn:
    """The same for a page that has widgets of these settings itself: `apply` must be its button's callback."""
    query = address.query(config, default_config(state.hardware()))
    st.switch_page("pages/run.py", query_params=query | ({"run": run_id} if run_id else {}))


def apply(config: RunConfig) -> None:
    """Set every widget of the form to these settings; a callback of a button."""
    state.assign(
        {name: written(name, value) if name in address.TYPED else value for name, value in config.settings().items()}
    )


def named(name: str, home: Path, defaults: RunConfig) -> str:
    """A model or data set of the catalogue, or one that is typed in, with its state below."""
    entries = catalog.models(home) if name == "model" else catalog.datasets(home)
    names = [entry.name for entry in entries]
    kept = uploads.datasets(home) if name == "dataset" else ()
    used = (value for value in _used(str(home), name) if uploaded_at(value) is None or value in kept)
    known = (address.present(name), *kept[:MOST_USED], *used)
    offered = list(dict.fromkeys([*names, *(extra for extra in known if extra)]))
    default = getattr(defaults, name)
    chosen = st.selectbox(
        label(name),
        offered,
        index=offered.index(default),
        key=name,
        format_func=lambda value: written(name, value),
        help=HELP[name],
        accept_new_options=True,
        bind="query-params",
    )
    entry = next((entry for entry in entries if entry.name == chosen), None)
    if entry is not None:
        st.caption(literal(entry.note), help=literal(entry.description))
    else:
        st.caption(literal(f"{written(name, chosen)}. {UPLOADED}") if chosen in kept else OWN[name])
    (about_model.button if name == "model" else chooser.about_dataset)(chosen or default)
    return chosen or default


@st.cache_data(ttl=USED_KEPT_S, max_entries=8, show_spinner=False)
def _used(home: str, name: str) -> tuple[str, ...]:
    """A person's own models or data sets of earlier runs, the most frequent first."""
    facets = History(Store(Path(home)).database).facets()
    return (facets.models if name == "model" else facets.datasets)[:MOST_USED]


def images(defaults: RunConfig) -> int:
    """How many images."""
    return int(options.steps("limit", IMAGE_COUNTS, defaults.limit, int))


def _preview(home: Path, dataset: str) -> None:
    in_bucket = False
    try:
        with st.spinner("Looking at the images…", show_time=False):
            in_bucket = listing.in_bucket(dataset)
            images = (remote.first_images if in_bucket else catalog.preview)(dataset, home, PREVIEWED) or ()
            pictures = thumbnails(home, dataset, [image.image_id for image in images], chosen=True)
    except DataUnavailable as error:
        if in_bucket:  # why anything else cannot be read stands at its field
            st.caption(literal(error))
        return
    if not images:
        st.caption("No preview: the bucket has not answered yet.")
        return
    if dataset == listing.DIGITS and not any(pictures):
        st.caption("The first run makes these pictures.")
        return
    with st.grid(PREVIEWED, min_column_width=40, gap="xxsmall", key="preview"):
        for image, picture in zip(images, pictures, strict=True):
            if picture is None:
                why = catalog.why_no_picture(dataset, image.image_id, home, chosen=True)
                st.caption("no picture" if why else "not readable", help=literal(why or image.image_id))
            else:
                st.image(picture, width="stretch", alt=plain(image.image_id))


def _how(defaults: RunConfig, machine: Hardware) -> dict[str, Any]:
    strategy = st.segmented_control(
        "Strategy",
        STRATEGIES,
        default=defaults.strategy,
        required=True,
        key="strategy",
        help=HELP["strategy"],
        bind="query-params",
    )
    workers = range(1, max(machine.cpus, MIN_CONCURRENCY_RANGE) + 1)
    return {
        "strategy": strategy,
        "batch_size": options.steps("batch_size", BATCH_SIZES, defaults.batch_size, int),
        "concurrency": options.steps("concurrency", workers, defaults.concurrency, int),
    }
