"""How many times faster one row is than another, and how sure that is."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

RESAMPLES = 2000
FEW_ROUNDS = 6
"""With fewer, the ends of the interval are hardly more than the smallest and the largest ratio that was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The median over rounds, with a 95 % interval."""

    ratio: float
    low: float
    high: float
    rounds: int


def paired_ratio(
    numerators: Sequence[float | None], denominators: Sequence[float | None], *, seed: int = 0
) -> Ratio | None:
    """The median of each round's ratio; None if no round has both.

    The two rates of a round were measured soon after each other, so that what slows the machine for minutes cancels
    out. The interval is a percentile bootstrap over rounds (Efron and Tibshirani, 1993) with 2,000 draws.
    """
    pairs = zip(numerators, denominators, strict=True)
    ratios = [over / under for over, under in pairs if over is not None and under]
    if not ratios:
        return None
    rng = random.Random(seed)
    drawn = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    cut = int(0.025 * RESAMPLES)
    return Ratio(ratio=statistics.median(ratios), low=drawn[cut], high=drawn[-1 - cut], rounds=len(ratios))
