"""One image of a run in a dialog: the picture, what the model saw of it, the answer, and where the time went."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from inference import thumbnails
from inference.batches import Batch, batches
from inference.catalog import image_path, why_no_picture
from inference.geometry import Geometry, Seen
from inference.results import PHASES, Prediction
from inference.selection import AnswerFilter, Answers
from inference.store import RunSummary, Store
from pages.ui import charts, format, widgets
from pages.ui.charts import PHASE_WORDS, Figure

PLACE = "image"
"""The parameter of the address that opens the dialog: the image's place among those that are shown, from 1."""


def open_at(place: int) -> None:
    """Open the dialog for the image at this place, from 1; to be called from a callback."""
    st.query_params[PLACE] = str(place)


def asked_place(total: int) -> int | None:
    """The place that the address asks for, from 1; None if it asks for none that is there."""
    text = st.query_params.get(PLACE, "")
    return int(text) if text.isdecimal() and 1 <= int(text) <= total else None


def _close() -> None:
    st.query_params.pop(PLACE, None)


@st.dialog("Image", width="large", icon=":material/image:", on_dismiss=_close)
def draw(store: Store, run: RunSummary, wanted: AnswerFilter, total: int) -> None:
    """The image that the address asks for among the `total` that pass the filter, with its neighbours in reach."""
    place = asked_place(total)
    found = Answers(store.database).page(run.id, wanted, limit=1, offset=place - 1) if place is not None else []
    if place is None or not found:
        st.caption("This image is not among those that are shown any more.")
        return
    prediction = found[0]
    _draw_neighbours(place, total)
    as_it_is, as_seen, answered = st.columns(3, gap="medium")
    _draw_pictures(store, run, prediction, as_it_is, as_seen)
    with answered:
        widgets.answer(prediction)
        widgets.untrained_note(run.config.model)
        widgets.show(top_figure(prediction), key="top-labels")
        _draw_votes(run, prediction)
    facts, timing = st.columns(2, gap="medium")
    batch = batch_of(_batches(store, run), prediction)
    with facts:
        _draw_facts(store, run, prediction, batch)
    with timing:
        _draw_timing(run, batch)


def _draw_neighbours(place: int, total: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for words, step, icon in (("Previous", -1, "chevron_left"), ("Next", 1, "chevron_right")):
            st.button(
                words,
                icon=f":material/{icon}:",
                disabled=not 1 <= place + step <= total,
                key=f"go-{words.lower()}",
                on_click=open_at,
                args=(place + step,),
            )
        st.caption(f"{place:,} of {format.count(total, 'image')}", width="content")


def _draw_pictures(
    store: Store, run: RunSummary, prediction: Prediction, left: DeltaGenerator, right: DeltaGenerator
) -> None:
    """The picture as it is, beside the pixels that the model saw of it."""
    image = thumbnails.picture(store.home, run.config.dataset, prediction.image_id)
    if image is None:
        why = why_no_picture(run.config.dataset, prediction.image_id, store.home) or "It cannot be decoded."
        left.caption(f":material/broken_image: No picture: {format.literal(why)}")
        return
    name = format.shortened(prediction.image_id)
    left.image(
        thumbnails.as_it_is(image),
        width="stretch",
        alt=f"{name} as it is",
        caption=format.literal(f"As it is: {image.width:,} × {image.height:,} pixels"),
    )
    seen = store.geometry(run.id)
    if isinstance(seen, Geometry):
        pixels = thumbnails.as_seen(image, seen)
        right.image(pixels, width="stretch", alt=f"{name} as the model saw it", caption=seen_text(seen))
    else:
        right.caption(seen_text(seen))


def seen_text(seen: Seen | None) -> str:
    """What was done to the picture before the model saw it."""
    if seen is None:
        return "How the model saw the picture is not known for this run. The whole picture is shown."
    if not isinstance(seen, Geometry):
        return (
            "The model's image processor does something of its own, which is not repeated here. "
            "The whole picture is shown."
        )
    steps = []
    if seen.size is not None:
        steps.append(f"resized to {seen.size[1]} × {seen.size[0]} pixels")
    elif seen.shortest_edge is not None:
        steps.append(f"resized so that its shorter side has {seen.shortest_edge} pixels")
    if seen.crop is not None:
        steps.append(f"cropped to the middle {seen.crop[1]} × {seen.crop[0]}")
    return f"As the model saw it: {', then '.join(steps) or 'unchanged'}"


def top_figure(prediction: Prediction) -> Figure:
    """The most probable labels as bars with their scores."""
    if not prediction.top:
        return Figure(chart=None, title="Most probable labels", alt="There is no answer, so there are no scores.")
    rows = [
        {"label": format.shortened(label, 40), "score": score, "text": _score_text(score), "rank": rank}
        for rank, (label, score) in enumerate(prediction.top)
    ]
    y = alt.Y("rank:O", title=None, axis=None)
    base = alt.Chart(alt.Data(values=tuple(rows)))
    bars = base.mark_bar(color=charts.STRATEGY_COLOURS["actor"], height={"band": 0.34}, yOffset=9).encode(
        x=alt.X(
            "score:Q",
            title="score (probability)",
            scale=alt.Scale(domain=[0, 1]),
            axis=alt.Axis(format="~g", tickCount=5),
        ),
        y=y,
    )
    names = base.mark_text(align="left", x=0, dy=-8, fontSize=12, color=alt.expr(charts.TEXT_COLOUR), limit=300).encode(
        text="words:N", y=y
    )
    for row in rows:
        row["words"] = f"{row['label']}  {row['text']}"
    chart = alt.layer(bars, names).properties(height=44 * len(rows), autosize=charts.FIT_WIDTH)
    listed = "; ".join(f"{row['label']} {row['text']}" for row in rows)
    return Figure(
        chart=charts.readable(chart),
        title=f"The {len(rows)} most probable labels" if len(rows) > 1 else "The most probable label",
        alt=f"Bar chart of scores. {listed}.",
    )


def _score_text(score: float) -> str:
    return f"{100 * score:.1f} %" if score >= 0.0005 else "<0.1 %"


def _draw_votes(run: RunSummary, prediction: Prediction) -> None:
    """What each model of an ensemble chooses by itself."""
    if len(prediction.votes) != len(run.config.models):
        return
    for model, (label, score) in zip(run.config.models, prediction.votes, strict=True):
        name, chosen = (format.literal(format.shortened(text, 40)) for text in (model, label))
        st.caption(f"{name} by itself: **{chosen}** {format.percent(score)}")


def _draw_facts(store: Store, run: RunSummary, prediction: Prediction, batch: Batch | None) -> None:
    """When and where the answer was made, and which file it is about."""
    facts = [
        ("Truth", format.plain(prediction.truth) if prediction.truth is not None else "not known"),
        ("Score", f"{prediction.score:.4f}" if prediction.score is not None else format.UNKNOWN),
        ("Ready", f"{format.seconds(prediction.done_s)} after the run began"),
        ("Worker", format.plain(prediction.worker) or format.UNKNOWN),
        ("Batch", f"number {batch.number + 1:,} of this worker" if batch else format.UNKNOWN),
    ]
    st.markdown("\n".join(f"- {words}: {format.literal(text)}" for words, text in facts))
    path = image_path(run.config.dataset, prediction.image_id, store.home)
    st.code(format.plain(path or prediction.image_id), language=None, wrap_lines=True)


def _draw_timing(run: RunSummary, batch: Batch | None) -> None:
    """How long the image's batch took, by phase."""
    if batch is None:
        st.caption("No spans of this image's batch were kept.")
        return
    st.markdown(f"**{format.literal(batch_text(batch))}**")
    st.dataframe(
        [
            {"Phase": PHASE_WORDS[phase], "Time": format.milliseconds(batch.seconds[phase])}
            for phase in PHASES
            if phase in batch.seconds
        ],
        hide_index=True,
        alt="The time that the worker spent on this image's batch, by phase.",
    )
    if run.config.strategy == "pipelined":
        st.caption("Decoding went on in another process, whose batches are cut differently.")


def batch_text(batch: Batch) -> str:
    """How long the batch of an image took; plain text."""
    of = f" of {format.count(batch.images, 'image')}" if batch.images else ""
    return f"Its batch{of} took {format.milliseconds(batch.length_s)}"


def batch_of(found: list[Batch], prediction: Prediction) -> Batch | None:
    """The batch in which an image was answered: the last one of its worker that began before the answer was ready."""
    mine = [batch for batch in found if batch.worker == prediction.worker and batch.start_s < prediction.done_s]
    return max(mine, key=lambda batch: batch.start_s, default=None)


def _batches(store: Store, run: RunSummary) -> list[Batch]:
    return batches(store.spans(run.id)) if run.active else _kept_batches(str(store.home), run.id)


@st.cache_resource(max_entries=4, show_spinner=False)
def _kept_batches(home: str, run_id: str) -> list[Batch]:
    """Kept, because a run that has ended never changes."""
    return batches(Store(Path(home)).spans(run_id))
