"""One run as a single web page: readable anywhere, with nothing to load and nothing that runs.

Standard library only. Every text that comes from data passes `wording.markup`; the page's own policy
forbids scripts, pictures and requests, should one ever slip through.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from inference import hardware as machine
from inference.checkpoints import RESNET_50_UNTRAINED
from inference.config import ONE_BY_ONE, RunConfig
from inference.export_charts import Chart, phases_chart, throughput_chart
from inference.export_style import STYLE
from inference.results import (
    DECODER,
    READER,
    Metrics,
    Prediction,
    RunRecord,
    metrics,
    phase_shares,
    seconds_by_phase,
    throughput,
)
from inference.wording import (
    UNKNOWN,
    bytes_,
    count,
    markup,
    milliseconds,
    moment,
    percent,
    plain,
    rate,
    seconds,
)

MAX_ROWS = 1000
"""Predictions that the table shows: more would make a page that browsers open slowly."""

WIDE, NARROW = 900, 340
"""Widths in pixels for which each chart is drawn; the page shows the one that fits."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

_COLOURS = {"naive": "#D55E00", "actor": "#0072B2", "batched": "#009E73", "pipelined": "#CC79A7"}
_OTHER_COLOUR = "#767676"

_SETTINGS = {
    "strategy": "Strategy",
    "model": "Model",
    "dataset": "Data set",
    "limit": "Images asked for",
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

_STRATEGIES = {
    "naive": "The model is loaded again for every batch.",
    "actor": "Long-lived workers load the model once and serve every batch.",
    "batched": "Long-lived workers load the model once, and one forward pass takes a whole batch.",
    "pipelined": "Long-lived workers load the model once and classify whole batches, while other processes decode.",
}

_BACKENDS = {"eager": "PyTorch", "compile": "torch.compile", "openvino": "OpenVINO"}


def report(record: RunRecord) -> str:
    """The whole page, as HTML text."""
    figures = metrics(record)
    title = plain(f"{record.config.strategy}, {record.config.model}, {record.config.dataset}")
    colour = _COLOURS.get(record.config.strategy, _OTHER_COLOUR)
    sections = [
        _header(record, figures),
        _tiles(figures),
        _charts(record, figures),
        _section("What was run", _settings(record)),
        _section("Where it ran", _hardware(record)),
        _section("Every figure and what it means", _figures(figures)),
        _section("Messages", _messages(record)) if record.messages else "",
        _section("Predictions", _predictions(record.predictions)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{html.escape(title)} · Batchscope</title>\n<style>\n:root{{--strategy:{colour}}}\n{STYLE}</style>\n"
        f"</head>\n<body>\n<main>\n{''.join(sections)}</main>\n"
        f"<footer>Run {markup(record.id)}, measured by Batchscope. All times are on the clock of the machine that "
        "ran it, from the start of the run.</footer>\n</body>\n</html>\n"
    )


# -- the answer ----------------------------------------------------------------------------------------------------


def _header(record: RunRecord, figures: Metrics) -> str:
    config = record.config
    lines = [
        f'<p class="kicker"><span class="mark"></span>{markup(config.strategy)} · {markup(config.model)} · '
        f"{markup(config.dataset)}</p>",
        f"<h1>{_finding(record, figures)}</h1>",
        f'<p class="lead">{_explanation(record, figures)}</p>',
    ]
    if record.error:
        lines.append(f'<p class="problem">{markup(record.error)}</p>')
    if config.model == RESNET_50_UNTRAINED:
        lines.append('<p class="problem">This model has random weights: its labels are meaningless.</p>')
    facts = [moment(record.started_at if record.started_at is not None else record.created_at, with_zone=True)]
    if record.hardware is not None:
        facts.append(machine.chip(machine.from_dict(record.hardware)))
    lines.append(f'<p class="facts">{" · ".join(markup(fact) for fact in facts)}</p>')
    return f"<header>\n{chr(10).join(lines)}\n</header>\n"


def _finding(record: RunRecord, figures: Metrics) -> str:
    images = _whole(count(figures.images, "image"))
    done = f"{images} in {_whole(seconds(figures.total_s))}"
    if record.state == "finished" and figures.images:
        return f"{done}: {_whole(rate(figures.images_per_s))}"
    if record.active:
        return f"This run is {markup(record.state)}" + (f": {done} so far" if figures.images else "")
    return f"This run {markup(_ENDS.get(record.state, record.state))} after {images}"


_ENDS = {"finished": "finished", "failed": "failed", "cancelled": "was cancelled", "crashed": "crashed"}


def _whole(words: str) -> str:
    """Words that belong on one line."""
    return f'<span class="whole">{words}</span>'


def _explanation(record: RunRecord, figures: Metrics) -> str:
    strategy = _STRATEGIES.get(record.config.strategy, "")
    if not figures.model_loads:
        return strategy
    share = phase_shares(record.spans).get("load", 0.0)
    workers = count(figures.workers, "worker")
    if figures.model_loads == figures.workers:
        loads = f"once by {f'each of {workers}' if figures.workers > 1 else 'one worker'}"
    else:
        loads = f"{figures.model_loads:,} times by {workers}"
    return (
        f"{strategy} The model was loaded {loads}: {_whole(seconds(figures.model_load_s))}, "
        f"{_whole(percent(share))} of the workers’ time."
    )


def _tiles(figures: Metrics) -> str:
    right = percent(figures.accuracy) if figures.accuracy is not None else UNKNOWN
    tiles = [
        ("End to end", rate(figures.images_per_s), "all seconds counted"),
        ("Steady state", rate(figures.steady_images_per_s), "all workers ready"),
        ("Set-up", seconds(figures.setup_s), "until the first image"),
        (
            "Model loads",
            f"{figures.model_loads:,}",
            f"{seconds(figures.model_load_s)} together" if figures.model_loads else "none was measured",
        ),
        ("CPU per image", milliseconds(_cpu_per_image(figures)), "loading included"),
        ("Peak memory", bytes_(figures.peak_worker_memory_bytes), "of one worker"),
        ("Right labels", right, "of those whose truth is known"),
        ("Unreadable", f"{figures.errors:,}", f"of {count(figures.images, 'image')}"),
    ]
    cells = "".join(
        f'<div class="tile"><dt>{name}</dt><dd class="value">{value}</dd><dd class="note">{note}</dd></div>\n'
        for name, value, note in tiles
    )
    return f'<dl class="tiles">\n{cells}</dl>\n'


def _cpu_per_image(figures: Metrics) -> float | None:
    return figures.cpu_s / figures.images if figures.cpu_s is not None and figures.images else None


# -- the evidence --------------------------------------------------------------------------------------------------


def _charts(record: RunRecord, figures: Metrics) -> str:
    curve = throughput_chart(throughput(record.predictions), average=figures.images_per_s, setup_s=figures.setup_s)
    bars = phases_chart(seconds_by_phase(record.spans, workers_only=True))
    parts = [
        _figure(curve, "Each step is the mean rate of its stretch of time. The shade is the set-up."),
        _figure(bars, f"All workers’ time added up. {_beside_the_workers(record)}"),
    ]
    return "".join(parts) or '<p class="note">Nothing was measured, so there is nothing to draw.</p>\n'


def _beside_the_workers(record: RunRecord) -> str:
    """What other processes than the workers did, in a sentence; empty if there was nothing."""
    tasks = {
        "reading the files": sum(span.seconds for span in record.spans if span.worker.startswith(READER)),
        "decoding": sum(span.seconds for span in record.spans if span.worker.startswith(DECODER)),
    }
    taken = " and ".join(f"{task} took {seconds(spent_s)}" for task, spent_s in tasks.items() if spent_s)
    return f"{taken[0].upper()}{taken[1:]} in other processes, which the bars leave out." if taken else ""


def _figure(chart: Chart | None, note: str) -> str:
    if chart is None:
        return ""
    return (
        f'<figure>\n<figcaption>{html.escape(chart.title)}</figcaption>\n<div class="wide">{chart.draw(WIDE)}</div>\n'
        f'<div class="narrow">{chart.draw(NARROW)}</div>\n<p class="note">{html.escape(note)}</p>\n</figure>\n'
    )


def _settings(record: RunRecord) -> str:
    config = record.config
    left_out = set() if config.strategy == "pipelined" else {"decoders"}
    if config.strategy in ONE_BY_ONE:
        left_out.add("channels_last")
    names = [name for name in config.to_dict() if name not in left_out]
    return _pairs([(_SETTINGS.get(name, name), markup(_setting(config, name))) for name in names], kind="settings")


def _setting(config: RunConfig, name: str) -> str:
    """The value of a setting as a reader wants it."""
    value = getattr(config, name)
    if name == "backend":
        return _BACKENDS.get(value, value)
    if name == "threads" and not value:
        return f"auto: {config.threads_per_worker}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _hardware(record: RunRecord) -> str:
    if record.hardware is None:
        return '<p class="note">The machine is not on record: the run had not begun.</p>\n'
    facts = machine.facts(machine.from_dict(record.hardware))
    return _pairs(
        [(fact.title, f'{markup(fact.value)}<span class="note">{markup(fact.meaning)}</span>') for fact in facts]
    )


def _figures(figures: Metrics) -> str:
    rows = [
        ("Images", f"{figures.images:,}", "Images that came out, with a label or with the reason why there is none."),
        ("Unreadable", f"{figures.errors:,}", "Images without a label; the table below gives each reason."),
        ("Total time", seconds(figures.total_s), "From the start of the run to its last answer."),
        ("End to end", rate(figures.images_per_s), "Images divided by the total time."),
        (
            "Steady state",
            rate(figures.steady_images_per_s),
            "The rate once every worker has finished its first batch; first batches are left out.",
        ),
        (
            "Set-up",
            seconds(figures.setup_s),
            "From the start of the run until the first image is decoded or goes through the model.",
        ),
        ("First answer", seconds(figures.first_prediction_s), "From the start of the run to its first answer."),
        ("Workers", f"{figures.workers:,}", "Processes that ran the model."),
        ("Model loads", f"{figures.model_loads:,}", "How often a worker built the model from its files."),
        ("Loading time", seconds(figures.model_load_s), "All loads together, over all workers."),
        (
            "CPU per image",
            milliseconds(_cpu_per_image(figures)),
            "CPU time of the processes that read, decoded and ran the model, loading included, divided by the images.",
        ),
        (
            "Peak memory",
            bytes_(figures.peak_worker_memory_bytes),
            "The most that one worker had to itself at the end of a batch.",
        ),
        (
            "Right labels",
            percent(figures.accuracy),
            "Share of the images with a known truth whose label is the right one.",
        ),
    ]
    body = "".join(
        f'<tr><th scope="row">{name}</th><td class="number">{value}</td><td class="note">{meaning}</td></tr>\n'
        for name, value, meaning in rows
    )
    return (
        '<table class="figures">\n<thead><tr><th scope="col">Figure</th><th scope="col">Value</th>'
        f'<th scope="col">Meaning</th></tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n'
    )


def _messages(record: RunRecord) -> str:
    return f"<ul>\n{''.join(f'<li>{markup(message)}</li>{chr(10)}' for message in record.messages)}</ul>\n"


def _predictions(predictions: Sequence[Prediction]) -> str:
    if not predictions:
        return '<p class="note">There are none.</p>\n'
    names = ("image", "label", "score", "truth", "status", "reason")
    # Roles are given in words because a narrow screen lays the cells out as a grid, which would drop them.
    head = "".join(f'<th role="columnheader" scope="col">{name}</th>' for name in names)
    body = "".join(_row(prediction) for prediction in predictions[:MAX_ROWS])
    more = len(predictions) - MAX_ROWS
    note = f'<p class="note">The first {MAX_ROWS:,} are shown; {more:,} more are left out.</p>\n' if more > 0 else ""
    return (
        f'{note}<table class="predictions" role="table">\n<thead role="rowgroup"><tr role="row">{head}</tr></thead>\n'
        f'<tbody role="rowgroup">\n{body}</tbody>\n</table>\n'
    )


def _row(prediction: Prediction) -> str:
    wrong = ' <span class="badge">wrong</span>' if prediction.correct is False else ""
    score = UNKNOWN if prediction.score is None else f"{prediction.score:.3f}"
    failed = prediction.status != "ok"
    cells = (
        ("image", markup(prediction.image_id)),
        ("label", _or_unknown(prediction.label) + wrong),
        ("score", score),
        ("truth", _or_unknown(prediction.truth)),
        ("status", f'<span class="badge">{markup(prediction.status)}</span>' if failed else markup(prediction.status)),
        ("reason", markup(prediction.reason) if prediction.reason else ""),
    )
    body = "".join(f'<td role="cell" class="{name}">{cell}</td>' for name, cell in cells)
    return f'<tr role="row">{body}</tr>\n'


def _or_unknown(text: str | None) -> str:
    return UNKNOWN if text is None else markup(text)


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n{body}</section>\n"


def _pairs(rows: Sequence[tuple[str, str]], *, kind: str = "pairs") -> str:
    """Names and values; the values are markup."""
    items = "".join(f"<div><dt>{html.escape(name)}</dt><dd>{value}</dd></div>\n" for name, value in rows)
    return f'<dl class="{kind}">\n{items}</dl>\n'
