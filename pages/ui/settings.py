"""The settings of a run as widgets and as an address: every setting is a parameter of the page's address."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import streamlit as st

from inference import catalog
from inference.catalog import Entry
from inference.config import DTYPES, STRATEGIES, RunConfig
from inference.errors import DataUnavailable, InvalidConfig
from inference.hardware import Hardware, usable_gpus
from inference.preflight import default_config
from inference.thumbnails import thumbnail
from pages.ui import state
from pages.ui.format import count, literal, plain

BATCH_SIZES = tuple(2**power for power in range(11))
IMAGE_COUNTS = tuple(step * 10**power for power in range(1, 6) for step in (1, 2, 5))
GPU_SHARES = (0.0, 0.25, 0.5, 1.0)
MIN_CONCURRENCY_RANGE = 8
MAX_REPEATS = 5
PREVIEWED = 4
NAMES = tuple(asdict(RunConfig()))
"""The settings' names: fields of `RunConfig`, keys of the widgets, parameters of the address."""

WORDS = {
    "strategy": "strategy",
    "model": "model",
    "dataset": "data set",
    "limit": "images",
    "batch_size": "batch size",
    "concurrency": "concurrency",
    "cpus_per_worker": "CPUs per worker",
    "gpus_per_worker": "GPUs per worker",
    "dtype": "precision",
    "compile": "compile",
    "repeats": "repeats",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What the form holds."""

    config: RunConfig | None
    """None where the settings are not valid; `problem` says why."""
    repeats: int = 1
    problem: str | None = None


def form(home: Path, machine: Hardware) -> Chosen:
    """Draw the settings and return what is chosen, validated again here whatever the widgets let through."""
    defaults = default_config(machine)
    refused = refused_in_address(defaults)  # the widgets take what they cannot show out of the address
    _keep_in_address(defaults)
    notice = st.container()
    values = _what(home, defaults)
    values |= _how(defaults, machine)
    with st.expander("Advanced", key="advanced"):
        values |= _advanced(defaults, machine)
        repeats = _steps("repeats", range(1, MAX_REPEATS + 1), 1, int, help=HELP["repeats"])
    with notice:
        _show_refused(refused, values)
    try:
        return Chosen(config=RunConfig(**values), repeats=repeats)
    except InvalidConfig as error:
        return Chosen(config=None, problem=str(error))


def open_run_page(config: RunConfig, *, run_id: str = "") -> NoReturn:
    """Go to the Run page with these settings, and with this run."""
    apply(config)  # a default in the address would not replace what the widgets hold from an earlier visit
    st.switch_page("pages/run.py", query_params=query(config) | ({"run": run_id} if run_id else {}))


def query(config: RunConfig) -> dict[str, str]:
    """The parameters of the Run page's address that show these settings; it leaves out defaults, too."""
    defaults = default_config(state.hardware())
    return {name: _written(value) for name, value in config.to_dict().items() if value != getattr(defaults, name)}


def apply(config: RunConfig) -> None:
    """Set every widget of the form to these settings; a callback of a button."""
    state.assign(config.to_dict())


def summary_line(config: RunConfig) -> str:
    """Settings in one line: `digits · 100 images · batch 4 · 1 worker`; not yet fit for Markdown."""
    words = [config.model]
    if config.dataset != config.model:
        words.append(config.dataset)
    words += [count(config.limit, "image"), f"batch {config.batch_size}", count(config.concurrency, "worker")]
    if config.dtype != "float32":
        words.append(config.dtype)
    if config.compile:
        words.append("compiled")
    return " · ".join(words)


def refused_in_address(defaults: RunConfig) -> tuple[str, ...]:
    """A sentence for each parameter of the address that is no valid setting; its widget falls back."""
    sentences = []
    for name, raw in st.query_params.items():
        try:
            _parsed(name, raw)
        except InvalidConfig as error:
            fallback = 1 if name == "repeats" else getattr(defaults, name)
            sentences.append(f"{error}. {_written(fallback)} is used instead.")
    return tuple(sentences)


def _parsed(name: str, raw: str) -> Any:
    """The value of a parameter of the address; raises `InvalidConfig` where it is none of that setting."""
    if name == "repeats":
        if raw not in [str(number) for number in range(1, MAX_REPEATS + 1)]:
            raise InvalidConfig(f"repeats must be a whole number between 1 and {MAX_REPEATS}, got {raw!r:.80}")
        return int(raw)
    if name not in NAMES:
        return raw
    kind = type(getattr(RunConfig(), name))
    value: Any = raw
    if kind is bool:
        value = {"true": True, "false": False}.get(raw.lower(), raw)
    elif kind in (int, float):
        try:
            value = kind(raw)
        except ValueError:
            value = raw
    return getattr(RunConfig(**{name: value}), name)


def _keep_in_address(defaults: RunConfig) -> None:
    """Put settings back that a link from this page to itself has dropped from the address.

    Such a link changes which run is shown; Streamlit 1.67 keeps the widgets as they are and not their parameters.
    """
    for name in (*NAMES, "repeats"):
        held = state.value(name)
        default = 1 if name == "repeats" else getattr(defaults, name)
        if held not in (None, default) and st.query_params.get(name) != _written(held):
            state.assign({name: held})


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _show_refused(sentences: tuple[str, ...], values: dict[str, Any]) -> None:
    """Say what the address asked for in vain, until a setting is changed."""
    if sentences:
        state.remember("refused", (sentences, values))
    kept_sentences, kept_values = state.remembered("refused") or ((), None)
    if values == kept_values:
        st.warning("  \n".join(map(literal, kept_sentences)), icon=":material/link_off:")


def _what(home: Path, defaults: RunConfig) -> dict[str, Any]:
    model = _named("model", catalog.models(home), defaults.model)
    dataset = _named("dataset", catalog.datasets(home), defaults.dataset)
    limit = _steps("limit", IMAGE_COUNTS, defaults.limit, int, help=HELP["limit"])
    _preview(home, dataset)
    return {"model": model, "dataset": dataset, "limit": limit}


def _named(name: str, entries: tuple[Entry, ...], default: str) -> str:
    """A name of the catalogue, or one that is typed in, with its state below."""
    names = [entry.name for entry in entries]
    options = names + [extra for extra in (_present(name),) if extra and extra not in names]
    chosen = st.selectbox(
        WORDS[name].capitalize(),
        options,
        index=options.index(default),
        key=name,
        help=HELP[name],
        accept_new_options=True,
        bind="query-params",
    )
    entry = next((entry for entry in entries if entry.name == chosen), None)
    if entry is not None:
        st.caption(literal(entry.note), help=literal(entry.description))
    else:
        st.caption(OWN[name])
    return chosen or default


def _preview(home: Path, dataset: str) -> None:
    try:
        with st.spinner("Looking at the images…", show_time=False):
            images = catalog.preview(dataset, home, PREVIEWED)
            here = [image for image in images if catalog.image_path(dataset, image.image_id, home)]
            pictures = [(image, thumbnail(home, dataset, image.image_id)) for image in here]
    except DataUnavailable as error:
        st.caption(literal(error))
        return
    if not pictures:
        made_later = "The first run makes these pictures." if images else "No preview: the images lie elsewhere."
        st.caption(made_later)
        return
    with st.grid(PREVIEWED, min_column_width=40, gap="xxsmall", key="preview"):
        for image, picture in pictures:
            if picture is None:
                st.caption("not readable", help=literal(image.image_id))
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
        width="stretch",
        bind="query-params",
    )
    workers = range(1, max(machine.cpus, MIN_CONCURRENCY_RANGE) + 1)
    return {
        "strategy": strategy,
        "batch_size": _steps("batch_size", BATCH_SIZES, defaults.batch_size, int, help=HELP["batch_size"]),
        "concurrency": _steps("concurrency", workers, defaults.concurrency, int, help=HELP["concurrency"]),
    }


def _advanced(defaults: RunConfig, machine: Hardware) -> dict[str, Any]:
    cpus = [0.5, *(float(number) for number in range(1, machine.cpus + 1))]
    values: dict[str, Any] = {
        "cpus_per_worker": _steps(
            "cpus_per_worker", cpus, defaults.cpus_per_worker, float, help=HELP["cpus_per_worker"]
        )
    }
    gpus = len(usable_gpus(machine))
    if gpus or _present("gpus_per_worker"):
        shares = [*GPU_SHARES, *(float(number) for number in range(2, gpus + 1))]
        values["gpus_per_worker"] = _steps(
            "gpus_per_worker", shares, defaults.gpus_per_worker, float, help=HELP["gpus_per_worker"]
        )
    else:
        st.caption("GPUs per worker: none, because no usable GPU was found.")
    values["dtype"] = st.segmented_control(
        "Precision",
        DTYPES,
        default=defaults.dtype,
        required=True,
        key="dtype",
        help=HELP["dtype"],
        bind="query-params",
    )
    values["compile"] = st.toggle(
        "Compile the model", defaults.compile, key="compile", help=HELP["compile"], bind="query-params"
    )
    return values


def _steps(
    name: str,
    steps: Sequence[Any],
    default: Any,
    kind: Callable[[Any], Any],
    *,
    written: Callable[[Any], str] | None = None,
    help: str | None = None,
) -> Any:
    """A slider over these steps, the default, and any valid value that the address or a button brought."""
    present = _present(name)
    if present is not None and state.value(name) is None and st.query_params.get(name) != _written(present):
        state.assign({name: present})  # `1.0` is as good as `1`, but the widget itself knows only the latter
    options = sorted({kind(step) for step in (*steps, default, present) if step is not None})
    return st.select_slider(
        LABELS.get(name, WORDS[name].capitalize()),
        options,
        value=default,
        format_func=written or _written,
        key=name,
        help=help,
        bind="query-params",
    )


def _present(name: str) -> Any:
    """The valid value that a setting has from an interaction, or else from the address; None if neither."""
    held = state.value(name)
    if held is not None:
        return held
    try:
        return _parsed(name, st.query_params[name]) if name in st.query_params else None
    except InvalidConfig:
        return None


LABELS: Mapping[str, str] = {"limit": "Number of images", "concurrency": "Concurrency (workers)"}

OWN: Mapping[str, str] = {
    "model": "Your own: a model id on the Hugging Face hub, or a folder on this machine.",
    "dataset": "Your own: a folder of images on this machine.",
}

HELP: Mapping[str, str] = {
    "model": "Choose one, or type a folder's path or the id of an image classifier on the Hugging Face hub.",
    "dataset": "Choose one, or type the path of a folder of images.",
    "limit": "How many images of the data set, from the first on.",
    "strategy": (
        "**naive** builds the model again for every batch, in stateless tasks. "
        "**actor** builds it once in each worker and keeps it."
    ),
    "batch_size": "Images that a worker's model gets in one call.",
    "concurrency": "Workers that run the model at the same time.",
    "cpus_per_worker": "CPUs that Ray reserves for each worker; also its number of threads, rounded down.",
    "gpus_per_worker": "GPUs that Ray reserves for each worker; 0.5 puts two workers on one card.",
    "dtype": "Precision of weights and activations.",
    "compile": "Send the model through torch.compile when it is loaded: starts later, may then be faster.",
    "repeats": "How often each run is repeated, strategies interleaved, to tell chance from speed.",
}
