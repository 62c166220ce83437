"""A run while it waits, works or stops: how far it is, how fast, and what it is doing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from inference.errors import StoreUnavailable
from inference.results import OperatorProgress, Progress, RunRecord, throughput
from inference.store import RunSummary
from pages.ui import dialogs, limit, outcome, state
from pages.ui.format import UNKNOWN, count, literal, rate, seconds
from pages.ui.lines import throughput_chart
from pages.ui.state import Pace
from pages.ui.timeline import timeline_chart
from pages.ui.usage import usage_chart
from pages.ui.widgets import gallery, show, state_badge
from pages.ui.words import summary_line

POLL_S = 1
EVIDENCE_POLL_S = 3
"""Building the charts takes a tenth of a second of a processor that the run itself needs."""
AT_WORK = ("running", "cancelling")
LIVE_IMAGES = 2000
"""Of a larger run only this many of the newest answers are read each second, so that watching stays quick."""
LATEST_PICTURES = 8
LIVE_SHARE = "The rate of now divided by the limit, which is what one program could reach at best on this machine."
MAX_RUNS = 20
"""More runs than this are no one launch; an address that names more is cut."""


def addressed_runs() -> list[str]:
    """The ids in the address: `?run=a,b,c` shows the runs of one launch, following the one that works."""
    named = (part.strip() for part in st.query_params.get("run", "").split(","))
    return list(dict.fromkeys(part for part in named if part))[:MAX_RUNS]


def draw(run_ids: Sequence[str]) -> None:
    """Draw the runs of one launch; keeps itself up to date while one of them is active."""
    store = state.store()
    found = [run for run in map(store.summary, run_ids) if run is not None]
    for run_id in set(run_ids) - {run.id for run in found}:
        st.warning(
            f"There is no run {literal(run_id[:40])} here: it was deleted, or the address has a mistake. "
            "All runs are on the History page.",
            icon=":material/search_off:",
        )
    if not found:
        if not run_ids:
            _nothing_yet(store.active())
        return
    every = POLL_S if any(run.active for run in found) else None
    st.fragment(_runs, run_every=every)([run.id for run in found], _situation(found))
    shown = followed(found)
    if shown.state in AT_WORK:
        st.fragment(_evidence, run_every=EVIDENCE_POLL_S)(shown.id)


def followed(runs: Sequence[RunSummary]) -> RunSummary:
    """The run to show of several: the one at work, else the next in the queue, else the last."""
    waiting = [run for run in runs if run.active]
    at_work = [run for run in waiting if run.state != "queued"]
    return (at_work or waiting or list(runs)[-1:])[0]


def _situation(runs: Sequence[RunSummary]) -> tuple[tuple[str, str], ...]:
    return tuple((run.id, run.state) for run in runs)


def _nothing_yet(active: Sequence[RunSummary]) -> None:
    with st.container(border=True):
        st.markdown("**No run is shown yet**")
        st.caption("Choose settings and launch a run: it shows here while it works, and after it has ended.")
        if active:
            _watch(active[0], "Watch the run that is active now")


def _watch(run: RunSummary, label: str) -> None:
    st.page_link("pages/run.py", label=label, icon=":material/monitoring:", query_params={"run": run.id})


def _runs(run_ids: Sequence[str], drawn_for: tuple[tuple[str, str], ...]) -> None:
    """The quick fragment: how far, how fast, and Cancel."""
    try:
        store = state.store()
        runs = [run for run in map(store.summary, run_ids) if run is not None]
        if _situation(runs) != drawn_for:
            dialogs.redraw_page()  # a run has changed its state: the whole page is out of date
        run = followed(runs)
        _title(run)
        if len(runs) > 1:
            outcome.launch_overview(runs, shown=run.id)
        if run.state == "queued":
            _queued(run)
        elif run.active:
            _working(run)
        else:
            outcome.draw(run)
    except StoreUnavailable as error:
        st.error(literal(error), icon=":material/database_off:")


def _title(run: RunSummary) -> None:
    with st.container(horizontal=True, wrap=False, gap="small", key="run-title"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(literal(run.config.strategy), anchor=False, width="content")
            state_badge(run.state)
            st.markdown(f":gray[{literal(summary_line(run.config))}]", width="content")
        _cancel(run)


def _cancel(run: RunSummary) -> None:
    """Always in the same place, so that nobody has to look for it."""
    st.button(
        "Cancelling…" if run.state == "cancelling" else "Cancel",
        key="cancel",
        icon=":material/stop_circle:",
        disabled=run.state not in ("queued", "running"),
        on_click=state.store().request_cancel,
        args=(run.id,),
        help="What was measured until then is kept." if run.active else "This run has ended.",
    )


def _queued(run: RunSummary) -> None:
    ahead = [other for other in state.store().active() if other.seq < run.seq]
    if not ahead:
        st.info("Next in the queue: it starts as soon as the engine is ready.", icon=":material/schedule:")
        return
    st.info(
        f"{count(len(ahead), 'run')} before this one: runs wait for each other, "
        "because two at once would distort each other's timing.",
        icon=":material/schedule:",
    )
    _watch(ahead[0], "Watch the first of them")


def _working(run: RunSummary) -> None:
    progress = _progress(run)
    record = _newest(run)
    pace = state.pace(run.id, run.progress)
    _progress_bar(run, progress, pace)
    _figures(record, progress, pace, [y for _, y in _points(record, progress)])


def _evidence(run_id: str) -> None:
    """The slower fragment: what the run has done so far."""
    try:
        run = state.store().summary(run_id)
        if run is None or run.state not in AT_WORK:
            return  # the other fragment is about to redraw the page
        progress, record = _progress(run), _newest(run)
        if _is_whole(record, progress):
            _charts(record, progress, _points(record, progress))
        else:
            st.caption(
                f"The curve beside the rate is of the newest {count(len(record.predictions), 'image')}. "
                "Throughput and workers over the whole run are drawn when it has ended."
            )
        _latest_pictures(record)
        _operators(record.operators)
        outcome.messages(record.messages)
    except StoreUnavailable as error:
        st.error(literal(error), icon=":material/database_off:")


def _progress(run: RunSummary) -> Progress:
    return run.progress or Progress(phase="starting", images_total=run.config.limit)


def _is_whole(record: RunRecord, progress: Progress) -> bool:
    return progress.images_done <= len(record.predictions)


def _points(record: RunRecord, progress: Progress) -> list[tuple[float, float]]:
    """Images/s over time; where only the newest answers were read, timed from the first of them."""
    if _is_whole(record, progress) or not record.predictions:  # a run that has just ended shows none for a moment
        return throughput(record.predictions)
    first_s = min(prediction.done_s for prediction in record.predictions)
    return throughput([replace(answer, done_s=answer.done_s - first_s) for answer in record.predictions])


def _charts(record: RunRecord, progress: Progress, points: Sequence[tuple[float, float]]) -> None:
    strategy = record.config.strategy
    show(
        throughput_chart(
            {strategy: points},
            strategies={strategy: strategy},
            title="Throughput over time",
            limit=limit.known(state.store(), record.config, state.hardware()).images_per_s,
            until_s=progress.elapsed_s,
        ),
        key="live-throughput",
    )
    elapsed_s = max([progress.elapsed_s, *(span.end_s for span in record.spans)])
    show(timeline_chart(record.spans, until_s=elapsed_s, strategy=strategy), key="live-timeline")
    show(
        usage_chart(
            record.samples,
            hardware=record.hardware,
            until_s=elapsed_s,
            strategy=strategy,
            title="How busy the machine is",
        ),
        key="live-usage",
    )


def _newest(run: RunSummary) -> RunRecord:
    """All of a small run, the newest stretch of a large one."""
    store = state.store()
    small = run.progress is None or run.progress.images_done <= LIVE_IMAGES
    record = store.get(run.id) if small else None
    return record or RunRecord(
        id=run.id,
        state=run.state,
        config=run.config,
        created_at=run.created_at,
        progress=run.progress,
        predictions=tuple(store.recent(run.id, predictions=LIVE_IMAGES)),
    )


def _progress_bar(run: RunSummary, progress: Progress, pace: Pace) -> None:
    words = [progress.phase]
    if not progress.elapsed_s and run.started_at is not None:
        # The run's own clock starts once everything is ready; until then a person should see that time passes.
        words.append(f"{max(0, round(time.time() - run.started_at))} s")
    if progress.images_total:
        words.append(f"{progress.images_done:,} of {count(progress.images_total, 'image')}")
    if run.state == "cancelling":
        words = ["cancelling…", *words[1:]]
    elif pace.left is not None:
        words.append(pace.left)
    share = progress.images_done / progress.images_total if progress.images_total else 0.0
    st.progress(min(1.0, share), text=literal(" · ".join(words)))


def _figures(record: RunRecord, progress: Progress, pace: Pace, history: Sequence[float]) -> None:
    loads = [span for span in record.spans if span.phase == "load"]
    load_s = sum(span.seconds for span in loads)
    with st.grid("auto", min_column_width=150, gap="xsmall"):
        st.metric(
            "Now",
            rate(pace.images_per_s),
            help="Images per second over the last ten seconds, from the run's progress. "
            "A dash until enough images are done to tell.",
            chart_data=list(history) or None,
            chart_type="area",
            border=True,
            height="stretch",
        )
        above = limit.known(state.store(), record.config, state.hardware())
        share = limit.card(above, pace.images_per_s, definition=LIVE_SHARE)
        _card(share.label, share.value, share.help)
        _card("Elapsed", seconds(progress.elapsed_s), "Seconds since the run began.")
        _card(
            "Model loads",
            f"{len(loads):,} × {seconds(load_s / len(loads))}" if loads else UNKNOWN,
            "How often the model was loaded so far, and the mean length of one load. From the load spans.",
        )


def _card(label: str, value: str, help: str) -> None:
    st.metric(label, literal(value), help=help, border=True, height="stretch")


def _latest_pictures(record: RunRecord) -> None:
    latest = sorted(record.predictions, key=lambda prediction: prediction.done_s)[-LATEST_PICTURES:]
    if latest:
        st.markdown("**Latest pictures**")
        gallery(
            state.store().home,
            record.config.dataset,
            latest[::-1],
            columns=LATEST_PICTURES,
            model=record.config.model,
        )


def _operators(operators: Sequence[OperatorProgress]) -> None:
    if not operators:
        return
    st.markdown("**Operators**", help="The steps of Ray Data's plan, as its executor last saw them.")
    st.dataframe(
        [
            {
                "operator": operator.name,
                "rows": operator.rows,
                "tasks active": operator.tasks_active,
                "tasks finished": operator.tasks_finished,
                "actors": operator.actors,
                "queued blocks": operator.queued_blocks,
            }
            for operator in operators
        ],
        hide_index=True,
        key="live-operators",
        alt="Ray Data's operators with their rows, tasks, actors and queued blocks.",
    )
