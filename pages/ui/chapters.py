"""The chapters of the Learn page: their words, and what a person's own runs say in each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inference.ledger import ledger
from inference.lessons import LESSONS, Lesson, cuts, overlap_share
from inference.results import RunRecord
from inference.usage import mean_busy, use_over_time, worker_use_over_time
from pages.ui import format
from pages.ui.blocks import blocks_chart
from pages.ui.charts import Figure
from pages.ui.comparison import Arm, Comparison
from pages.ui.phases import PhaseRow, phases_chart
from pages.ui.timeline import timeline_chart
from pages.ui.usage import usage_chart


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What runs say in a chapter."""

    sentence: str
    """With the measured number; plain text."""
    figure: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One idea, told."""

    lesson: Lesson
    title: str
    """The question that it answers."""
    text: tuple[str, ...]
    """Paragraphs in Markdown."""
    find: Callable[[Comparison], Finding]
    """What the runs that `lesson.fitting` chose, as arms in that order, say."""


# -- what the runs say -------------------------------------------------------------------------------------


def loading_found(found: Comparison) -> Finding:
    """The comb of loads in the naive run, and what it cost."""
    naive, actor = found.arms
    before, after = ledger(naive.median.spans), ledger(actor.median.spans)
    sentence = (
        f"{naive.label} loaded the model {_times(before.loads)}, {format.seconds(before.load_s)} each: "
        f"{format.percent(before.load_share)} of its worker time; {actor.label} loaded it {_times(after.loads)}"
    )
    return Finding(sentence=f"{sentence}{_faster(actor)}.", figure=found.timelines[naive.label])


def whole_batches_found(found: Comparison) -> Finding:
    """Seconds of the forward pass per image, one by one and in whole batches."""
    single, whole = found.arms
    before, after = _forward_s(single), _forward_s(whole)
    size = ledger(whole.median.spans).batch_images
    batch = format.significant(size) if size is not None and size != int(size) else f"{size or 0:,.0f}"
    sentence = (
        f"A forward pass took {format.milliseconds(before)} per image one by one, and {format.milliseconds(after)} in "
        f"batches of {batch} on average"
    )
    title = "Worker time by phase: look at the forward pass"
    if before and after:
        title = (
            f"The forward pass of {whole.label} takes {format.percent(after / before)} of the time of {single.label}"
        )
    rows = [PhaseRow(label=arm.label, strategy=arm.strategy, seconds=arm.worker_seconds) for arm in found.arms]
    return Finding(sentence=f"{sentence}{_faster(whole)}.", figure=phases_chart(rows, title=title))


def idle_found(found: Comparison) -> Finding:
    """How many cores were busy with one worker, and with more of them."""
    alone = found.arms[0]
    said = [_busy_text(arm.median) for arm in found.arms]
    sentence = "; ".join(text for text in said if text)
    if not sentence:
        sentence = "These runs took no samples of the machine, so how busy it was is not known"
    elif len(found.arms) > 1:
        sentence += _faster(found.arms[1])
    figure = usage_chart(
        alone.median.samples,
        hardware=alone.median.hardware,
        until_s=alone.metrics.total_s or 0.0,
        strategy=alone.strategy,
    )
    return Finding(sentence=f"{sentence}.", figure=figure)


def starved_found(found: Comparison) -> Finding:
    """The gaps in the lanes of the workers."""
    arm = found.arms[0]
    taken = ledger(arm.median.spans)
    workers = "worker" if taken.workers == 1 else "workers"
    sentence = (
        f"In the latest run that keeps its model, {arm.strategy}, the {workers} had nothing to do for "
        f"{format.seconds(taken.wait_total_s)}, {format.percent(taken.wait_share)} of the worker time."
    )
    figure = timeline_chart(
        arm.median.spans,
        strategy=arm.strategy,
        title=f"Workers of {arm.strategy} had nothing to do for {format.percent(taken.wait_share)} of their time",
    )
    return Finding(sentence=sentence, figure=figure)


def blocks_found(found: Comparison) -> Finding:
    """The blocks of each run above its batches."""
    cut = {f"batch {arm.median.config.batch_size:,}": cuts(arm.median.spans) for arm in found.arms}
    said = [
        f"asked for batches of {arm.median.config.batch_size:,}, {arm.strategy} read "
        f"{format.count(len(pieces.blocks), 'block')} and ran {format.count(len(pieces.batches), 'batch')}"
        for arm, pieces in zip(found.arms, cut.values(), strict=True)
    ]
    faster = _faster(found.arms[1]) if len(found.arms) > 1 else ""
    figure = blocks_chart(cut, strategy=found.arms[0].strategy)
    return Finding(sentence=f"{'; '.join(said)}{faster}.", figure=figure)


def overlap_found(found: Comparison) -> Finding:
    """How much of the computing had decoding beside it."""
    turns, overlapped = found.arms
    shares = [overlap_share(arm.median.spans) for arm in found.arms]
    sentence = (
        f"During {format.percent(shares[1])} of the time that {overlapped.label} spent on forward passes, the next "
        f"images were being decoded; in {turns.label}, during {format.percent(shares[0])}"
    )
    if shares[1] is not None and round(shares[1], 2) == 0:
        sentence += ". Nothing overlapped here: the lanes below show who waited for whom"
    figure = timeline_chart(
        overlapped.median.spans,
        strategy=overlapped.strategy,
        title=f"Decoding goes on during {format.percent(shares[1])} of the forward passes of {overlapped.label}",
    )
    return Finding(sentence=f"{sentence}{_faster(overlapped)}.", figure=figure)


def _times(loads: int) -> str:
    return {0: "never", 1: "once"}.get(loads, f"{loads:,} times")


def _faster(arm: Arm) -> str:
    """What follows a sentence about this arm: how it stood against the first one, if that is known."""
    if arm.speedup is None:
        return ""
    chance = ", which may be chance" if arm.speedup.tie else ""
    return f". End to end, {arm.label} was {format.ratio(arm.speedup.ratio)} as fast{chance}"


def _forward_s(arm: Arm) -> float | None:
    images = ledger(arm.median.spans).images
    return arm.worker_seconds["forward"] / images if images else None


def _busy_text(run: RunRecord) -> str:
    uses = use_over_time(run.samples)
    busy = mean_busy(uses)
    if busy is None:
        return ""
    own = mean_busy(worker_use_over_time(run.samples, [use.at_s for use in uses]))
    whose = f", {format.significant(own, 2)} of them with this run's own work" if own is not None else ""
    hardware = run.hardware or {}
    cores = hardware.get("cpu_limit") or hardware.get("cpus")
    of = f" of {cores:g}" if cores else ""
    workers = format.count(run.config.concurrency, "worker")
    return f"with {workers}, {format.significant(busy, 2)}{of} cores were busy on average{whose}"


# -- the words ---------------------------------------------------------------------------------------------

_TITLES_AND_WORDS: tuple[tuple[str, tuple[str, ...], Callable[[Comparison], Finding]], ...] = (
    (
        "Why is the same model loaded again and again?",
        (
            "Ray Data calls your function with a **batch**: a handful of images that arrive together. The naive "
            "way runs that function in **tasks**. A task keeps nothing from one call to the next, so a function "
            "that needs a model has to build it, use it for one batch, and lose it.",
            "An **actor** is a worker that stays. Its constructor runs once, and what it keeps is still there "
            "when the next batch comes. Moving the load into the constructor is the whole change.",
        ),
        loading_found,
    ),
    (
        "Do images that arrive together go through the model together?",
        (
            "Not by themselves. The naive and the actor way both take a batch apart and give the model one image "
            "at a time. Each such **forward pass** also has costs that do not depend on how many images it "
            "carries: layers are called one after the other, and memory is found for their results.",
            "One pass for the whole batch pays those costs once and gives the hardware larger sums to do. What "
            "that saves differs from model to model and from machine to machine, so measure it before you count "
            "on it.",
        ),
        whole_batches_found,
    ),
    (
        "Who is working while the run is slow?",
        (
            "Ray keeps an account of CPUs. A worker reserves some, and starts only when they are free. The "
            "account decides how many workers run side by side, not how busy each of them is.",
            "So one worker of one thread uses about one core, however many there are. More workers use more "
            "cores, and each of them needs memory for a model of its own. A worker that only loads keeps a core "
            "busy, too: busy is not the same as useful.",
        ),
        idle_found,
    ),
    (
        "What if the workers reserve every CPU?",
        (
            "Images must be read before a model can see them, and the tasks that read need a CPU as well. Actors "
            "give theirs back only when the run is over. If they reserve all of them, reading never starts: "
            "workers wait for images, images wait for a CPU, and nothing reports an error.",
            "That is why the sum below is done before any run, and a run that could only hang is refused. The "
            "mild form is more common: reading goes on, only more slowly than the model could use it. Then the "
            "workers' lanes show gaps.",
        ),
        starved_found,
    ),
    (
        "Is a block the same as a batch?",
        (
            "No. A **block** is what Ray Data stores and passes on: a small table of images. A **batch** is what "
            "your function gets in one call. Ray Data cuts batches out of blocks, and joins blocks where one is "
            "too small.",
            "Blocks decide how much can go on side by side and how often there is progress to see. Batches decide "
            "how often the function is called, and in the naive way how often the model is loaded. Here, blocks "
            "are made of whole batches, so that at most the very last batch is smaller than asked for.",
        ),
        blocks_found,
    ),
    (
        "Can the next images be decoded while the model computes?",
        (
            "In the batched way a worker takes turns: it decodes, then it computes. In the pipelined way decoding "
            "has tasks of its own. Ray Data runs all steps at once and streams blocks from one to the next, so "
            "the next images can become pixels while the model works on these.",
            "One habit of Ray Data gets in the way. It joins neighbouring steps whose arguments are alike into "
            "one task, which is called **operator fusion**. That saves moving data, and makes the steps take "
            "turns again. Steps that should overlap need arguments that differ, and decoding needs a core that is "
            "free.",
        ),
        overlap_found,
    ),
)

CHAPTERS = tuple(
    Chapter(lesson=lesson, title=title, text=text, find=find)
    for lesson, (title, text, find) in zip(LESSONS, _TITLES_AND_WORDS, strict=True)
)
"""In their order."""
