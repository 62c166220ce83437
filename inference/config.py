"""What a run is asked to do: one frozen record, validated when it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from inference.errors import InvalidConfig

STRATEGIES = ("naive", "actor", "batched", "pipelined")
"""Ways of running a model over images, in the order in which each adds one change to the one before."""

ONE_BY_ONE = ("naive", "actor")
"""The strategies that send images through the model one after the other, as `transformers.pipeline` does."""

DTYPES = ("float32", "bfloat16", "float16")

BACKENDS = ("eager", "compile", "openvino")
"""What computes the forward pass: PyTorch as it is, PyTorch through `torch.compile`, or OpenVINO."""

MAX_BATCH_SIZE = 1024
MAX_CONCURRENCY = 256
MAX_IMAGES = 1_000_000
MAX_REPEATS = 20
MAX_LABELS = 1000
MAX_MEMBERS = 8
MAX_SEED = 2**31 - 1

COMBINATIONS = ("mean", "highest", "vote")
"""How the answers of an ensemble's models become one: the label with the best mean score, the one with the highest
single score, or the one that most models put first, the mean score deciding where votes are equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """The settings of one run.

    Raises `InvalidConfig`, naming the setting, when a value is outside its range.
    """

    strategy: str = "actor"
    model: str = "digits"
    """A name from the catalogue, a local folder, or a model id on the Hugging Face hub."""
    labels: tuple[str, ...] = ()
    """What a model that compares pictures with texts chooses from; empty for a model with labels of its own."""
    members: tuple[str, ...] = ()
    """Further models, which together with `model` are an ensemble."""
    combine: str = "mean"
    """One of `COMBINATIONS`; matters to an ensemble alone."""
    dataset: str = "digits"
    """A name from the catalogue, a local folder, pattern or list, or a folder of a bucket: see `inference.listing`."""
    limit: int = 100
    """How many images."""
    sample_seed: int | None = None
    """Draws the images by lot; None takes the first ones."""
    batch_size: int = 4
    """Images that the model's worker gets in one call."""
    concurrency: int = 1
    """Workers that run the model at the same time."""
    cpus_per_worker: float = 1.0
    """CPUs that Ray reserves for each worker."""
    threads: int = 0
    """Threads that the forward pass uses in each worker; 0 for as many as the CPUs reserved for it."""
    decoders: int = 1
    """Tasks that decode images at the same time, beside the workers; `pipelined` alone has them."""
    gpus_per_worker: float = 0.0
    """GPUs that Ray reserves for each worker; a share such as 0.5 puts two workers on one card."""
    dtype: str = "float32"
    """Precision of weights and activations."""
    channels_last: bool = False
    """Whether weights and pixels lie in memory with the channels of a pixel side by side; not for `ONE_BY_ONE`."""
    backend: str = "eager"
    """One of `BACKENDS`; OpenVINO is not for `ONE_BY_ONE`."""

    def __post_init__(self) -> None:
        """Refuse what no machine could run."""
        _require_text("model", self.model)
        _require_text("dataset", self.dataset)
        _require_texts("labels", self.labels, 2, MAX_LABELS)
        _require_texts("members", self.members, 1, MAX_MEMBERS - 1)
        _require_choice("combine", self.combine, COMBINATIONS)
        if self.sample_seed is not None:
            _require_whole("sample_seed", self.sample_seed, 0, MAX_SEED)
        _require_choice("strategy", self.strategy, STRATEGIES)
        _require_choice("dtype", self.dtype, DTYPES)
        _require_choice("backend", self.backend, BACKENDS)
        _require_whole("limit", self.limit, 1, MAX_IMAGES)
        _require_whole("batch_size", self.batch_size, 1, MAX_BATCH_SIZE)
        _require_whole("concurrency", self.concurrency, 1, MAX_CONCURRENCY)
        _require_number("cpus_per_worker", self.cpus_per_worker, 0.1, 1024)
        _require_number("gpus_per_worker", self.gpus_per_worker, 0, 16)
        if self.gpus_per_worker > 1 and self.gpus_per_worker != int(self.gpus_per_worker):
            raise InvalidConfig(f"gpus_per_worker above 1 must be a whole number, got {self.gpus_per_worker}")
        _require_whole("threads", self.threads, 0, 1024)
        _require_whole("decoders", self.decoders, 1, MAX_CONCURRENCY)
        if not isinstance(self.channels_last, bool):
            raise InvalidConfig(f"channels_last must be true or false, got {self.channels_last!r:.80}")
        self._require_options_of_strategy()

    def _require_options_of_strategy(self) -> None:
        for name, asked in (("channels_last", self.channels_last), ("backend openvino", self.backend == "openvino")):
            if asked and self.strategy in ONE_BY_ONE:
                raise InvalidConfig(f"{name} needs the strategy batched or pipelined, got {self.strategy}")

    @property
    def models(self) -> tuple[str, ...]:
        """All models: one, or those of an ensemble."""
        return (self.model, *self.members)

    @property
    def threads_per_worker(self) -> int:
        """Threads of the forward pass in each worker: `threads`, or the CPUs reserved, rounded down, at least 1."""
        return self.threads or max(1, int(self.cpus_per_worker))

    def settings(self) -> dict[str, Any]:
        """Every setting by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def to_dict(self) -> dict[str, Any]:
        """Every setting by name, as JSON types."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.settings().items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """The configuration that `to_dict` described; settings of other versions are passed over."""
        known = {field.name for field in fields(cls)}
        kept = {name: value for name, value in values.items() if name in known}
        if values.get("compile") is True:  # as version 0.1 wrote it
            kept["backend"] = "compile"
        for name in ("labels", "members"):  # JSON has no tuples
            if isinstance(kept.get(name), list):
                kept[name] = tuple(kept[name])
        return cls(**kept)

    def with_(self, **changes: Any) -> RunConfig:
        """A copy with some settings changed, validated again."""
        return replace(self, **changes)

    def as_strategy(self, strategy: str) -> RunConfig:
        """The same settings under another strategy, without the options that it does not have."""
        dropped: dict[str, Any] = {}
        if strategy in ONE_BY_ONE:
            dropped = {"channels_last": False, "backend": "eager" if self.backend == "openvino" else self.backend}
        if strategy != "pipelined":
            dropped["decoders"] = 1
        return replace(self, strategy=strategy, **dropped)


def differences(configs: list[RunConfig]) -> dict[str, tuple[Any, ...]]:
    """The settings that are not the same in every configuration, each with its value per configuration."""
    if not configs:
        return {}
    rows = [config.settings() for config in configs]
    return {name: tuple(row[name] for row in rows) for name in rows[0] if len({row[name] for row in rows}) > 1}


def interleaved(configs: Sequence[RunConfig], repeats: int) -> list[RunConfig]:
    """Every configuration `repeats` times, in the order A B, B A, A B …, so that a drift falls on all alike."""
    rounds = [list(configs) if turn % 2 == 0 else list(reversed(configs)) for turn in range(repeats)]
    return [config for one_round in rounds for config in one_round]


def _require_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip() or "\x00" in value or len(value) > 4096:
        raise InvalidConfig(f"{name} must be a name or a path, got {value!r:.80}")


def _require_texts(name: str, values: object, least: int, most: int) -> None:
    if not isinstance(values, tuple):
        raise InvalidConfig(f"{name} must be several texts, got {values!r:.80}")
    for value in values:
        _require_text(f"each of {name}", value)
    if values and not least <= len(values) <= most:
        raise InvalidConfig(f"{name} must be between {least} and {most} texts, or none, got {len(values)}")
    if len(set(values)) < len(values):
        raise InvalidConfig(f"{name} must not be the same twice, got {', '.join(values)!r:.80}")


def _require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidConfig(f"{name} must be one of {', '.join(choices)}, got {value!r:.80}")


def _require_whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidConfig(f"{name} must be a whole number between {low} and {high}, got {value!r:.80}")


def _require_number(name: str, value: object, low: float, high: float) -> None:
    # What is no number, or endless, is not between the two either.
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidConfig(f"{name} must be a number between {low:g} and {high:g}, got {value!r:.80}")
