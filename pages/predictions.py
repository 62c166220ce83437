"""What did each image get? The answers of a run as pictures: filtered, sorted, and each with all that is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from inference.accuracy import Cell, Confusion
from inference.results import Prediction
from inference.selection import AnswerFilter, Answers
from inference.store import RunSummary, Store
from inference.thumbnails import thumbnails
from pages.ui import confusion, filters, format, picture, state, widgets

PER_PAGE = 48


def page() -> None:
    """Choose a run, say how it did, show its pictures."""
    state.require_app()
    store = state.store()
    st.title("What did each image get?", anchor=False)
    run = filters.choose_run(store)
    if run is None:
        st.info("No run has answers so far.", icon=":material/info:")
        st.page_link("pages/run.py", label="Configure a run", icon=":material/play_arrow:")
        return
    cells, found = confusion.counted(store, run)
    st.header(format.literal(answer_text(cells, found)), anchor=False)
    widgets.untrained_note(run.config.model)
    if found:
        with st.expander("Right and wrong by class", icon=":material/fact_check:"):
            confusion.draw(run.id, found, key="predictions", here=True)
    wanted = filters.choose_answers(store, run, cells)
    draw_answers(store, run, wanted, total=sum(cell.images for cell in cells))


def answer_text(cells: Sequence[Cell], found: Sequence[Confusion]) -> str:
    """How many images, how many of them right, and how many without an answer; plain text."""
    images = sum(cell.images for cell in cells)
    unanswered = sum(cell.images for cell in cells if cell.label is None)
    labels = len({cell.label for cell in cells if cell.label is not None})
    said = (
        confusion.accuracy_text(found)
        if found
        else f"{format.count(images, 'image')} got {format.count(labels, 'label')}"
    )
    return f"{said}; {format.count(unanswered, 'image')} without an answer" if unanswered else said


# -- the pictures ------------------------------------------------------------------------------------------


def draw_answers(store: Store, run: RunSummary, wanted: AnswerFilter, *, total: int) -> None:
    """How many pass the filter, and the page of them that is asked for."""
    answers = Answers(store.database)
    number = answers.count(run.id, wanted)
    narrowed = wanted != AnswerFilter(order=wanted.order)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
            st.markdown(f"**{count_text(number, total, narrowed=narrowed)}**", width="content")
            if narrowed:
                st.button("Show all", icon=":material/filter_alt_off:", on_click=filters.clear, key="show-all")
        shown = draw_pages(number)
    if number == 0:
        st.info("No image fits these filters.", icon=":material/info:")
        return
    first = (shown - 1) * PER_PAGE
    draw_gallery(
        store, run, answers.page(run.id, wanted, limit=PER_PAGE, offset=first), wanted.differs_from, first=first
    )
    if picture.asked_place(number) is not None:
        picture.draw(store, run, wanted, number)


def count_text(number: int, total: int, *, narrowed: bool) -> str:
    """`23 of 1,000 images`."""
    return f"{number:,} of {format.count(total, 'image')}" if narrowed else format.count(total, "image")


def draw_pages(number: int) -> int:
    """The page that is shown, from 1."""
    pages = math.ceil(number / PER_PAGE)
    return int(st.pagination(pages, key=filters.PAGE, bind="query-params")) if pages > 1 else 1


def draw_gallery(
    store: Store, run: RunSummary, predictions: Sequence[Prediction], other_id: str | None, *, first: int
) -> None:
    """Pictures with their answers and a button each; with another run, its answers too."""
    image_ids = [prediction.image_id for prediction in predictions]
    theirs = Answers(store.database).of_images(other_id, image_ids) if other_id is not None else None
    pictures = thumbnails(store.home, run.config.dataset, image_ids)
    widgets.missing_note(store.home, run.config.dataset, image_ids, pictures)
    grid = st.grid(8, min_column_width=132, gap="small")
    for place, (prediction, data) in enumerate(zip(predictions, pictures, strict=True), first + 1):
        with grid.cell(), st.container(gap="xxsmall"):
            widgets.picture(data, prediction)
            st.button(
                format.literal(format.shortened(prediction.image_id.rsplit("/", 1)[-1], 18)),
                key=f"open-{place}",
                help=format.literal(prediction.image_id),
                type="tertiary",
                on_click=picture.open_at,
                args=(place,),
            )
            widgets.answer(prediction)
            if theirs is not None and prediction.image_id in theirs:
                st.caption("the other run:")
                widgets.answer(theirs[prediction.image_id])


page()
