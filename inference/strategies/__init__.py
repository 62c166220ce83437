"""The ways of running a model over images, one file each, each one change away from the one before."""

from __future__ import annotations

from typing import Protocol

from ray.data import Dataset

from inference.strategies import actor, batched, naive, pipelined
from inference.strategies.answers import Plan, Source


class Strategy(Protocol):
    """A module with one function that adds a model to a data set of images."""

    def classify(self, images: Dataset, plan: Plan) -> Dataset:
        """From `{image_id, bytes, reason, spans}` to the columns of `answers.Answers`."""
        ...


BY_NAME: dict[str, Strategy] = {"naive": naive, "actor": actor, "batched": batched, "pipelined": pipelined}
"""Every strategy that `inference.config.STRATEGIES` names."""

__all__ = ["BY_NAME", "Plan", "Source", "Strategy"]
