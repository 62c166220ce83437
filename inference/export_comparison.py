"""Several runs side by side as a single web page: the answer first, then what it rests on."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from pathlib import Path

from inference.arms import (
    HOW_COMPUTED,
    Arm,
    headline,
    interval_text,
    loads_sentence,
    scores_text,
    timeline_title,
    verdict_text,
    winner,
)
from inference.checkpoints import RESNET_50_UNTRAINED
from inference.config import differences
from inference.export_charts import Line, lines_chart, shares_chart, stacked_phases_chart
from inference.export_page import (
    FIGURES,
    UNTRAINED,
    chip,
    figure,
    hardware,
    note,
    page,
    pairs,
    section,
    setting,
    setting_name,
    settings_of,
    sides,
)
from inference.export_pictures import MAX_PICTURES, Answered, pictures
from inference.export_svg import Chart, escaped
from inference.export_timeline import busy_chart, timeline_chart, timeline_note
from inference.hardware import fingerprint, from_dict
from inference.report import comparability
from inference.results import throughput
from inference.setting_words import dataset_words
from inference.wording import (
    UNKNOWN,
    count,
    markup,
    moment,
    percent,
    plain,
    rate,
    rate_number,
    ratio,
    seconds,
    sentence_case,
)

_BETTER_OR_WORSE = (
    "End to end",
    "Steady state",
    "Set-up",
    "Model loads",
    "CPU per image",
    "Peak memory",
    "Right labels",
)
"""The figures of the table, each with its difference from the baseline's."""


def comparison(arms: Sequence[Arm], home: Path) -> str:
    """The whole page, as HTML text, the first arm being the baseline.

    Pictures are read from the data set as the folder `home` has it. There must be at least two arms.
    """
    sections = [
        _header(arms),
        _table(arms),
        _charts(arms),
        section("Do the answers agree?", _agreement(arms)),
        _pictures(arms, home),
        section("Settings that differ", _differing(arms)),
        section("Where it ran", _machines(arms)),
        section("How this was computed", _method()),
    ]
    ids = ", ".join(markup(run.id) for arm in arms for run in arm.runs)
    footer = f"Runs {ids}, measured by Batchscope. All times count from the start of each run."
    return page(plain(headline(arms)), sections, footer)


# -- the answer ----------------------------------------------------------------------------------------------------


def _header(arms: Sequence[Arm]) -> str:
    baseline = arms[0].median
    lines = [
        f'<p class="kicker">{count(len(arms), "configuration")} · {markup(baseline.config.model)} · '
        f"{markup(dataset_words(baseline.config.dataset))}</p>",
        f"<h1>{escaped(headline(arms))}</h1>",
        *(f'<p class="lead">{escaped(_ratio_sentence(arm, arms))}</p>' for arm in arms[1:] if len(arms) <= 4),
    ]
    best = winner(arms)
    if best is not None:
        lines.append(f'<p class="lead"><b>What to set</b>: {escaped(best.reason)}</p>')
    doubts = list(comparability([run for arm in arms for run in arm.runs]))
    if any(arm.median.config.model == RESNET_50_UNTRAINED for arm in arms):
        doubts.append(UNTRAINED)
    lines += [f'<p class="problem">{escaped(doubt)}</p>' for doubt in doubts]
    begun = baseline.started_at if baseline.started_at is not None else baseline.created_at
    facts = [moment(begun, with_zone=True), *chip(baseline)]
    lines.append(f'<p class="facts">{" · ".join(markup(fact) for fact in facts)}</p>')
    return f"<header>\n{chr(10).join(lines)}\n</header>\n"


def _ratio_sentence(arm: Arm, arms: Sequence[Arm]) -> str:
    """How sure the ratio is, and how many runs stand behind it."""
    verdict = f"{verdict_text(arm, arms[0])}. " if len(arms) > 2 or arm.speedup is None else ""
    if arm.speedup is None:
        return verdict
    why = ", which includes 1: chance alone could explain the difference" if arm.speedup.tie else ""
    return (
        f"{verdict}Ratio {ratio(arm.speedup.ratio)}, {interval_text(arm.speedup)}{why}. "
        f"From {count(len(arm.runs), 'run')} against {len(arms[0].runs)}."
    )


def _table(arms: Sequence[Arm]) -> str:
    units = ["images/s" if FIGURES[name].written is rate else "" for name in _BETTER_OR_WORSE]
    columns = [f"{name}, {unit}" if unit else name for name, unit in zip(_BETTER_OR_WORSE, units, strict=True)]
    rows = []
    for arm in arms:
        versus = "baseline" if arm is arms[0] else UNKNOWN
        if arm.speedup is not None:
            versus = f'{ratio(arm.speedup.ratio)}<span class="note">{interval_text(arm.speedup)}</span>'
        cells = [_cell(name, arm, arms[0]) for name in _BETTER_OR_WORSE]
        rows.append((arm.label, arm.strategy, [versus, *cells]))
    words = "Figures are those of the middle run of each side by images/s, with their differences from the first side."
    return section("Figures", sides(["Ratio", *columns], rows, caption="The figures of every side") + note(words))


def _cell(name: str, arm: Arm, baseline: Arm) -> str:
    """A figure, with its difference from the baseline's; the unit of a rate stands above its column."""
    one = FIGURES[name]
    value, first = one.of(arm.metrics), one.of(baseline.metrics)
    written = rate_number if one.written is rate else one.written
    told = escaped(written(value))
    if arm is baseline or value is None or first is None or value == first:
        return told
    if name == "Right labels":
        return f'{told}<span class="note">{100 * (value - first):+.0f} points</span>'
    sign = "+" if value > first else "−"
    return f'{told}<span class="note">{sign}{escaped(written(abs(value - first)))}</span>'


# -- the evidence --------------------------------------------------------------------------------------------------


def _charts(arms: Sequence[Arm]) -> str:
    until_s = max((span.end_s for arm in arms for span in arm.median.spans), default=0.0)
    loads = " ".join(f"{sentence_case(loads_sentence(arm))}." for arm in arms)
    parts = [
        figure(_throughput(arms), "Each point is the mean rate of the stretch of time that ends there."),
        figure(stacked_phases_chart([(arm.label, arm.strategy, arm.worker_seconds) for arm in arms]), loads),
        *(_timeline(arm, until_s) for arm in arms),
        figure(*busy_chart([(arm.label, arm.median) for arm in arms])),
    ]
    return "".join(parts)


def _throughput(arms: Sequence[Arm]) -> Chart | None:
    lines = [
        Line(label=arm.label, strategy=arm.strategy, points=throughput(arm.median.predictions))
        for arm in arms
        if arm.median.predictions
    ]
    ends = sorted((line.points[-1][0], line.label) for line in lines if line.points)
    title = "Throughput over time"
    if len(ends) > 1:
        title = f"{ends[0][1]} is done after {seconds(ends[0][0])}, {ends[-1][1]} after {seconds(ends[-1][0])}"
    return lines_chart(lines, title=title, unit="images/s", of="images per second", written=rate)


def _timeline(arm: Arm, until_s: float) -> str:
    """What the processes of an arm's median run did, in the colour of its strategy."""
    spans = arm.median.spans
    if not spans:
        return ""
    chart = timeline_chart(spans, title=timeline_title(arm), until_s=until_s)
    return f'<div class="{escaped(arm.strategy)}">{figure(chart, timeline_note(spans))}</div>\n'


def _agreement(arms: Sequence[Arm]) -> str:
    rows = []
    for arm in arms:
        shares = [("right labels", arm.metrics.accuracy)]
        if arm.agreement is not None:
            shares.append(("same answers", arm.agreement.share))
        rows.append((arm.label, arm.strategy, [(what, share) for what, share in shares if share is not None]))
    chart = shares_chart(rows, title=_agreement_title(arms))
    sentences = "".join(f"<li>{escaped(_agreement_sentence(arm, arms[0]))}</li>\n" for arm in arms[1:])
    return f"{figure(chart)}<ul>\n{sentences}</ul>\n"


def _agreement_title(arms: Sequence[Arm]) -> str:
    shares = [arm.agreement.share for arm in arms if arm.agreement is not None and arm.agreement.share is not None]
    if not shares:
        return "Right labels"
    if min(shares) == 1:
        return f"Every answer is that of {arms[0].label}"
    return f"At least {percent(min(shares))} of the answers are those of {arms[0].label}"


def _agreement_sentence(arm: Arm, baseline: Arm) -> str:
    agreed = arm.agreement
    if agreed is None or not agreed.images:
        return f"{arm.label} and {baseline.label} have no image in common."
    scores = scores_text(agreed)
    images = f"{agreed.agree:,} of {count(agreed.images, 'image')}"
    return f"{arm.label} and {baseline.label} agree on {images}{', ' if scores else ''}{scores}."


def _pictures(arms: Sequence[Arm], home: Path) -> str:
    """Images that got two answers, then the first ones, with what each side said where they differ."""
    baseline = arms[0].median
    differing = {image_id for arm in arms[1:] if arm.agreement for image_id in arm.agreement.differing}
    first = heapq.nsmallest(MAX_PICTURES, baseline.predictions, key=lambda p: (p.image_id not in differing, p.image_id))
    if not first:
        return ""
    wanted = {p.image_id for p in first}
    answers = {arm.label: {p.image_id: p for p in arm.median.predictions if p.image_id in wanted} for arm in arms}
    shown = []
    for prediction in first:
        if prediction.image_id in differing:
            told = [
                (label, given[prediction.image_id]) for label, given in answers.items() if prediction.image_id in given
            ]
        else:
            told = [("", prediction)]
        shown.append(Answered(image_id=prediction.image_id, answers=told))
    words = f"{count(len(differing), 'image')} got more than one answer; they come first." if differing else ""
    title = "Pictures" if differing else "Pictures, with the answer that all sides gave"
    return section(title, note(words) + pictures(home, baseline.config.dataset, shown))


# -- how it came about ---------------------------------------------------------------------------------------------


def _differing(arms: Sequence[Arm]) -> str:
    configs = [arm.median.config for arm in arms]
    names = list(differences(configs))
    if not names:
        return note("None: these are repeats of one configuration.")
    rows = [
        (arm.label, arm.strategy, [markup(setting(arm.median.config, name)) for name in names if name != "strategy"])
        for arm in arms
    ]
    shown = [setting_name(name) for name in names if name != "strategy"]
    table = sides(shown, rows, caption="The settings that differ") if shown else note("The strategy alone.")
    same = [name for name in settings_of(configs[0]) if name not in names]
    alike = pairs([(setting_name(name), markup(setting(configs[0], name))) for name in same], kind="settings")
    return f"{table}<h3>The same on every side</h3>\n{alike}"


def _machines(arms: Sequence[Arm]) -> str:
    """The machine; each of them, if there are several."""
    ran = {fingerprint(from_dict(arm.median.hardware)): arm for arm in arms if arm.median.hardware is not None}
    if len(ran) < 2:
        return hardware(next(iter(ran.values()), arms[0]).median)
    return "".join(f"<h3>{markup(arm.label)}</h3>\n{hardware(arm.median)}" for arm in ran.values())


def _method() -> str:
    figures = "".join(
        f'<tr><th scope="row">{FIGURES[name].name}</th><td class="note">{FIGURES[name].meaning}</td></tr>\n'
        for name in _BETTER_OR_WORSE
    )
    sentences = "".join(f"<p><b>{escaped(what)}</b> {escaped(rest)}</p>\n" for what, rest in HOW_COMPUTED)
    return f'{sentences}<table class="figures">\n<tbody>\n{figures}</tbody>\n</table>\n'
