"""The one change that is most likely to help, from what a run measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference.config import RunConfig
from inference.hardware import Hardware
from inference.results import RunRecord
from inference.store import RunSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A change and the measurement that speaks for it."""

    action: str
    """What a button says: `Try an actor pool`."""
    evidence: str
    """Why, with the numbers: `38 % of the workers' time is model loading: …`."""
    config: RunConfig
    """The run with that one change; it fits the hardware."""


def advise(record: RunRecord, hardware: Hardware, history: Sequence[RunSummary] = ()) -> Advice | None:
    """The change that the spans of a finished run speak for; None where nothing stands out.

    `history` are other runs; those with the same settings but for the batch size tell whether a smaller one does.
    """
    raise NotImplementedError
