"""One run as a single web page: readable anywhere, with nothing to load and nothing that runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inference.checkpoints import RESNET_50_UNTRAINED
from inference.export_charts import phases_chart, throughput_chart
from inference.export_page import (
    FIGURES,
    UNTRAINED,
    chip,
    cpu_per_image,
    figure,
    hardware,
    note,
    page,
    pairs,
    section,
    setting,
    setting_name,
    settings_of,
)
from inference.export_pictures import MAX_PICTURES, Answered, pictures, telling
from inference.export_timeline import busy_chart, timeline_chart, timeline_note
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
from inference.setting_words import dataset_words
from inference.wording import UNKNOWN, bytes_, count, markup, milliseconds, moment, percent, rate, seconds

MAX_ROWS = 1000
"""Predictions that the table shows: more would make a page that browsers open slowly."""

_STRATEGIES = {
    "naive": "The model is loaded again for every batch.",
    "actor": "Long-lived workers load the model once and serve every batch.",
    "batched": "Long-lived workers load the model once, and one forward pass takes a whole batch.",
    "pipelined": "Long-lived workers load the model once and classify whole batches, while other processes decode.",
}


def report(record: RunRecord, home: Path) -> str:
    """The whole page, as HTML text; pictures are read from the data set as the folder `home` has it."""
    figures = metrics(record)
    sections = [
        _header(record, figures),
        _tiles(figures),
        _charts(record, figures),
        _pictures(record, home),
        section("What was run", _settings(record)),
        section("Where it ran", hardware(record)),
        section("Every figure and what it means", _figures(figures)),
        section("Messages", _messages(record)) if record.messages else "",
        section("Predictions", _predictions(record.predictions)),
    ]
    footer = (
        f"Run {markup(record.id)}, measured by Batchscope. All times are on the clock of the machine that ran it, "
        "from the start of the run."
    )
    title = f"{record.config.strategy}, {record.config.model}, {dataset_words(record.config.dataset)}"
    return page(title, sections, footer, strategy=record.config.strategy)


# -- the answer ----------------------------------------------------------------------------------------------------


def _header(record: RunRecord, figures: Metrics) -> str:
    config = record.config
    lines = [
        f'<p class="kicker"><span class="mark"></span>{markup(config.strategy)} · {markup(config.model)} · '
        f"{markup(dataset_words(config.dataset))}</p>",
        f"<h1>{_finding(record, figures)}</h1>",
        f'<p class="lead">{_explanation(record, figures)}</p>',
    ]
    if record.error:
        lines.append(f'<p class="problem">{markup(record.error)}</p>')
    if config.model == RESNET_50_UNTRAINED:
        lines.append(f'<p class="problem">{UNTRAINED}</p>')
    begun = record.started_at if record.started_at is not None else record.created_at
    facts = [moment(begun, with_zone=True), *chip(record)]
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
        ("CPU per image", milliseconds(cpu_per_image(figures)), "loading included"),
        ("Peak memory", bytes_(figures.peak_worker_memory_bytes), "of one worker"),
        ("Right labels", right, "of those whose truth is known"),
        ("Unreadable", f"{figures.errors:,}", f"of {count(figures.images, 'image')}"),
    ]
    cells = "".join(
        f'<div class="tile"><dt>{name}</dt><dd class="value">{value}</dd><dd class="note">{remark}</dd></div>\n'
        for name, value, remark in tiles
    )
    return f'<dl class="tiles">\n{cells}</dl>\n'


# -- the evidence --------------------------------------------------------------------------------------------------


def _charts(record: RunRecord, figures: Metrics) -> str:
    curve = throughput_chart(throughput(record.predictions), average=figures.images_per_s, setup_s=figures.setup_s)
    bars = phases_chart(seconds_by_phase(record.spans, workers_only=True))
    lanes = timeline_chart(record.spans, title=_timeline_title(figures), until_s=figures.total_s or 0.0)
    parts = [
        figure(curve, "Each step is the mean rate of its stretch of time. The shade is the set-up."),
        figure(bars, f"All workers’ time added up. {_beside_the_workers(record)}"),
        figure(lanes, timeline_note(record.spans)),
        figure(*busy_chart([(record.config.strategy, record)])),
    ]
    return "".join(parts) or note("Nothing was measured, so there is nothing to draw.")


def _timeline_title(figures: Metrics) -> str:
    times = "once" if figures.model_loads == 1 else f"{figures.model_loads:,} times"
    return f"The model is loaded {times} in {count(figures.workers, 'worker process')}"


def _pictures(record: RunRecord, home: Path) -> str:
    if not record.predictions:
        return ""
    shown = [Answered(image_id=p.image_id, answers=[("", p)]) for p in telling(record.predictions)]
    words = "Images without an answer and wrong ones come first." if len(record.predictions) > MAX_PICTURES else ""
    return section("Pictures", note(words) + pictures(home, record.config.dataset, shown))


def _beside_the_workers(record: RunRecord) -> str:
    """What other processes than the workers did, in a sentence; empty if there was nothing."""
    tasks = {
        "reading the files": sum(span.seconds for span in record.spans if span.worker.startswith(READER)),
        "decoding": sum(span.seconds for span in record.spans if span.worker.startswith(DECODER)),
    }
    taken = " and ".join(f"{task} took {seconds(spent_s)}" for task, spent_s in tasks.items() if spent_s)
    return f"{taken[0].upper()}{taken[1:]} in other processes, which the bars leave out." if taken else ""


def _settings(record: RunRecord) -> str:
    config = record.config
    return pairs([(setting_name(name), markup(setting(config, name))) for name in settings_of(config)], kind="settings")


def _figures(figures: Metrics) -> str:
    body = "".join(
        f'<tr><th scope="row">{one.name}</th><td class="number">{one.written(one.of(figures))}</td>'
        f'<td class="note">{one.meaning}</td></tr>\n'
        for one in FIGURES.values()
    )
    return (
        '<table class="figures">\n<thead><tr><th scope="col">Figure</th><th scope="col">Value</th>'
        f'<th scope="col">Meaning</th></tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n'
    )


def _messages(record: RunRecord) -> str:
    return f"<ul>\n{''.join(f'<li>{markup(message)}</li>{chr(10)}' for message in record.messages)}</ul>\n"


def _predictions(predictions: Sequence[Prediction]) -> str:
    if not predictions:
        return note("There are none.")
    names = ("image", "label", "score", "truth", "status", "reason")
    # Roles are given in words because a narrow screen lays the cells out as a grid, which would drop them.
    head = "".join(f'<th role="columnheader" scope="col">{name}</th>' for name in names)
    body = "".join(_row(prediction) for prediction in predictions[:MAX_ROWS])
    more = len(predictions) - MAX_ROWS
    words = note(f"The first {MAX_ROWS:,} are shown; {more:,} more are left out." if more > 0 else "")
    return (
        f'{words}<table class="predictions" role="table">\n<thead role="rowgroup"><tr role="row">{head}</tr></thead>\n'
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
