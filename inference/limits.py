"""The ceiling of one model on this hardware: how fast images could be prepared and classified without Ray.

Light: the record and its arithmetic. `inference.ceiling` measures it, in a process of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from inference.config import RunConfig

NOT_MEASURED = "A limit is measured for a single model with labels of its own."


def measurable(config: RunConfig) -> bool:
    """Whether a limit is measured for runs like this."""
    return not config.members and not config.labels


@dataclass(frozen=True, slots=True)
class LimitKey:
    """What a limit is measured for."""

    fingerprint: str
    """Of the machine: `hardware.fingerprint`."""
    model: str
    dataset: str
    dtype: str

    @classmethod
    def of(cls, config: RunConfig, fingerprint: str) -> LimitKey:
        """What tells how fast a run like this could have been on a machine with this fingerprint.

        That of an ensemble, or of typed labels, is nobody else's, and nothing is measured for it: see `measurable`.
        """
        model = config.model if measurable(config) else " + ".join((*config.models, *config.labels))
        return cls(fingerprint, model, config.dataset, config.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardRate:
    """How fast one way of computing the forward pass was, all of the hardware at its disposal."""

    backend: str
    channels_last: bool
    batch_size: int
    workers: int
    """Processes that computed at the same time."""
    threads: int
    """Threads of each of them."""
    images_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What was measured for one `LimitKey`."""

    measured_at: float
    """Seconds since the epoch."""
    prepare_images_per_s: float
    """Read, decode, resize and crop on every CPU, nothing else going on."""
    forwards: tuple[ForwardRate, ...]
    """What was tried."""
    shared_cores: bool
    """Whether preparing and the forward pass take turns on the same processors; with a GPU they do not."""
    flops_per_image: int
    """Floating-point operations of one forward pass: see `Classifier.flops_per_image`."""

    @property
    def best_forward(self) -> ForwardRate:
        """The fastest of what was tried."""
        return max(self.forwards, key=lambda forward: forward.images_per_s)

    @property
    def images_per_s(self) -> float:
        """Images/s that a program could reach at best.

        On shared cores the seconds per image add up: 1 / (1 / prepare + 1 / forward). Elsewhere the slower of the
        two decides: min(prepare, forward).
        """
        prepare, forward = self.prepare_images_per_s, self.best_forward.images_per_s
        return 1 / (1 / prepare + 1 / forward) if self.shared_cores else min(prepare, forward)

    @property
    def gflops_per_s(self) -> float:
        """Billions of floating-point operations per second of the best forward pass."""
        return self.flops_per_image * self.best_forward.images_per_s / 1e9

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Limit:
        """What `to_dict` described."""
        known = {field.name: values[field.name] for field in fields(cls)}
        return cls(**known | {"forwards": tuple(ForwardRate(**forward) for forward in values["forwards"])})
