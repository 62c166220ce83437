"""What loading cost each side of a comparison, from how many images loading once pays, and a formula to play with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import streamlit as st

from inference.ledger import Ledger, break_even_images, ledger
from inference.report import objections
from inference.results import RunRecord
from pages.ui import format, state, widgets
from pages.ui.comparison import Arm
from pages.ui.loading_curve import MAX_BATCH, Measured, Terms, prediction_chart

FORMULA = "speed-up ≈ 1 + L ÷ (B × t)"
_STEPS_EACH_WAY = 10
_STEPS_PER_DOUBLING = 2
_CLOSE = 1.05
"""A measured ratio and a predicted one that differ by less than this factor are said to agree."""


def draw(arms: Sequence[Arm], *, key: str = "ledger") -> None:
    """The ledger of all sides, the break-even, and the formula beside what was measured; `key` begins widget keys."""
    st.subheader("What loading costs", anchor=False)
    draw_table(arms)
    naive = naive_of(arms)
    if naive is None:
        st.caption(
            "None of these runs loads the model for every batch. Run the strategy naive over the same images to see "
            "from how many images on loading once pays."
        )
        st.page_link("pages/run.py", label="Configure a naive run", query_params={"strategy": "naive"})
        return
    terms, others = Terms.measured(kept(naive.median)), set_against(arms, naive)
    for sentence in break_even_sentences(naive, others):
        st.markdown(format.literal(format.sentence_case(sentence)))
    if terms is None:
        st.caption("The naive run ended before a load and an image were measured, so the formula has nothing to go by.")
        return
    for sentence in formula_sentences(naive, terms, others):
        st.markdown(format.literal(format.sentence_case(sentence)))
    draw_sliders(naive, terms, others, key=key)


# -- the table ---------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=48, show_spinner=False)
def _kept(run_id: str, _run: RunRecord) -> Ledger:
    return ledger(_run.spans)


def kept(run: RunRecord) -> Ledger:
    """The ledger of a run; kept, because a run that has ended never changes."""
    return ledger(run.spans) if run.active else _kept(run.id, run)


def draw_table(arms: Sequence[Arm]) -> None:
    """One row for each side: loads, seconds each, seconds in all, and their share of the worker time."""
    st.table(
        [table_row(arm) for arm in arms],
        hide_index=True,
        border="horizontal",
        alt="Loads of the model in each run, the seconds that they took, and their share of the time of the workers.",
    )


def table_row(arm: Arm) -> dict[str, str]:
    """A row of the ledger's table, in Markdown; what was not measured is a dash."""
    found = kept(arm.median)
    known = found.loads > 0
    return {
        "run": format.literal(arm.label),
        "loads": f"{found.loads:,}" if known else format.UNKNOWN,
        "seconds each": format.seconds(found.load_s),
        "seconds in all": format.seconds(found.load_total_s if known else None),
        "share of worker time": format.percent(found.load_share if known else None),
    }


# -- who is set against whom -------------------------------------------------------------------------------


def naive_of(arms: Sequence[Arm]) -> Arm | None:
    """The side that loads for every batch, the baseline before others; None where none does."""
    return next((arm for arm in arms if arm.strategy == "naive"), None)


def set_against(arms: Sequence[Arm], naive: Arm) -> list[Measured]:
    """The sides that load once and did the same work as the naive one, each with its ratio to it."""
    found = []
    for arm in arms:
        # Few plain comparisons first: the last one looks at every image.
        if arm.strategy == "naive" or _other_work(naive.median, arm.median):
            continue
        if arm.speedup is not None and arms[0] is naive:
            found.append(Measured(arm=arm, ratio=arm.speedup.ratio, low=arm.speedup.low, high=arm.speedup.high))
        elif arm.metrics.images_per_s and naive.metrics.images_per_s:
            found.append(Measured(arm=arm, ratio=arm.metrics.images_per_s / naive.metrics.images_per_s))
    return found


def _other_work(naive: RunRecord, other: RunRecord) -> bool:
    if naive.config.limit != other.config.limit:
        return True
    return _kept_other_work(naive.id, other.id, naive, other)


@st.cache_resource(max_entries=48, show_spinner=False)
def _kept_other_work(naive_id: str, other_id: str, _naive: RunRecord, _other: RunRecord) -> bool:
    return bool(objections([_naive, _other]))


# -- sentences ---------------------------------------------------------------------------------------------


def break_even_sentences(naive: Arm, others: Sequence[Measured]) -> list[str]:
    """From how many images each side pays, and what that assumes; plain text."""
    if not others:
        return ["No run here did the same images with the model loaded once, so there is nothing to break even."]
    sentences = [_break_even(naive, other.arm) for other in others]
    return [
        *sentences,
        "This sets the set-up of the workers that keep their model against the loads of the naive run. It assumes that "
        "an image takes as long either way, that every load takes the mean of those measured, and that both sides have "
        "as many workers.",
    ]


def _break_even(naive: Arm, arm: Arm) -> str:
    before, after = kept(naive.median), kept(arm.median)
    images = break_even_images(before, after)
    if images is None:
        return f"From how many images on {arm.label} pays is not known: not every load was measured."
    start = "from the first image on" if images == 1 else f"from {format.count(images, 'image')} on"
    workers = format.count(after.workers, "worker")
    setup = f"{workers} took {format.seconds(after.setup_total_s)} to start, import, load and warm up"
    own = f"{naive.label} took {format.seconds(before.process_total_s)} to start and import"
    load = f"{format.seconds(before.load_s)} for the load before each batch"
    return f"{arm.label} pays for itself {start}: {setup}; {own}, and {load}."


def formula_sentences(naive: Arm, terms: Terms, others: Sequence[Measured]) -> list[str]:
    """What the formula says, what was measured, and why the two differ; plain text."""
    batch = _images_text(terms.batch_images)
    product = f"1 + {format.significant(terms.load_s)} s ÷ ({batch} × {format.significant(terms.image_s)} s)"
    said = [f"{FORMULA} = {product} = {format.ratio(terms.speedup)}, all of it from {naive.label} alone."]
    return said + [_beside(naive, terms, other) for other in others]


def _beside(naive: Arm, terms: Terms, other: Measured) -> str:
    measured = f"Measured, end to end, {other.arm.label} is {format.ratio(other.ratio)} as fast as {naive.label}"
    factor = max(other.ratio, terms.speedup) / min(other.ratio, terms.speedup)
    if factor < _CLOSE:
        return f"{measured}, close to what the formula says."
    side = "less" if other.ratio < terms.speedup else "more"
    return " ".join([f"{measured}: {side} than the formula says.", *reasons(naive, other.arm)])


def reasons(naive: Arm, arm: Arm) -> list[str]:
    """What the formula leaves out and these two runs have, each with its measured size; plain text."""
    before, after = kept(naive.median), kept(arm.median)
    said = []
    if arm.metrics.setup_s is not None and arm.metrics.total_s:
        said.append(
            f"Set-up, which it leaves out, is {format.seconds(arm.metrics.setup_s)} of the "
            f"{format.seconds(arm.metrics.total_s)} that {arm.label} took."
        )
    steady, base = arm.metrics.steady_images_per_s, naive.metrics.steady_images_per_s
    if steady and base:
        said.append(f"Once both are under way, the ratio is {format.ratio(steady / base)}.")
    if before.wait_share is not None and after.wait_share is not None:
        said.append(
            f"Workers had nothing to do for {format.percent(before.wait_share)} of their time in {naive.label} and "
            f"{format.percent(after.wait_share)} in {arm.label}."
        )
    if before.image_s and after.image_s:
        said.append(
            f"Without loading, a worker spent {format.milliseconds(before.image_s)} on an image in {naive.label} and "
            f"{format.milliseconds(after.image_s)} in {arm.label}."
        )
    if max(before.workers, after.workers) > 1:
        said.append(
            f"{format.count(before.workers, 'worker process')} of {naive.label} and {after.workers:,} of {arm.label} "
            "share the cores, the disk and one task that reads."
        )
    return said


# -- the sliders -------------------------------------------------------------------------------------------


def scale_around(value: float) -> list[float]:
    """Numbers from a 32nd of a measured one to its 32-fold, each 1.4 times the one before; the very value is in it."""
    steps = range(-_STEPS_EACH_WAY, _STEPS_EACH_WAY + 1)
    return [value if step == 0 else value * 2 ** (step / _STEPS_PER_DOUBLING) for step in steps]


def batch_sizes(value: float) -> list[float]:
    """The powers of two up to `MAX_BATCH`, and the measured mean among them."""
    powers = {float(2**power) for power in range(int(math.log2(MAX_BATCH)) + 1)}
    return sorted(powers | {value})


def draw_sliders(naive: Arm, terms: Terms, others: Sequence[Measured], *, key: str) -> None:
    """The three terms to play with, from what was measured on, and what the formula makes of them."""
    st.markdown("**What if the load, the batch or the image were others?**")
    # The run is part of the keys: another run has other marks on its sliders.
    keys = {name: f"{key}-{name}-{naive.median.id}" for name in ("load", "batch", "image")}
    columns = st.grid(3, min_column_width=220, gap="medium")
    with columns.cell():
        load_s = _slider("L: seconds per load", scale_around(terms.load_s), terms.load_s, keys["load"], _seconds_text)
    with columns.cell():
        batch = _slider(
            "B: images per batch", batch_sizes(terms.batch_images), terms.batch_images, keys["batch"], _images_text
        )
    with columns.cell():
        image_s = _slider(
            "t: milliseconds per image", scale_around(terms.image_s), terms.image_s, keys["image"], format.milliseconds
        )
    chosen = Terms(load_s=load_s, batch_images=batch, image_s=image_s)
    st.button(
        "Back to what was measured",
        icon=":material/restart_alt:",
        key=f"{key}-reset",
        disabled=chosen == terms,
        on_click=state.assign,
        args=({keys["load"]: terms.load_s, keys["batch"]: terms.batch_images, keys["image"]: terms.image_s},),
    )
    widgets.show(prediction_chart(chosen, terms, others), key=f"{key}-prediction")


def _slider(label: str, options: list[float], measured: float, key: str, written: Callable[[float], str]) -> float:
    def shown(value: float) -> str:
        return f"{written(value)}, measured" if value == measured else written(value)

    if state.value(key) is None:
        state.assign({key: measured})
    return float(st.select_slider(label, options, format_func=shown, key=key))


def _seconds_text(value: float) -> str:
    return f"{format.significant(value)} s"


def _images_text(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else format.significant(value)
