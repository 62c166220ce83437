"""What every report is made of: the page itself, sections, tables, figures of a run, and the machine.

Standard library only. Every text that comes from data passes `wording.markup` or `export_svg.escaped`; the page's
own policy forbids scripts and requests, should one ever slip through.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from inference import hardware as machine
from inference.config import ONE_BY_ONE, RunConfig
from inference.export_style import STYLE
from inference.export_svg import Chart, escaped
from inference.results import Metrics, RunRecord
from inference.wording import UNKNOWN, bytes_, markup, milliseconds, percent, rate, seconds

WIDE, NARROW = 900, 340
"""Widths in pixels for which each chart is drawn; the page shows the one that fits."""

UNTRAINED = "This model has random weights: its labels are meaningless."

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

_SETTINGS = {
    "strategy": "Strategy",
    "model": "Model",
    "labels": "Labels to choose from",
    "members": "Further models",
    "combine": "Combined by",
    "dataset": "Data set",
    "limit": "Images asked for",
    "sample_seed": "Sample",
    "batch_size": "Batch size",
    "concurrency": "Concurrency",
    "cpus_per_worker": "CPUs per worker",
    "threads": "Threads per worker",
    "decoders": "Decoders",
    "gpus_per_worker": "GPUs per worker",
    "dtype": "Precision",
    "channels_last": "Channels last",
    "backend": "Backend",
}
"""What a reader calls the settings; one that is not here is shown by its own name."""

_BACKENDS = {"eager": "PyTorch", "compile": "torch.compile", "openvino": "OpenVINO"}


def page(title: str, sections: Sequence[str], footer: str, *, strategy: str = "") -> str:
    """The whole document; `title` is plain text, the rest markup. Its marks have the colour of `strategy`."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escaped(title)} · Batchscope</title>\n<style>\n{STYLE}</style>\n"
        f'</head>\n<body class="{escaped(strategy)}">\n<main>\n{"".join(sections)}</main>\n'
        f"<footer>{footer}</footer>\n</body>\n</html>\n"
    )


def section(title: str, body: str) -> str:
    """A part of the page under its own heading."""
    return f"<section>\n<h2>{title}</h2>\n{body}</section>\n"


def note(words: str) -> str:
    """A remark in small print; plain text."""
    return f'<p class="note">{escaped(words)}</p>\n' if words else ""


def figure(chart: Chart | None, words: str = "") -> str:
    """A chart under its finding, drawn for wide and for narrow screens, with a remark; nothing without a chart."""
    if chart is None:
        return ""
    legend_in_wide = "" if chart.named_when_wide else chart.legend
    return (
        f'<figure class="chart">\n<figcaption>{escaped(chart.title)}</figcaption>\n'
        f'<div class="wide">{chart.draw(WIDE)}{legend_in_wide}</div>\n'
        f'<div class="narrow">{chart.draw(NARROW)}{chart.legend}</div>\n{note(words)}</figure>\n'
    )


def pairs(rows: Sequence[tuple[str, str]], *, kind: str = "pairs") -> str:
    """Names and values; the values are markup."""
    items = "".join(f"<div><dt>{html.escape(name)}</dt><dd>{value}</dd></div>\n" for name, value in rows)
    return f'<dl class="{kind}">\n{items}</dl>\n'


def sides(columns: Sequence[str], rows: Sequence[tuple[str, str, Sequence[str]]], *, caption: str) -> str:
    """One row for each side of a comparison: (label, strategy, a cell of markup for each column).

    On a narrow screen each row becomes a card, so roles are given in words, which that layout would drop.
    """
    head = "".join(f'<th role="columnheader" scope="col">{escaped(column)}</th>' for column in ("", *columns))
    body = ""
    for label, strategy, cells in rows:
        told = "".join(
            f'<td role="cell" data-name="{escaped(column)}">{cell}</td>'
            for column, cell in zip(columns, cells, strict=True)
        )
        sign = f'<span class="mark {escaped(strategy)}"></span>'
        body += f'<tr role="row"><th role="rowheader" scope="row">{sign}{markup(label)}</th>{told}</tr>\n'
    return (
        f'<table class="sides" role="table" aria-label="{escaped(caption)}">\n<thead role="rowgroup">'
        f'<tr role="row">{head}</tr></thead>\n<tbody role="rowgroup">\n{body}</tbody>\n</table>\n'
    )


# -- settings and the machine --------------------------------------------------------------------------------------


def setting_name(name: str) -> str:
    """What a reader calls a setting."""
    return _SETTINGS.get(name, name)


def settings_of(config: RunConfig) -> list[str]:
    """The names of the settings that matter to a run of this configuration, in their order."""
    left_out = set() if config.strategy == "pipelined" else {"decoders"}
    if config.strategy in ONE_BY_ONE:
        left_out.add("channels_last")
    if not config.members:
        left_out |= {"members", "combine"}
    if not config.labels:
        left_out.add("labels")
    return [name for name in config.to_dict() if name not in left_out]


def setting(config: RunConfig, name: str) -> str:
    """The value of a setting as a reader wants it; plain text."""
    value = getattr(config, name)
    if name == "backend":
        return _BACKENDS.get(value, value)
    if name == "threads" and not value:
        return f"auto: {config.threads_per_worker}"
    if name == "sample_seed":
        return "the first images" if value is None else f"drawn with seed {value}"
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def hardware(record: RunRecord) -> str:
    """Where a run ran, as facts with their meaning."""
    if record.hardware is None:
        return note("The machine is not on record: the run had not begun.")
    facts = machine.facts(machine.from_dict(record.hardware))
    return pairs(
        [(fact.title, f'{markup(fact.value)}<span class="note">{markup(fact.meaning)}</span>') for fact in facts]
    )


def chip(record: RunRecord) -> list[str]:
    """The machine in a few words, if it is on record."""
    return [machine.chip(machine.from_dict(record.hardware))] if record.hardware is not None else []


# -- figures -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of a run: how it is found, written and explained."""

    name: str
    of: Callable[[Metrics], float | None]
    written: Callable[[float | None], str]
    meaning: str


def cpu_per_image(figures: Metrics) -> float | None:
    """CPU seconds per image; None where either is unknown."""
    return figures.cpu_s / figures.images if figures.cpu_s is not None and figures.images else None


def _whole_number(number: float | None) -> str:
    return UNKNOWN if number is None else f"{number:,.0f}"


FIGURES: Mapping[str, Figure] = {
    figure.name: figure
    for figure in (
        Figure(
            name="Images",
            of=lambda m: m.images,
            written=_whole_number,
            meaning="Images that came out, with a label or with the reason why there is none.",
        ),
        Figure(
            name="Unreadable",
            of=lambda m: m.errors,
            written=_whole_number,
            meaning="Images without a label, each with its reason.",
        ),
        Figure(
            name="Total time",
            of=lambda m: m.total_s,
            written=seconds,
            meaning="From the start of the run to its last answer.",
        ),
        Figure(
            name="End to end",
            of=lambda m: m.images_per_s,
            written=rate,
            meaning="Images divided by the total time.",
        ),
        Figure(
            name="Steady state",
            of=lambda m: m.steady_images_per_s,
            written=rate,
            meaning="The rate once every worker has finished its first batch; first batches are left out.",
        ),
        Figure(
            name="Set-up",
            of=lambda m: m.setup_s,
            written=seconds,
            meaning="From the start of the run until the first image is decoded or goes through the model.",
        ),
        Figure(
            name="First answer",
            of=lambda m: m.first_prediction_s,
            written=seconds,
            meaning="From the start of the run to its first answer.",
        ),
        Figure(
            name="Workers",
            of=lambda m: m.workers,
            written=_whole_number,
            meaning="Processes that ran the model.",
        ),
        Figure(
            name="Model loads",
            of=lambda m: m.model_loads,
            written=_whole_number,
            meaning="How often a worker built the model from its files.",
        ),
        Figure(
            name="Loading time",
            of=lambda m: m.model_load_s,
            written=seconds,
            meaning="All loads together, over all workers.",
        ),
        Figure(
            name="CPU per image",
            of=cpu_per_image,
            written=milliseconds,
            meaning="CPU time of the processes that read, decoded and ran the model, loading included, divided by "
            "the images.",
        ),
        Figure(
            name="Peak memory",
            of=lambda m: m.peak_worker_memory_bytes,
            written=bytes_,
            meaning="The most that one worker had to itself at the end of a batch.",
        ),
        Figure(
            name="Right labels",
            of=lambda m: m.accuracy,
            written=percent,
            meaning="Share of the images with a known truth whose label is the right one.",
        ),
    )
}
"""Every figure by its name, in the order in which they are listed."""
