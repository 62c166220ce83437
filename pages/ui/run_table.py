"""Runs as a table whose rows can be selected, one row each."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from inference import hardware
from inference.setting_words import dataset_words, option_words
from inference.store import RunSummary
from pages.ui import state
from pages.ui.format import plain
from pages.ui.widgets import DEFINITIONS

STAR = "★"
_LEFT_OUT_IF_EMPTY = ("deleted", "favourite", "name", "options", "tags", "note")
_ROW_PIXELS, _HEAD_PIXELS, _MOST_PIXELS = 35, 38, 720


def select(runs: Sequence[RunSummary], name: str) -> list[RunSummary]:
    """Draw the runs and return those that are selected.

    A selection stays with its runs: what is said of them may change, and so may the rows around them.
    """
    kept = state.remembered(f"selected_{name}") or ()
    chosen = st.dataframe(
        _rows(runs),
        hide_index=True,
        column_config=_columns(),
        placeholder="–",
        height=min(_HEAD_PIXELS + _ROW_PIXELS * len(runs), _MOST_PIXELS),
        # Streamlit keeps a selection by position, so other rows are another table, which begins with these selected.
        key=f"{name}-{_digest(runs)}",
        selection_default={"selection": {"rows": [place for place, run in enumerate(runs) if run.id in kept]}},
        on_select="rerun",
        selection_mode="multi-row",
        alt="Runs, one row each, with what is said of them, their settings and what they measured.",
    )
    st.caption("With the keyboard: arrows move in the table, Shift and Space together select a row.")
    selected = [runs[position] for position in chosen.selection.rows if position < len(runs)]
    state.remember(f"selected_{name}", tuple(run.id for run in selected))
    return selected


def _digest(runs: Sequence[RunSummary]) -> str:
    return hashlib.sha256("".join(run.id for run in runs).encode()).hexdigest()[:12]


def _rows(runs: Sequence[RunSummary]) -> list[dict[str, Any]]:
    rows = [_row(run) for run in runs]
    imported = [run.id for run in runs if run.imported_at is not None]
    machines = state.history().machines(imported)
    for row, run in zip(rows, runs, strict=True):
        if imported:
            row["imported"] = _moment(run.imported_at)
            row["machine"] = _machine(machines.get(run.id))
    unsaid = [name for name in _LEFT_OUT_IF_EMPTY if not any(row[name] for row in rows)]
    return [{name: value for name, value in row.items() if name not in unsaid} for row in rows]


def _row(run: RunSummary) -> dict[str, Any]:
    config, figures = run.config, run.metrics
    accuracy = figures.accuracy if figures else None
    memory = figures.peak_worker_memory_bytes if figures else None
    return {
        "deleted": _moment(run.deleted_at),
        "favourite": STAR if run.favourite else "",
        "name": None if run.name is None else plain(run.name),
        "when": _moment(run.created_at),
        "state": run.state,
        "strategy": config.strategy,
        "images_per_s": figures.images_per_s if figures else None,
        "model": plain(config.model),
        "dataset": plain(dataset_words(config.dataset)),
        "images": config.limit,
        "batch_size": config.batch_size,
        "concurrency": config.concurrency,
        "options": " · ".join(option_words(config)) or None,
        "steady": figures.steady_images_per_s if figures else None,
        "setup_s": figures.setup_s if figures else None,
        "total_s": figures.total_s if figures else None,
        "loads": figures.model_loads if figures else None,
        "accuracy": None if accuracy is None else 100 * accuracy,
        "memory": None if memory is None else memory / 1024**2,
        "cpu_s": figures.cpu_s if figures else None,
        "tags": [plain(tag) for tag in run.tags],
        "note": plain(run.note) or None,
    }


def _moment(epoch_s: float | None) -> datetime.datetime | None:
    return None if epoch_s is None else datetime.datetime.fromtimestamp(epoch_s).astimezone()


def _machine(described: Mapping[str, Any] | None) -> str | None:
    return None if described is None else plain(hardware.chip(hardware.from_dict(described)))


def _columns() -> dict[str, Any]:
    return _said_columns() | _setting_columns() | _figure_columns()


def _said_columns() -> dict[str, Any]:
    column = st.column_config
    moment = "D MMM YYYY, HH:mm"
    return {
        "favourite": column.TextColumn(STAR, help=f"{STAR} marks a favourite.", width=36, alignment="center"),
        "name": column.TextColumn("Name", width="medium", help="What a person calls the run."),
        "when": column.DatetimeColumn("When", format=moment, help="When the run was queued."),
        "state": column.TextColumn("State", help="Of a run that did not finish, figures are partial."),
        "tags": column.ListColumn("Tags"),
        "note": column.TextColumn("Note", width="medium"),
        "imported": column.DatetimeColumn(
            "Imported", format=moment, width=150, help="When it came here from another machine."
        ),
        "machine": column.TextColumn("Measured on", width="medium", help="The machine of an imported run."),
        "deleted": column.DatetimeColumn("Deleted", format=moment),
    }


def _setting_columns() -> dict[str, Any]:
    column = st.column_config
    return {
        "strategy": column.TextColumn("Strategy"),
        "model": column.TextColumn("Model", width="small"),
        "dataset": column.TextColumn("Data set", width="small"),
        "images": column.NumberColumn("Images", format="localized"),
        "batch_size": column.NumberColumn("Batch", help="Batch size: images that a worker gets in one call."),
        "concurrency": column.NumberColumn("Workers", help="Concurrency: workers that run the model."),
        "options": column.TextColumn(
            "Options", width="small", help="Precision, backend and the like, where not plain."
        ),
    }


def _figure_columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        "images_per_s": number("images/s", format="%.3g", help=DEFINITIONS["images_per_s"]),
        "steady": number("Steady", format="%.3g", help=DEFINITIONS["steady_images_per_s"]),
        "setup_s": number("Set-up s", format="%.1f", help=DEFINITIONS["setup_s"]),
        "total_s": number("Total s", format="%.1f", help=DEFINITIONS["total_s"]),
        "loads": number("Loads", help="How often the model was loaded."),
        "accuracy": number("Right", format="%.0f %%", help=DEFINITIONS["accuracy"]),
        "memory": number("Memory MiB", format="%.0f", help=DEFINITIONS["peak_worker_memory_bytes"]),
        "cpu_s": number("CPU s", format="%.1f", help="CPU time of all processes of the run, loading included."),
    }
