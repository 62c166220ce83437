"""What this machine could do at best: read from the store, set beside a run, explained, measured again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import streamlit as st

from inference import hardware as machine
from inference.config import RunConfig
from inference.errors import StoreUnavailable
from inference.limits import NOT_MEASURED, Limit, LimitKey, measurable
from inference.results import RunRecord
from inference.setting_words import setting_text
from inference.store import Store
from pages.ui import dialogs, format, state
from pages.ui.format import literal
from pages.ui.widgets import Card

POLL_S = 5
"""How soon a page notices that the engine has measured; it costs one read of the database."""

ASKED_FOR = "Asked for; measured when nothing else runs."
NOT_YET = "Not measured yet: the engine does so when nothing else runs."
DEFINITION = (
    "Steady images/s divided by the limit, which is what one program without Ray could reach at best on this machine."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of the limit that stands above one run."""

    key: LimitKey
    limit: Limit | None
    state: str
    """As `MeasuredLimits.state` says it."""

    @property
    def images_per_s(self) -> float | None:
        """The limit itself; None where it is not known."""
        return self.limit.images_per_s if self.limit else None

    @property
    def pending(self) -> bool:
        """Whether the engine may measure it soon."""
        return self.state in ("requested", "unknown")

    @property
    def reason(self) -> str:
        """Why it is not known, or is about to be known better; empty for one that stands."""
        reasons = {"measured": "", "requested": ASKED_FOR, "unknown": NOT_YET}
        return reasons.get(self.state, self.state)


def known(store: Store, config: RunConfig, hardware: machine.Hardware) -> Known:
    """What is known for a configuration on a machine."""
    key = LimitKey.of(config, machine.fingerprint(hardware))
    if not measurable(config):
        return Known(key=key, limit=None, state=NOT_MEASURED)
    return Known(key=key, limit=store.limits.get(key), state=store.limits.state(key))


def of_run(store: Store, record: RunRecord) -> Known:
    """What is known for a run on the machine that it ran on."""
    hardware = machine.from_dict(record.hardware) if record.hardware else state.hardware()
    return known(store, record.config, hardware)


def highest(store: Store, records: Iterable[RunRecord]) -> Limit | None:
    """The highest limit that is known for these runs; None if they share no machine, model and data set."""
    found = [of_run(store, record) for record in records]
    if len({(one.key.fingerprint, one.key.model, one.key.dataset) for one in found}) > 1:
        return None
    limits = [one.limit for one in found if one.limit is not None]
    return max(limits, key=lambda limit: limit.images_per_s, default=None)


def card(
    found: Known, images_per_s: float | None, *, label: str = "Of the limit", definition: str = DEFINITION
) -> Card:
    """Which share of the limit a rate is; a dash with its reason where that is unknown."""
    if found.limit is None:
        return Card(label=label, value=format.UNKNOWN, help=f"{definition} {literal(found.reason)}")
    unknown = "" if images_per_s is not None else " Unknown here: the run did not get far enough."
    return Card(
        label=label,
        value=format.percent(images_per_s / found.limit.images_per_s if images_per_s is not None else None),
        help=f"{definition}{unknown}\n\n{literal(' '.join(parts(found.limit)))}",
        note=f"of {format.rate(found.limit.images_per_s)}",
    )


def parts(limit: Limit) -> list[str]:
    """What a limit is made of, one sentence each; plain text."""
    best = limit.best_forward
    way = [setting_text("backend", RunConfig(backend=best.backend, strategy="batched"))]
    way += ["channels last"] if best.channels_last else []
    way += [f"batch {best.batch_size}", f"{best.workers} × {format.count(best.threads, 'thread')}"]
    prepare, forward = format.rate(limit.prepare_images_per_s), format.rate(best.images_per_s)
    if limit.shared_cores:
        sum_ = (
            "Both take turns on the same cores, so the seconds per image add up: "
            f"1 / (1 / {format.significant(limit.prepare_images_per_s)} + 1 / {format.significant(best.images_per_s)})"
        )
    else:
        sum_ = "The two do not share processors, so the slower one decides:"
    return [
        f"Reading, decoding and resizing alone: {prepare}.",
        f"The forward pass alone: {forward} ({', '.join(way)}), {format.significant(limit.gflops_per_s)} GFLOP/s.",
        f"{sum_} = {format.rate(limit.images_per_s)}."
        if limit.shared_cores
        else f"{sum_} {format.rate(limit.images_per_s)}.",
        f"Measured {format.moment(limit.measured_at)}.",
    ]


def draw_details(found: Known) -> None:
    """A popover with the parts of the limit and a button that has it measured again; it keeps itself up to date.

    Where none is ever measured there is nothing to show; the card says why.
    """
    if found.state == NOT_MEASURED:
        return
    st.fragment(_details, run_every=POLL_S if found.pending else None)(found)


def _details(drawn: Known) -> None:
    try:
        store = state.store()
        found = Known(key=drawn.key, limit=store.limits.get(drawn.key), state=store.limits.state(drawn.key))
    except StoreUnavailable as error:
        st.error(literal(error), icon=":material/database_off:")
        return
    if found != drawn:
        dialogs.redraw_page()  # figures and charts above are out of date
    with st.popover("The limit", icon=":material/vertical_align_top:"):
        if found.limit is not None:
            st.markdown(f"**This machine could do {format.rate(found.limit.images_per_s)} at best**")
            st.markdown("\n".join(f"- {literal(sentence)}" for sentence in parts(found.limit)))
        here = found.key.fingerprint == machine.fingerprint(state.hardware())
        if found.reason:
            st.caption(literal(found.reason))
        if not here:
            st.caption("These figures come from another machine, or from another version of torch.")
        st.button(
            "Measure again" if found.limit else "Measure it",
            key=f"measure-{'-'.join((found.key.model, found.key.dataset, found.key.dtype))}",
            icon=":material/speed:",
            disabled=found.state == "requested" or not here,
            on_click=store.limits.request,
            args=(found.key,),
        )
