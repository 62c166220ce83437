"""Choices that the address keeps, so that a link shows the same to whoever opens it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import streamlit as st

from pages.ui import format, state

MOST_BUTTONS = 4
"""More options than this are a list to choose from."""


def choice_of_one(
    label: str,
    options: Mapping[str, str],
    parameter: str,
    *,
    now: str | None = None,
    help: str | None = None,
    label_visible: bool = True,
) -> str:
    """Let one of the options be chosen, which go from their word in the address to what they are called.

    The first one stands where the address names none of them. `now` overrides what the address says.
    """
    first, key = next(iter(options)), f"kept-{parameter}"
    asked = now if now is not None else st.query_params.get(parameter, first)
    chosen = asked if asked in options else first
    # The address decides, also where it changes under an open page. Options may come and go with it.
    if state.value(key) != chosen:
        state.assign({key: chosen})
    visibility: Literal["visible", "collapsed"] = "visible" if label_visible else "collapsed"
    if len(options) <= MOST_BUTTONS:
        st.segmented_control(
            label,
            list(options),
            format_func=lambda option: format.literal(options.get(option, option)),
            key=key,
            required=True,
            on_change=_keep,
            args=(parameter, key, first),
            help=help,
            label_visibility=visibility,
        )
    else:
        st.selectbox(
            label,
            list(options),
            format_func=lambda option: format.plain(options.get(option, option)),
            key=key,
            on_change=_keep,
            args=(parameter, key, first),
            help=help,
            width=420,
        )
    return chosen


def choice_of_some(label: str, options: Mapping[str, str], parameter: str, *, first: int) -> list[str]:
    """Let any of the options be chosen; the `first` so many stand where the address says nothing."""
    key = f"kept-{parameter}"
    usual = list(options)[:first]
    asked = st.query_params.get(parameter)
    chosen = usual if asked is None else [option for option in options if option in asked.split(",")]
    if state.value(key) != chosen:
        state.assign({key: chosen})
    st.pills(
        label,
        list(options),
        selection_mode="multi",
        format_func=lambda option: format.literal(options.get(option, option)),
        key=key,
        on_change=_keep_some,
        args=(parameter, key, usual),
    )
    return chosen


def _keep(parameter: str, key: str, first: str) -> None:
    _write(parameter, state.value(key), unless=first)


def _keep_some(parameter: str, key: str, usual: list[str]) -> None:
    _write(parameter, ",".join(state.value(key) or ()), unless=",".join(usual))


def _write(parameter: str, value: str, *, unless: str) -> None:
    if value == unless:
        st.query_params.pop(parameter, None)
    else:
        st.query_params[parameter] = value
