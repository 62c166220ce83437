"""The settings of a run as parameters of the page's address: read, refused, kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from inference import uploads
from inference.config import RunConfig
from inference.errors import InvalidConfig
from pages.ui import state
from pages.ui.format import literal
from pages.ui.words import DRAWN, FIRST_IMAGES, written

MAX_REPEATS = 5
AUTO = "auto"
"""As a precision: the one that suits the machine. As a number of threads: as many as CPUs. No run is stored with it."""
FIRST = "first"
"""As a sample: the first images, in short."""
TYPED = ("labels", "members", "sample_seed")
"""Settings whose widgets hold a text, as the address does."""
NAMES = tuple(RunConfig().settings())
"""The settings' names: fields of `RunConfig`, keys of the widgets, parameters of the address."""


def parsed(name: str, raw: str) -> Any:
    """The value of a parameter of the address; raises `InvalidConfig` where it is none of that setting."""
    if name == "repeats":
        if raw not in [str(number) for number in range(1, MAX_REPEATS + 1)]:
            raise InvalidConfig(f"repeats must be a whole number between 1 and {MAX_REPEATS}, got {raw!r:.80}")
        return int(raw)
    if name not in NAMES:
        return raw
    if name == "dtype" and raw == AUTO:
        return AUTO
    if name == "threads" and raw == AUTO:
        return 0
    if name == "sample_seed":
        if raw in (FIRST, FIRST_IMAGES):
            return None
        raw = raw.removeprefix(DRAWN)
        return RunConfig(sample_seed=int(raw) if raw.isdecimal() and len(raw) < 20 else raw).sample_seed  # type: ignore[arg-type]  # refused there
    if name in ("labels", "members"):
        texts = tuple(text.strip() for text in raw.split(",") if text.strip())
        options: dict[str, Any] = {name: texts}
        return getattr(RunConfig(**options), name)
    if name == "dataset":
        raw = uploads.called(state.store().home, raw) or raw
    kind = type(getattr(RunConfig(), name))
    value: Any = raw
    if kind is bool:
        value = {"true": True, "false": False}.get(raw.lower(), raw)
    elif kind in (int, float):
        try:
            value = kind(raw)
        except ValueError:
            value = raw
    # `pipelined` has every option; what another strategy lacks is `_refused_by_strategy`.
    return getattr(RunConfig(**{"strategy": "pipelined", name: value}), name)


def present(name: str) -> Any:
    """The valid value that a setting has from an interaction, or else from the address; None if neither."""
    held = state.value(name)
    if held is not None and name not in TYPED:
        return held
    try:
        raw = held if held is not None else st.query_params.get(name)
        return None if raw is None else parsed(name, raw)
    except InvalidConfig:
        return None


def refused(defaults: RunConfig) -> tuple[str, ...]:
    """A sentence for each parameter of the address that is no valid setting; its widget falls back."""
    sentences = []
    for name, raw in st.query_params.items():
        try:
            parsed(name, raw)
        except InvalidConfig as error:
            fallback = 1 if name == "repeats" else getattr(defaults, name)
            sentences.append(f"{error}. {written(name, fallback)} is used instead.")
    return (*sentences, *_refused_by_strategy(defaults))


def _refused_by_strategy(defaults: RunConfig) -> list[str]:
    """The same for options that the strategy of the address does not have."""
    if state.value("strategy") is not None:
        return []  # a person who changes the strategy sees which options it has
    strategy = present("strategy") or defaults.strategy
    sentences = []
    for name in ("channels_last", "backend"):
        options: dict[str, Any] = {} if present(name) is None else {name: present(name)}
        try:
            RunConfig(strategy=strategy, **options)
        except InvalidConfig as error:
            sentences.append(f"{error}. {written(name, getattr(RunConfig(), name))} is used instead.")
            del st.query_params[name]
    return sentences


def show_refused(sentences: tuple[str, ...], values: dict[str, Any]) -> None:
    """Say what the address asked for in vain, until a setting is changed."""
    if sentences:
        state.remember("refused", (sentences, values))
    kept_sentences, kept_values = state.remembered("refused") or ((), None)
    if values == kept_values:
        st.warning("  \n".join(map(literal, kept_sentences)), icon=":material/link_off:")


def keep(defaults: RunConfig, names: Sequence[str] = (*NAMES, "repeats")) -> None:
    """Put settings back that a link from this page to itself has dropped from the address.

    Such a link changes which run is shown; Streamlit 1.67 keeps the widgets as they are and not their parameters.
    """
    for name in names:
        held = state.value(name)
        default = 1 if name == "repeats" else getattr(defaults, name)
        if held not in (None, default) and st.query_params.get(name) != written(name, held):
            state.assign({name: held})


def query(config: RunConfig, defaults: RunConfig) -> dict[str, str]:
    """The parameters of the Run page's address that show these settings; it leaves out defaults, too."""
    return {name: written(name, value) for name, value in config.settings().items() if value != getattr(defaults, name)}
