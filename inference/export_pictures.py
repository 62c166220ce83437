"""Small pictures of a data set with what was answered, inside a page that loads nothing."""

from __future__ import annotations

import base64
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.export_svg import escaped
from inference.results import Prediction
from inference.thumbnails import thumbnail
from inference.wording import markup, percent

MAX_PICTURES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One image with the answers that it got."""

    image_id: str
    answers: Sequence[tuple[str, Prediction]]
    """Pairs of who answered, empty where that needs no word, and the answer; never empty."""


def telling(predictions: Sequence[Prediction]) -> list[Prediction]:
    """The `MAX_PICTURES` answers to look at: those without a label first, then the wrong ones, then by id."""
    return heapq.nsmallest(
        MAX_PICTURES, predictions, key=lambda p: (p.status == "ok", p.correct is not False, p.image_id)
    )


def pictures(home: Path, dataset: str, shown: Sequence[Answered]) -> str:
    """These images with their answers, read from the data set itself."""
    return f'<div class="pictures">\n{"".join(_picture(home, dataset, one) for one in shown)}</div>\n'


def _picture(home: Path, dataset: str, shown: Answered) -> str:
    data = thumbnail(home, dataset, shown.image_id)
    if data is None:
        image = '<span class="missing">no picture</span>'
    else:
        first = shown.answers[0][1]
        alt = f"{shown.image_id}: {first.label or 'no answer'}"
        # A data URI of our own JPEG: the page asks nobody for anything.
        source = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
        image = f'<img src="{source}" alt="{escaped(alt)}">'
    answers = "".join(_answer(who, prediction) for who, prediction in shown.answers)
    caption = f'<figcaption><span class="note">{markup(shown.image_id)}</span>{answers}</figcaption>'
    return f"<figure>{image}{caption}</figure>\n"


def _answer(who: str, prediction: Prediction) -> str:
    start = f'<span class="note">{markup(who)}</span> ' if who else ""
    if prediction.label is None:
        return f'<p>{start}<span class="badge">no answer</span> {markup(prediction.reason or "no reason given")}</p>'
    if prediction.correct is None:
        verdict = ""
    elif prediction.correct:
        verdict = ' <span class="note">✓ right</span>'
    else:
        verdict = f' <span class="badge">wrong</span> <span class="note">it is</span> {markup(prediction.truth)}'
    return f"<p>{start}<b>{markup(prediction.label)}</b> {percent(prediction.score)}{verdict}</p>"
