"""Pieces that several pages show: figures, cards, badges, pictures with their answers."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import streamlit as st

from inference.catalog import why_no_picture
from inference.preflight import Verdict
from inference.results import Metrics, Prediction, RunRecord
from inference.setting_words import dataset_words, option_words, setting_text
from inference.store import RunSummary
from inference.thumbnails import thumbnails
from pages.ui import format
from pages.ui.charts import Figure, spec_of

UNTRAINED = "resnet-50-untrained"
UNTRAINED_NOTE = "Labels are meaningless: this model is untrained."

BadgeColour = Literal["red", "orange", "green", "blue", "gray"]

_STATES: dict[str, tuple[str, BadgeColour]] = {
    "queued": (":material/schedule:", "gray"),
    "running": (":material/play_circle:", "blue"),
    "cancelling": (":material/pending:", "orange"),
    "finished": (":material/check_circle:", "green"),
    "failed": (":material/error:", "red"),
    "cancelled": (":material/cancel:", "gray"),
    "crashed": (":material/bolt:", "red"),
}

DEFINITIONS = {
    "images_per_s": "End to end: images divided by the seconds from the start of the run to its last answer. "
    "From the times at which answers were ready.",
    "steady_images_per_s": "With every worker ready and the first batch of each left out: images that came "
    "after that, per second. From the spans of batches and the times of answers.",
    "setup_s": "From the start of the run until a worker that holds the model starts on its first image. "
    "From the first preprocess or forward span of such a worker.",
    "total_s": "From the start of the run to its last answer. From the times at which answers were ready.",
    "model_loads": "How often the model was loaded, and the mean length of one load. From the load spans.",
    "cpu_s": "CPU time of the processes that read, decoded and ran the model, loading included, divided by the images. "
    "From the samples that they took of themselves.",
    "peak_worker_memory_bytes": "The most memory that one worker had to itself at the end of a batch. "
    "From the samples that workers took of themselves.",
    "accuracy": "Share of right labels among the images whose true label is known.",
    "images": "Images that came out, with an answer or with the reason why there is none.",
    "errors": "Images without an answer; each carries its reason.",
}
"""What each metric means and which measurements it comes from, for tooltips."""


_DELTA_COLOURS: dict[str | None, Literal["normal", "inverse", "off"]] = {
    "more": "normal",
    "less": "inverse",
    None: "off",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One metric as a page shows it."""

    label: str
    value: str
    help: str
    delta: str | None = None
    """Difference from the baseline with its sign, such as `+24.3 images/s`."""
    good: Literal["more", "less"] | None = None
    """Which direction is better; None where neither is."""
    note: str = ""
    """A few plain words under the value."""


def show(figure: Figure, *, key: str, on_select: Callable[[], None] | None = None) -> None:
    """Draw a figure under its finding; where there is nothing to draw yet, say so.

    `on_select` is called when a selection of the chart changes, which is then kept under `key`.
    """
    st.markdown(f"**{format.literal(figure.title)}**")
    if figure.chart is None:
        st.caption(format.literal(figure.alt))
        return
    spec = spec_of(figure.chart)
    st.vega_lite_chart(spec=spec, width="stretch", key=key, alt=figure.alt, on_select=on_select or "ignore")
    if figure.note:
        st.caption(format.literal(figure.note))


def metric_cards(cards: Sequence[Card], *, columns: int = 3) -> None:
    """Cards side by side, so many in a row where they fit."""
    with st.grid(columns, min_column_width=150, gap="xsmall"):
        for card in cards:
            st.metric(
                card.label,
                format.literal(card.value),
                delta=card.delta or format.literal(card.note) or None,
                delta_color=_DELTA_COLOURS[card.good] if card.delta else "off",
                delta_arrow="auto" if card.delta else "off",
                help=card.help,
                border=True,
                height="stretch",
            )


def run_cards(metrics: Metrics, baseline: Metrics | None = None) -> list[Card]:
    """The cards of one run: its figures, with the differences from a baseline run if given."""
    base = baseline or metrics
    unknown_truth = "Unknown: these images have no true labels."
    return [
        _card("Images/s", "images_per_s", metrics, base, format.rate_number, "more"),
        _card("Steady images/s", "steady_images_per_s", metrics, base, format.rate_number, "more"),
        _card("Set-up", "setup_s", metrics, base, format.seconds, "less"),
        _card("Total", "total_s", metrics, base, format.seconds, "less"),
        Card(
            label="Model loads",
            value=loads_text(metrics),
            help=DEFINITIONS["model_loads"],
            delta=_signed(metrics.model_loads - base.model_loads, lambda n: f"{n:,.0f}"),
            good="less",
        ),
        Card(
            label="Right answers",
            value=format.percent(metrics.accuracy),
            help=DEFINITIONS["accuracy"] if metrics.accuracy is not None else unknown_truth,
            delta=_accuracy_delta(metrics.accuracy, base.accuracy),
            good="more",
        ),
        _card("Peak memory", "peak_worker_memory_bytes", metrics, base, format.bytes_, "less", note="per worker"),
        _cpu_card(metrics, base),
    ]


def loads_text(metrics: Metrics) -> str:
    """`25 × 0.31 s`: model loads and the mean length of one."""
    if not metrics.model_loads:
        return format.UNKNOWN
    return f"{metrics.model_loads:,} × {format.seconds(metrics.model_load_s / metrics.model_loads)}"


def _card(
    label: str,
    name: str,
    metrics: Metrics,
    base: Metrics,
    written: Callable[[float | None], str],
    good: Literal["more", "less"],
    note: str = "",
) -> Card:
    value, other = getattr(metrics, name), getattr(base, name)
    delta = _signed(value - other, written) if value is not None and other is not None else None
    unknown = "" if value is not None else " Unknown here: the run did not get far enough."
    return Card(label=label, value=written(value), help=DEFINITIONS[name] + unknown, delta=delta, good=good, note=note)


def _cpu_card(metrics: Metrics, base: Metrics) -> Card:
    value, other = (_cpu_per_image(one) for one in (metrics, base))
    unknown = "" if value is not None else " Unknown here: this run took no samples."
    return Card(
        label="CPU per image",
        value=format.milliseconds(value),
        help=DEFINITIONS["cpu_s"] + unknown,
        delta=_signed(value - other, format.milliseconds) if value is not None and other is not None else None,
        good="less",
    )


def _cpu_per_image(metrics: Metrics) -> float | None:
    return metrics.cpu_s / metrics.images if metrics.cpu_s is not None and metrics.images else None


def _signed(difference: float, written: Callable[[float], str]) -> str | None:
    if difference == 0:
        return None
    return f"{'+' if difference > 0 else '-'}{written(abs(difference))}"


def _accuracy_delta(value: float | None, base: float | None) -> str | None:
    if value is None or base is None or round(100 * (value - base)) == 0:
        return None
    return f"{100 * (value - base):+.0f} points"


def state_badge(state: str) -> None:
    """The state of a run as a word with a sign and a colour."""
    icon, colour = _STATES.get(state, (":material/help:", "gray"))
    st.badge(format.literal(state), icon=icon, color=colour)


def verdict_line(verdict: Verdict) -> None:
    """Preflight's sum in one line: whether it fits is told by sign, word and colour."""
    if verdict.fits:
        st.success(f"Fits: {format.literal(verdict.sentence)}", icon=":material/check_circle:")
    else:
        st.error(f"Does not fit: {format.literal(verdict.sentence)}", icon=":material/error:")


def run_label(run: RunSummary | RunRecord) -> str:
    """One run in one line of plain text, for places that interpret no Markdown."""
    config = run.config
    parts = [
        config.strategy,
        f"{format.shortened(config.model, 30)} on {format.shortened(dataset_words(config.dataset), 30)}",
        *(setting_text(name, config) for name in ("limit", "batch_size", "concurrency")),
        *option_words(config),
        format.moment(run.created_at),
        run.id[:6],
    ]
    return " · ".join(parts)


def untrained_note(model: str) -> None:
    """Say of the untrained model that its labels mean nothing; of another one, say nothing."""
    if model == UNTRAINED:
        st.caption(UNTRAINED_NOTE, help="Its weights are random: the cost of ResNet-50 without its knowledge.")


def gallery(home: Path, dataset: str, predictions: Sequence[Prediction], *, columns: int = 6, model: str = "") -> None:
    """Pictures with label, score and whether the label is right; for an unreadable image, the reason."""
    untrained_note(model)
    image_ids = [prediction.image_id for prediction in predictions]
    pictures = thumbnails(home, dataset, image_ids)
    missing_note(home, dataset, image_ids, pictures)
    grid = st.grid(columns, min_column_width=112, gap="small")
    for prediction, data in zip(predictions, pictures, strict=True):
        with grid.cell():
            picture(data, prediction)
            answer(prediction)


def disagreements(
    home: Path, dataset: str, pairs: Sequence[tuple[str, Sequence[tuple[str, Prediction | None]]]]
) -> None:
    """Pictures that got two answers: for each image id, who said what."""
    image_ids = [image_id for image_id, _ in pairs]
    pictures = thumbnails(home, dataset, image_ids)
    missing_note(home, dataset, image_ids, pictures)
    grid = st.grid(4, min_column_width=160, gap="small")
    for (image_id, answers), data in zip(pairs, pictures, strict=True):
        with grid.cell(), st.container(gap="xxsmall"):
            picture(data, Prediction(image_id))
            for who, prediction in answers:
                st.caption(format.literal(who))
                answer(prediction or Prediction(image_id, status="error", reason="not among its images"))


def missing_note(home: Path, dataset: str, image_ids: Sequence[str], pictures: Sequence[bytes | None]) -> None:
    """Say once why pictures are missing, where their files are not to be had."""
    missing = [image_id for image_id, data in zip(image_ids, pictures, strict=True) if data is None]
    why = next(filter(None, (why_no_picture(dataset, image_id, home) for image_id in missing)), None)
    if why is not None:
        st.caption(f":material/broken_image: {format.count(len(missing), 'picture')} not shown: {format.literal(why)}")


def picture(data: bytes | None, prediction: Prediction) -> None:
    """The thumbnail of an image in a frame of 4 : 3, so that rows are even."""
    if data is None:
        st.markdown(":gray[:material/broken_image: no picture]", help=format.literal(prediction.image_id))
        return
    said = format.shortened(prediction.label, 40) if prediction.label is not None else "no answer"
    st.image(framed(data), width="stretch", alt=f"{format.shortened(prediction.image_id)}: {said}")


def framed(jpeg: bytes) -> str:
    """A picture in the middle of a transparent SVG of 4 : 3."""
    source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 120">'
        f'<image width="160" height="120" href="{source}"/></svg>'
    )


def answer(prediction: Prediction) -> None:
    """The label with its score and whether it is right, or why there is none."""
    if prediction.status == "error":
        reason = format.literal(format.shortened(prediction.reason or "no reason given", 120))
        st.markdown(f":orange[:material/warning:] no answer: {reason}")
        return
    label = format.literal(format.shortened(prediction.label, 40))
    st.markdown(f"**{label}** {format.percent(prediction.score)}  \n{_judgement(prediction)}")


def _judgement(prediction: Prediction) -> str:
    if prediction.correct is None:
        return ":gray[truth unknown]"
    if prediction.correct:
        return ":green[:material/check: right]"
    return f":red[:material/close: wrong, it is {format.literal(format.shortened(prediction.truth, 40))}]"
