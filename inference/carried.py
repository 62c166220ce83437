"""A run as one JSON document that another machine can read: everything that is kept of it, checked piece by piece."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from PIL.Image import Resampling

from inference import hardware, recorder
from inference.config import MAX_IMAGES, RunConfig
from inference.errors import InvalidBundle, InvalidConfig
from inference.geometry import OWN, Geometry, Seen
from inference.history import MAX_NAME_LENGTH, MAX_NOTE_LENGTH, tidy_tags
from inference.results import (
    ACTIVE_STATES,
    END_STATES,
    PHASES,
    OperatorProgress,
    Prediction,
    Progress,
    RunRecord,
    Sample,
    Span,
)

MAX_TEXT_LENGTH = 100_000
"""Characters of a plan, an error or a message."""
MAX_WORD_LENGTH = 4096
"""Characters of an image's id, a label or a worker's name."""
MAX_MESSAGES = 10_000
MAX_TOP = 20
MAX_HARDWARE_LENGTH = 100_000
LATEST_AT = 1e11
"""No moment is later than this, in seconds since the epoch: a calendar has room for it."""
LONGEST_S = 1e9

_RECORDED = frozenset(PHASES) - {"wait"}
_RUN_ID = re.compile(r"[0-9a-f]{8,64}")
_MAX_INTEGER = 2**53
_MAX_EDGE = 100_000

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A run as it travels: the record, and what a person said of it."""

    record: RunRecord
    name: str | None = None
    note: str = ""
    tags: tuple[str, ...] = ()
    favourite: bool = False
    geometry: Seen | None = None
    """How its model saw the pictures; None where that is not known."""


_FIELDS = {field.name for kind in (RunRecord, Carried) for field in fields(kind)} - {"record"}


def document(run: Carried) -> dict[str, Any]:
    """The run as JSON types; `carried` reads it."""
    record = run.record
    plain = {field.name: getattr(record, field.name) for field in fields(RunRecord)}
    return plain | {
        "config": record.config.to_dict(),
        "progress": asdict(record.progress) if record.progress else None,
        "operators": [asdict(operator) for operator in record.operators],
        "messages": list(record.messages),
        "spans": recorder.encode(record.spans),
        "samples": recorder.encode((), record.samples),
        "predictions": [
            [p.image_id, p.label, p.score, p.status, p.reason, p.truth, p.top, p.done_s, p.worker, p.votes]
            for p in record.predictions
        ],
        "name": run.name,
        "note": run.note,
        "tags": list(run.tags),
        "favourite": run.favourite,
        "geometry": asdict(run.geometry) if isinstance(run.geometry, Geometry) else run.geometry,
    }


def carried(values: Any) -> Carried:
    """The run that `document` described. Raises `InvalidBundle`, naming the field, when it is none."""
    if not isinstance(values, dict):
        raise InvalidBundle("a run is not an object with fields")
    unknown = set(values) - _FIELDS
    if unknown:
        raise InvalidBundle(f"it has an unknown field {min(unknown)!r:.80}")
    try:
        return Carried(
            record=_record(values),
            name=_text("name", values.get("name"), MAX_NAME_LENGTH, optional=True),
            note=_text("note", values.get("note", ""), MAX_NOTE_LENGTH) or "",
            tags=_tags(values.get("tags", [])),
            favourite=_one(bool, "favourite", values.get("favourite", False)),
            geometry=_optional(_geometry, "geometry", values.get("geometry")),
        )
    except InvalidConfig as error:
        raise InvalidBundle(str(error)) from error


def _record(values: Mapping[str, Any]) -> RunRecord:
    state = values.get("state")
    if state in ACTIVE_STATES:
        raise InvalidBundle(f"its state is {state}: only runs that have ended can be carried")
    if state not in END_STATES:
        raise InvalidBundle(f"state must be one of {', '.join(END_STATES)}, got {state!r:.80}")
    return RunRecord(
        id=_id("id", values.get("id")),
        state=state,
        config=_config(values.get("config")),
        created_at=_moment("created_at", values.get("created_at")),
        started_at=_optional(_moment, "started_at", values.get("started_at")),
        finished_at=_optional(_moment, "finished_at", values.get("finished_at")),
        comparison_id=_optional(_id, "comparison_id", values.get("comparison_id")),
        hardware=_optional(_hardware, "hardware", values.get("hardware")),
        progress=_optional(_progress, "progress", values.get("progress")),
        spans=_spans(values.get("spans", "")),
        samples=_samples(values.get("samples", "")),
        predictions=_predictions(values.get("predictions", [])),
        operators=tuple(
            _rebuilt(OperatorProgress, "operators", one) for one in _list("operators", values.get("operators", []), 100)
        ),
        plan=_text("plan", values.get("plan"), MAX_TEXT_LENGTH, optional=True),
        messages=tuple(
            _text("messages", one, MAX_TEXT_LENGTH) or ""
            for one in _list("messages", values.get("messages", []), MAX_MESSAGES)
        ),
        error=_text("error", values.get("error"), MAX_TEXT_LENGTH, optional=True),
    )


def _config(values: Any) -> RunConfig:
    if not isinstance(values, dict):
        raise InvalidBundle("config must be an object with settings")
    config = RunConfig.from_dict(values)
    if not _is_unicode("".join((*config.models, config.dataset, *config.labels))):
        raise InvalidBundle("config names a model, a data set or a label that is no text")
    return config


# -- what is measured ----------------------------------------------------------------------------------------------


def _spans(text: Any) -> tuple[Span, ...]:
    spans, samples = _decoded("spans", text)
    for span in spans:
        if not (
            _is_word(span.worker)
            and isinstance(span.phase, str)
            and span.phase in _RECORDED
            and _is_number(span.start_s, -LONGEST_S, LONGEST_S)
            and _is_number(span.end_s, span.start_s, LONGEST_S)
            and _is_whole(span.images, 0, MAX_IMAGES)
            and _is_whole(span.batch, -1, MAX_IMAGES)
        ):
            raise InvalidBundle(f"spans hold one that cannot be: {span!r:.200}")
    if samples:
        raise InvalidBundle("spans hold a sample")
    return tuple(spans)


def _samples(text: Any) -> tuple[Sample, ...]:
    spans, samples = _decoded("samples", text)
    for sample in samples:
        if not (
            _is_word(sample.worker)
            and _is_number(sample.at_s, -LONGEST_S, LONGEST_S)
            and _is_number(sample.cpu_s, 0, LONGEST_S)
            and _is_whole(sample.memory_bytes, -_MAX_INTEGER, _MAX_INTEGER)
        ):
            raise InvalidBundle(f"samples hold one that cannot be: {sample!r:.200}")
    if spans:
        raise InvalidBundle("samples hold a span")
    return tuple(samples)


def _decoded(name: str, text: Any) -> tuple[list[Span], list[Sample]]:
    if not isinstance(text, str):
        raise InvalidBundle(f"{name} must be a text")
    try:
        return recorder.decode(text)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise InvalidBundle(f"{name} cannot be read: {error!s:.120}") from error


def _predictions(rows: Any) -> tuple[Prediction, ...]:
    found = []
    for row in _list("predictions", rows, MAX_IMAGES):
        if not isinstance(row, list) or len(row) != len(fields(Prediction)):
            raise InvalidBundle(f"predictions hold one that is incomplete: {row!r:.200}")
        image_id, label, score, status, reason, truth, top, done_s, worker, votes = row
        answered = status == "ok" and reason is None
        if not (
            (answered or status == "error")
            and _is_word(image_id)
            and (label is None or _is_word(label))
            and (score is None or _is_share(score))
            and (reason is None or _is_word(reason, MAX_TEXT_LENGTH))
            and (truth is None or _is_word(truth))
            and _is_top(top)
            and _is_top(votes)
            and _is_number(done_s, 0, LONGEST_S)
            and _is_word(worker)
        ):
            raise InvalidBundle(f"predictions hold one that cannot be: {row!r:.200}")
        pairs, choices = (tuple((name, share) for name, share in each) for each in (top, votes))
        found.append(Prediction(image_id, label, score, status, reason, truth, pairs, done_s, worker, choices))
    return tuple(found)


def _is_top(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > MAX_TOP:
        return False
    return all(isinstance(pair, list) and len(pair) == 2 and _is_word(pair[0]) and _is_share(pair[1]) for pair in value)


# -- single values -------------------------------------------------------------------------------------------------


def _is_word(value: Any, limit: int = MAX_WORD_LENGTH) -> bool:
    # What is valid UTF-8 alone can be stored; `isascii` is the quick answer for nearly all.
    return isinstance(value, str) and len(value) <= limit and (value.isascii() or _is_unicode(value))


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_share(value: Any) -> bool:
    return _is_number(value, -1e-3, 1.001)  # a softmax in half precision may pass 1 by a little


def _optional(check: Callable[[str, Any], _T], name: str, value: Any) -> _T | None:
    return None if value is None else check(name, value)


def _id(name: str, value: Any) -> str:
    if not isinstance(value, str) or not _RUN_ID.fullmatch(value):
        raise InvalidBundle(f"{name} must be 8 to 64 hexadecimal digits, got {value!r:.80}")
    return value


def _moment(name: str, value: Any) -> float:
    if not _is_number(value, 0, LATEST_AT):
        raise InvalidBundle(f"{name} must be seconds since the epoch, got {value!r:.80}")
    return float(value)


def _text(name: str, value: Any, limit: int, *, optional: bool = False) -> str | None:
    if value is None and optional:
        return None
    if not _is_word(value, limit):
        raise InvalidBundle(f"{name} must be a text of at most {limit:,} characters, got {value!r:.80}")
    return str(value)


def _list(name: str, value: Any, limit: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > limit:
        raise InvalidBundle(f"{name} must be a list of at most {limit:,}")
    return value


def _tags(value: Any) -> tuple[str, ...]:
    tags = [_text("tags", tag, MAX_WORD_LENGTH) or "" for tag in _list("tags", value, 1000)]
    return tuple(tidy_tags(tags))


def _hardware(name: str, value: Any) -> Mapping[str, Any]:
    """A machine that every place that describes machines can describe."""
    if not isinstance(value, dict) or len(json.dumps(value)) > MAX_HARDWARE_LENGTH:
        raise InvalidBundle(f"{name} must be an object of at most {MAX_HARDWARE_LENGTH:,} characters")
    try:
        machine = hardware.from_dict(value)
        hardware.chip(machine), hardware.facts(machine), hardware.fingerprint(machine)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise InvalidBundle(f"{name} describes no machine: {error!s:.120}") from error
    return value


def _geometry(name: str, value: Any) -> Seen:
    if value == OWN:
        return OWN
    if not isinstance(value, dict) or not set(value) <= {field.name for field in fields(Geometry)}:
        raise InvalidBundle(f"{name} must be {OWN!r} or what pictures are resized and cropped to")
    edge, resample = value.get("shortest_edge"), value.get("resample", Geometry().resample)
    if not (edge is None or _is_whole(edge, 1, _MAX_EDGE)) or not _is_whole(resample, 0, max(Resampling)):
        raise InvalidBundle(f"{name} describes no picture: {value!r:.200}")
    return Geometry(
        shortest_edge=edge,
        size=_optional(_sides, f"{name}.size", value.get("size")),
        resample=resample,
        crop=_optional(_sides, f"{name}.crop", value.get("crop")),
    )


def _sides(name: str, value: Any) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2 or not all(_is_whole(side, 1, _MAX_EDGE) for side in value):
        raise InvalidBundle(f"{name} must be a height and a width in pixels, got {value!r:.80}")
    return value[0], value[1]


def _progress(name: str, value: Any) -> Progress:
    return _rebuilt(Progress, name, value)


def _rebuilt(kind: type[_T], name: str, values: Any) -> _T:
    """A record of plain fields, each of the type that it is declared with."""
    hints: Mapping[str, Any] = get_type_hints(kind)
    if not isinstance(values, dict) or not set(values) <= set(hints):
        raise InvalidBundle(f"{name} must have the fields {', '.join(hints)} and no others")
    try:
        return kind(**{field: _one(hints[field], f"{name}.{field}", value) for field, value in values.items()})
    except TypeError as error:
        raise InvalidBundle(f"{name} is incomplete: {error!s:.120}") from error


def _one(hint: Any, name: str, value: Any) -> Any:
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    for kind in kinds:
        if kind is float and _is_number(value, -math.inf, math.inf) and math.isfinite(value):
            return value
        if kind is int and _is_whole(value, -_MAX_INTEGER, _MAX_INTEGER):
            return value
        if kind is str and _is_word(value, MAX_TEXT_LENGTH):
            return value
        if kind in (bool, type(None)) and isinstance(value, kind):
            return value
    raise InvalidBundle(f"{name} must be {' or '.join(kind.__name__ for kind in kinds)}, got {value!r:.80}")
