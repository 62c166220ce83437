"""A run that has ended: what it amounts to, or why it did not, and where to go from here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import streamlit as st

from inference.advice import advise
from inference.config import RunConfig
from inference.parity import members_agree
from inference.prediction import telling
from inference.preflight import check
from inference.results import Metrics, RunRecord, metrics, throughput
from inference.store import RunSummary
from inference.usage import batch_latencies
from pages.ui import library, limit, scaling, settings, share, state
from pages.ui.charts import Figure
from pages.ui.format import UNKNOWN, count, lines_, literal, percent, rate, seconds
from pages.ui.latency import latency_chart
from pages.ui.lines import throughput_chart
from pages.ui.timeline import timeline_chart
from pages.ui.usage import usage_chart
from pages.ui.widgets import gallery, metric_cards, run_cards, run_label, show, state_badge
from pages.ui.words import summary_line

PICTURES = 12
COMPARABLE = 8
LOOK_BACK = 300  # runs that advice may look at

WHAT_NOW = {
    "failed": "This run failed. Change what the reason below names, and run again.",
    "cancelled": "This run was cancelled.",
    "crashed": "The engine ended before the run did, and was started anew. Launch the run again; "
    "if it happens again, lower batch size or concurrency, because memory is the usual reason.",
}


@dataclass(frozen=True)
class _Ended:
    """A run that has ended, with what is derived from it, once and only where it is asked for."""

    record: RunRecord

    @cached_property
    def figures(self) -> Metrics:
        return metrics(self.record)

    @cached_property
    def throughput(self) -> Sequence[tuple[float, float]]:
        return throughput(self.record.predictions)

    @cached_property
    def end_s(self) -> float:
        """Where the time axis of its charts ends."""
        return max([self.figures.total_s or 0.0, *(span.end_s for span in self.record.spans)])

    @cached_property
    def timeline(self) -> Figure:
        return timeline_chart(self.record.spans, until_s=self.end_s, strategy=self.record.config.strategy)

    @cached_property
    def usage(self) -> Figure:
        return usage_chart(
            self.record.samples,
            hardware=self.record.hardware,
            until_s=self.end_s,
            strategy=self.record.config.strategy,
        )

    @cached_property
    def latency(self) -> Figure:
        label = self.record.config.strategy
        return latency_chart({label: batch_latencies(self.record.spans)}, strategies={label: label})


@st.cache_resource(max_entries=8, show_spinner=False)
def _ended(home: str, run_id: str, finished_at: float | None) -> _Ended | None:
    """A run that has ended changes no more, so what was read and derived once is kept."""
    record = state.store().get(run_id)
    return None if record is None else _Ended(record)


def draw(run: RunSummary) -> None:
    """The outcome of a run that has ended."""
    kept = _ended(str(state.store().home), run.id, run.finished_at)
    if kept is None:
        st.warning("This run was deleted.", icon=":material/search_off:")
        return
    record, figures = kept.record, kept.figures
    above = limit.of_run(state.store(), record)
    _verdict(record, figures)
    if record.state == "finished":
        _advice(record, figures)
    _next_steps(run, record, above)
    library.describe(run)
    if record.predictions or record.spans:
        metric_cards([*run_cards(figures), limit.card(above, figures.steady_images_per_s)])
        _figures(kept, above)
        _pictures(record)
    if record.state == "finished":
        _scaling(record)
    messages(record.messages)
    if record.plan:
        with st.expander("Ray Data's plan"):
            st.code(lines_(record.plan), language=None, wrap_lines=True)


def _verdict(record: RunRecord, figures: Metrics) -> None:
    """The answer as a sentence with a number, or what stands in its way."""
    if record.state == "finished":
        st.markdown(
            f"**{literal(record.config.strategy)} did {rate(figures.images_per_s)}**: "
            f"{count(figures.images, 'image')} in {seconds(figures.total_s)}, "
            f"{seconds(figures.setup_s)} of them set-up."
            + (f" {count(figures.errors, 'image')} without an answer." if figures.errors else "")
        )
        if record.config.members:
            same, answered = members_agree(record.predictions)
            st.caption(
                f"Its {len(record.config.models)} models choose the same label for {same:,} of {answered:,} images."
            )
        return
    show_as = st.info if record.state == "cancelled" else st.error
    show_as(WHAT_NOW[record.state])
    if record.error:
        st.code(lines_(record.error), language=None, wrap_lines=True)
    if figures.images:
        st.caption(
            f"Partial: {figures.images:,} of {count(record.config.limit, 'image')} were done when it ended; "
            "what was measured until then is below."
        )


def _advice(record: RunRecord, figures: Metrics) -> None:
    """The one change that the measurements speak for, and a button that runs it."""
    found = advise(record, state.hardware(), state.store().summaries(limit=LOOK_BACK), figures=figures)
    if found is None:
        return
    with st.container(border=True, gap="small", key="advice"):
        st.markdown(f":material/lightbulb: {literal(found.evidence)}")
        token = state.request_key("advice")
        st.button(
            literal(found.action),
            key=f"advice-{token}",
            icon=":material/play_arrow:",
            help=literal(summary_line(found.config)),
            on_click=_queue,
            args=(found.config, "advice", token),
        )


def _next_steps(run: RunSummary, record: RunRecord, above: limit.Known) -> None:
    with st.container(horizontal=True, gap="small", key="next-steps"):
        fits = check(run.config, state.hardware()).fits
        token = state.request_key("again")
        st.button(
            "Run again",
            key=f"again-{token}",
            icon=":material/replay:",
            disabled=not fits,
            help="Queue a run with the settings of this one." if fits else "These settings do not fit this machine.",
            on_click=_queue,
            args=(run.config, "again", token),
        )
        if run.state == "finished":
            _compare_with(run)
        limit.draw_details(above)
        if record.predictions:
            share.run_downloads(record)


def _queue(config: RunConfig, name: str, token: str) -> None:
    """Queue a run once, and show it."""
    ids = state.store().enqueue([config], request_key=token)
    state.renew_request_key(name)
    settings.apply(config)
    st.query_params["run"] = ids[0]


def _compare_with(run: RunSummary) -> None:
    others = [
        other
        for other in state.store().summaries(limit=50)
        if other.id != run.id
        and other.state == "finished"
        and (other.config.model, other.config.dataset) == (run.config.model, run.config.dataset)
    ][:COMPARABLE]
    with st.popover("Compare with…", icon=":material/balance:", disabled=not others):
        for other in others:
            st.page_link(
                "pages/compare.py",
                label=literal(run_label(other)),
                query_params={"runs": f"{other.id},{run.id}"},
            )


def _figures(kept: _Ended, above: limit.Known) -> None:
    label = kept.record.config.strategy
    show(
        throughput_chart({label: kept.throughput}, strategies={label: label}, limit=above.images_per_s),
        key="ended-throughput",
    )
    show(kept.timeline, key="ended-timeline")
    show(kept.usage, key="ended-usage")
    show(kept.latency, key="ended-latency")


def _scaling(record: RunRecord) -> None:
    """What other batch sizes and numbers of workers did; read from the history only where a person asks for it."""
    folded = st.expander("What batch size and concurrency do here", key=f"scaling-of-{record.id}", on_change="rerun")
    with folded:
        if folded.open:
            scaling.draw(state.store(), record.config, hardware=record.hardware)


def _pictures(record: RunRecord) -> None:
    if not record.predictions:
        return
    # Unreadable and wrong ones first: they are what a person has to look at.
    first = telling(record.predictions, PICTURES)
    shown = f"{len(first)} of {count(len(record.predictions), 'picture')}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{shown}**, those without an answer and the wrong ones first", width="content")
        st.page_link(
            "pages/predictions.py",
            label="See and filter all of them",
            icon=":material/photo_library:",
            query_params={"run": record.id},
        )
    gallery(state.store().home, record.config.dataset, first, columns=6, model=record.config.model)


def launch_overview(runs: Sequence[RunSummary], *, shown: str) -> None:
    """The runs that were launched together, each with its state, and the way to their comparison."""
    with st.container(border=True, gap="xsmall", key="launch-overview"):
        for number, run in enumerate(runs, start=1):
            with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="small"):
                with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                    st.markdown(f"{number}. {literal(run.config.strategy)}", width="content")
                    state_badge(run.state)
                    st.markdown(f":gray[{literal(_result(run))}]", width="content")
                if run.id == shown:
                    st.caption("shown below", width="content")
                else:
                    st.page_link("pages/run.py", label="show", query_params={"run": run.id})
        finished = [run.id for run in runs if run.state == "finished"]
        if len(finished) > 1:
            st.page_link(
                "pages/compare.py",
                label="Compare them",
                icon=":material/balance:",
                query_params={"runs": ",".join(finished)},
            )


def _result(run: RunSummary) -> str:
    if run.metrics is not None and run.state == "finished":
        return rate(run.metrics.images_per_s)
    if run.progress is not None and run.progress.images_total and run.state != "queued":
        return percent(run.progress.images_done / run.progress.images_total)
    return UNKNOWN


def messages(lines: Sequence[str]) -> None:
    """What the run reported, as it stands."""
    if lines:
        with st.expander(f"Messages ({len(lines)})"):
            st.code("\n".join(map(lines_, lines)), language=None, wrap_lines=True)
