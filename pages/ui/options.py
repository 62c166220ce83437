"""The Advanced part of the settings form: CPUs, GPUs, threads, precision, and what computes the forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from inference.capabilities import best_dtype, missing_for
from inference.config import BACKENDS, COMBINATIONS, DTYPES, ONE_BY_ONE, RunConfig
from inference.hardware import Hardware, usable_gpus
from pages.ui import state
from pages.ui.address import AUTO, present
from pages.ui.format import literal
from pages.ui.words import HELP, label, written

GPU_SHARES = (0.0, 0.25, 0.5, 1.0)
MIN_DECODERS_RANGE = 4
SEEDS = 5
"""So many are offered; any other number can be typed."""


def draw(defaults: RunConfig, machine: Hardware, strategy: str) -> dict[str, Any]:
    """The settings that most people leave alone; only those that the strategy has."""
    values = _resources(defaults, machine, strategy)
    values["dtype"] = _precision(defaults, machine)
    if strategy not in ONE_BY_ONE:
        values["channels_last"] = st.toggle(
            "Channels last",
            defaults.channels_last,
            key="channels_last",
            help=HELP["channels_last"],
            bind="query-params",
        )
    values["backend"] = _backend(defaults, machine, strategy, on_gpu=values.get("gpus_per_worker", 0.0) > 0)
    return values | _models(defaults)


def _models(defaults: RunConfig) -> dict[str, Any]:
    """Labels for a model that has none of its own, and further models beside it; texts as they are typed."""
    values: dict[str, Any] = {
        "labels": _text("labels", "such as: a cat, a dog, a boat"),
        "members": _text("members", "hub ids or folders, separated by commas"),
    }
    if values["members"]:
        values["combine"] = _segments("combine", COMBINATIONS, defaults.combine)
    return values


def sample() -> str:
    """The first images, or some drawn by lot; as the address writes it."""
    first = written("sample_seed", None)
    asked = state.value("sample_seed") or st.query_params.get("sample_seed")
    offered = dict.fromkeys((first, *(written("sample_seed", seed) for seed in range(SEEDS)), asked or first))
    chosen = st.selectbox(
        label("sample_seed"),
        list(offered),
        key="sample_seed",
        help=HELP["sample_seed"],
        accept_new_options=True,
        bind="query-params",
    )
    return chosen or first


def _text(name: str, placeholder: str) -> str:
    return st.text_input(label(name), key=name, placeholder=placeholder, help=HELP[name], bind="query-params") or ""


def _resources(defaults: RunConfig, machine: Hardware, strategy: str) -> dict[str, Any]:
    cpus = [0.5, *(float(number) for number in range(1, machine.cpus + 1))]
    values: dict[str, Any] = {
        "cpus_per_worker": steps("cpus_per_worker", cpus, defaults.cpus_per_worker, float),
        "threads": steps("threads", range(machine.cpus + 1), defaults.threads, int),
    }
    if strategy == "pipelined":
        decoders = range(1, max(machine.cpus, MIN_DECODERS_RANGE) + 1)
        values["decoders"] = steps("decoders", decoders, defaults.decoders, int)
    gpus = len(usable_gpus(machine))
    if gpus or present("gpus_per_worker"):
        shares = [*GPU_SHARES, *(float(number) for number in range(2, gpus + 1))]
        values["gpus_per_worker"] = steps("gpus_per_worker", shares, defaults.gpus_per_worker, float)
    else:
        st.caption("GPUs per worker: none, because no usable GPU was found.")
    return values


def _precision(defaults: RunConfig, machine: Hardware) -> str:
    """The precision to run with; `auto` is never one."""
    chosen = _segments("dtype", (AUTO, *DTYPES), defaults.dtype)
    st.caption(f"{AUTO} is {auto_text(machine)}")
    return best_dtype(machine) if chosen == AUTO else chosen


def auto_text(machine: Hardware) -> str:
    """What the automatic precision is on this machine, and why."""
    best = best_dtype(machine)
    what = "GPU" if usable_gpus(machine) else "processor"
    if best == "float32":
        return f"float32 here: no lower precision is known to be both safe and fast on this {what}."
    return f"{best} here: this {what} computes it natively."


def _backend(defaults: RunConfig, machine: Hardware, strategy: str, *, on_gpu: bool) -> str:
    """What computes the forward pass; one that is missing here can be seen, with the reason."""
    offered = [name for name in BACKENDS if name != "openvino" or strategy not in ONE_BY_ONE]
    chosen = _segments("backend", offered, defaults.backend)
    for name in offered:
        missing = missing_for(name, machine, on_gpu=on_gpu)
        if missing is not None:
            st.caption(f":material/block: {literal(missing)}")
    return chosen


def _segments(name: str, choices: Sequence[str], default: str) -> str:
    chosen = st.segmented_control(
        label(name),
        choices,
        default=default,
        required=True,
        key=name,
        help=HELP[name],
        bind="query-params",
    )
    return chosen or default


def steps(name: str, offered: Sequence[Any], default: Any, kind: Callable[[Any], Any]) -> Any:
    """A slider over these steps, the default, and any valid value that the address or a button brought."""
    found = present(name)
    if found is not None and state.value(name) is None and st.query_params.get(name) != written(name, found):
        state.assign({name: found})  # `1.0` is as good as `1`, but the widget itself knows only the latter
    options = sorted({kind(step) for step in (*offered, default, found) if step is not None})
    return st.select_slider(
        label(name),
        options,
        value=default,
        format_func=lambda value: written(name, value),
        key=name,
        help=HELP[name],
        bind="query-params",
    )
