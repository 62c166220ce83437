"""One run as a single web page: readable anywhere, with nothing to load and nothing that runs.

Standard library only. Every text that comes from data passes `export_words.markup`; the page's own policy
forbids scripts, pictures and requests, should one ever slip through.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from inference import hardware as machine
from inference.checkpoints import RESNET_50_UNTRAINED
from inference.export_charts import Chart, phases_chart, throughput_chart
from inference.export_words import UNKNOWN, count, markup, moment, percent, plain, rate, seconds
from inference.results import Metrics, Prediction, RunRecord, metrics, phase_shares, seconds_by_phase, throughput

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
    "gpus_per_worker": "GPUs per worker",
    "dtype": "Precision",
    "compile": "torch.compile",
}
"""What a reader calls the settings; one that is not here is shown by its own name."""

_STRATEGIES = {
    "naive": "The model is loaded again for every batch.",
    "actor": "Long-lived workers load the model once and serve every batch.",
}


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
        f"<title>{html.escape(title)} · Batchscope</title>\n<style>\n:root{{--strategy:{colour}}}\n{_STYLE}</style>\n"
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
    facts = [moment(record.started_at if record.started_at is not None else record.created_at)]
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
        f"{strategy} It was loaded {loads}: {_whole(seconds(figures.model_load_s))}, "
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
        ("Right labels", right, "of those whose truth is known"),
        ("Unreadable", f"{figures.errors:,}", f"of {count(figures.images, 'image')}"),
    ]
    cells = "".join(
        f'<div class="tile"><dt>{name}</dt><dd class="value">{value}</dd><dd class="note">{note}</dd></div>\n'
        for name, value, note in tiles
    )
    return f'<dl class="tiles">\n{cells}</dl>\n'


# -- the evidence --------------------------------------------------------------------------------------------------


def _charts(record: RunRecord, figures: Metrics) -> str:
    curve = throughput_chart(throughput(record.predictions), average=figures.images_per_s, setup_s=figures.setup_s)
    bars = phases_chart(seconds_by_phase(record.spans, workers_only=True))
    reading_s = figures.phases.get("read", 0.0)
    reading = f"Reading the files took {seconds(reading_s)} in a process of its own, which the bars leave out."
    parts = [
        _figure(curve, "Each step is the mean rate of its stretch of time. The shade is the set-up."),
        _figure(bars, f"All workers’ time added up. {reading if reading_s else ''}"),
    ]
    return "".join(parts) or '<p class="note">Nothing was measured, so there is nothing to draw.</p>\n'


def _figure(chart: Chart | None, note: str) -> str:
    if chart is None:
        return ""
    return (
        f'<figure>\n<figcaption>{html.escape(chart.title)}</figcaption>\n<div class="wide">{chart.draw(WIDE)}</div>\n'
        f'<div class="narrow">{chart.draw(NARROW)}</div>\n<p class="note">{html.escape(note)}</p>\n</figure>\n'
    )


def _settings(record: RunRecord) -> str:
    rows = []
    for name, value in record.config.to_dict().items():
        shown = ("yes" if value else "no") if isinstance(value, bool) else f"{value:g}" if _is_number(value) else value
        rows.append((_SETTINGS.get(name, name), markup(shown)))
    return _pairs(rows, kind="settings")


def _is_number(value: object) -> bool:
    return isinstance(value, float)


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


_STYLE = """\
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1a19;--muted:#565861;--line:#e4e4e7;--grid:#ececef;
--soft:#f6f6f7;--shade:rgba(230,159,0,.13);--alarm:#a4231a;--alarm-soft:#fdecea;
--load:#E69F00;--load-edge:#9A6A00;--import:#F5D48C;--wait:#77777d}
@media (prefers-color-scheme:dark){:root{--paper:#131418;--ink:#ededee;--muted:#b4b6bf;--line:#30323a;--grid:#272930;
--soft:#1c1e24;--shade:rgba(230,159,0,.16);--alarm:#ffb4a9;--alarm-soft:#3a1d1a;
--load-edge:#E69F00;--import:#8a6a24;--wait:#9a9aa2}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;overflow-wrap:anywhere}
main,footer{max-width:948px;margin:0 auto;padding:0 24px}
main{padding-top:40px}
header{border-bottom:1px solid var(--line);padding-bottom:20px}
.kicker{margin:0;color:var(--muted);font-weight:550}
.mark{display:inline-block;width:11px;height:11px;margin-right:9px;border-radius:2px;background:var(--strategy)}
h1{margin:6px 0 8px;font-size:2rem;line-height:1.2;font-weight:680;letter-spacing:-.015em;text-wrap:balance}
h2{margin:0 0 12px;font-size:1.15rem;font-weight:640}
.lead{margin:0 0 10px;font-size:1.05rem;max-width:46em}
.facts,.note{color:var(--muted);font-size:.875rem}
.facts{margin:0}
.problem{margin:12px 0;padding:10px 14px;border-left:4px solid var(--alarm);background:var(--alarm-soft)}
.tiles{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:12px;margin:24px 0 36px}
.tile{padding:14px 16px;border-radius:8px;background:var(--soft)}
.tile dt{color:var(--muted);font-size:.875rem}
.tile dd{margin:0}
.tile .value{font-size:1.5rem;font-weight:640;line-height:1.3;font-variant-numeric:tabular-nums;white-space:nowrap}
figure{margin:0 0 36px}
figcaption{margin-bottom:10px;font-size:1.15rem;font-weight:640}
figure .note{margin:6px 0 0}
.narrow{display:none}
svg{display:block;width:100%;height:auto;font-size:12.5px;font-family:inherit}
svg text{fill:var(--muted)}
svg .label,svg .name{fill:var(--ink);stroke:var(--paper);stroke-width:3px;paint-order:stroke;stroke-linejoin:round}
svg .name{font-size:13.5px}
svg .grid{stroke:var(--grid)}
svg .axis{stroke:var(--muted)}
svg .setup{fill:var(--shade)}
svg .area{fill:var(--strategy);opacity:.16}
svg .line{fill:none;stroke:var(--strategy);stroke-width:2.25;stroke-linejoin:round}
svg .average{stroke:var(--muted);stroke-width:1.5;stroke-dasharray:6 4}
svg .phase{stroke-width:1}
svg .load{fill:var(--load);stroke:var(--load-edge)}
svg .import{fill:var(--import);stroke:var(--load-edge)}
svg .start{fill:#c4c4c4;stroke:#7a7a7a}
svg .read{fill:#bfe0f4;stroke:#3d86b5}
svg .preprocess{fill:#56b4e9;stroke:#2f7fb0}
svg .forward{fill:var(--strategy);stroke:var(--strategy)}
svg .postprocess{fill:#d9cbe8;stroke:#8a6fb0}
svg .wait{fill:none;stroke:var(--wait);stroke-width:1.5;stroke-dasharray:4 3}
section{border-top:1px solid var(--line);padding:26px 0 20px}
.whole{white-space:nowrap}
.pairs,.settings{margin:0}
.pairs>div{display:grid;grid-template-columns:120px minmax(0,1fr);gap:20px;padding:4px 0}
.settings{display:grid;grid-template-columns:repeat(5,minmax(0,1fr));gap:16px 20px}
.pairs dt,.settings dt{color:var(--muted)}
.settings dt{font-size:.875rem}
.pairs dd,.settings dd{margin:0}
.pairs .note{display:block}
table{width:100%;border-collapse:collapse;font-size:.9375rem}
th,td{padding:7px 16px 7px 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
thead th{color:var(--muted);font-size:.875rem;font-weight:550}
tbody tr:last-child>*{border-bottom:0}
tbody th{font-weight:550;white-space:nowrap}
.number,.score{font-variant-numeric:tabular-nums;white-space:nowrap}
.image{min-width:12em}
.badge{padding:0 6px;border:1px solid currentColor;border-radius:4px;color:var(--alarm);font-size:.8125rem;
white-space:nowrap}
ul{margin:0;padding-left:1.2em}
footer{padding-top:18px;padding-bottom:48px;color:var(--muted);font-size:.875rem;border-top:1px solid var(--line)}
@media (max-width:700px){
main,footer{padding-left:16px;padding-right:16px}
main{padding-top:24px}
h1{font-size:1.55rem}
.tiles{grid-template-columns:repeat(2,minmax(0,1fr));gap:8px;margin-bottom:28px}
.tile{padding:10px 12px}
.tile .value{font-size:1.1rem}
.settings{grid-template-columns:repeat(2,minmax(0,1fr))}
.wide{display:none}
.narrow{display:block;max-width:480px}
.pairs>div{display:block;padding:0 0 10px}
.figures thead,.predictions thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.figures tr{display:grid;grid-template-columns:1fr auto;padding:8px 0;border-bottom:1px solid var(--line)}
.figures th,.figures td{padding:0;border:0}
.figures .note{grid-column:1/-1}
.figures tr:last-child,.predictions tr:last-child{border-bottom:0}
.predictions tr{display:grid;grid-template-columns:1fr 1fr auto;gap:0 12px;padding:8px 0;
border-bottom:1px solid var(--line)}
.predictions td{padding:0;border:0;min-width:0}
.predictions .image,.predictions .reason{grid-column:1/-1}
.predictions .image{color:var(--muted);font-size:.875rem}
.predictions .label{grid-column:1/3}
.predictions .truth::before{content:"truth: ";color:var(--muted)}
.predictions .status::before{content:"status: ";color:var(--muted)}
.predictions .truth{grid-column:1}
.predictions .status{grid-column:2/-1;justify-self:end}
.predictions .reason:empty{display:none}
}
@media print{section,figure,tr{break-inside:avoid}}
"""
