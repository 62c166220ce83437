"""Lines of a terminal: what they tell, and what cannot get out of them."""

from __future__ import annotations

import json

import pytest

from inference.cli_words import prediction_line, survey_document, survey_lines
from inference.entries import PassedOver
from inference.results import Prediction
from inference.survey import Range, Survey

HOSTILE = "\x1b[2J\u202egpj.\nsecond line\x07.png"
SPELLED_OUT = "⟨U+001B⟩[2J⟨U+202E⟩gpj. second line⟨U+0007⟩.png"


def surveyed(**changed: object) -> Survey:
    facts: dict[str, object] = {
        "images": 1_234,
        "size_bytes": 3 * 1024**2,
        "skipped": (),
        "num_skipped": 0,
        "labels": {},
        "looked_at": 200,
        "formats": {"JPEG": 150, "PNG": 50},
        "widths": Range(least=1, median=500, most=4_000),
        "heights": None,
        "unreadable": (),
        "shown": (),
    }
    return Survey(**(facts | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (Prediction("a.jpg", "cat", 0.98, truth="cat"), "a.jpg  cat 98 %  right"),
        (Prediction("a.jpg", "cat", 0.98, truth="dog"), "a.jpg  cat 98 %  wrong, it is dog"),
        (Prediction("a.jpg", "cat", 0.98), "a.jpg  cat 98 %"),
        (Prediction("a.jpg", status="error", reason="the file is empty"), "a.jpg  error: the file is empty"),
        (Prediction(HOSTILE, HOSTILE, 1.0, truth=HOSTILE), f"{SPELLED_OUT}  {SPELLED_OUT} 100 %  right"),
        (Prediction(HOSTILE, status="error", reason=HOSTILE), f"{SPELLED_OUT}  error: {SPELLED_OUT}"),
    ],
)
def test_what_an_image_got_is_one_line_that_steers_no_terminal(answer: Prediction, line: str) -> None:
    assert prediction_line(answer) == line


def test_a_data_set_is_told_with_a_line_for_each_file_that_is_not_usable() -> None:
    found = surveyed(
        labels={HOSTILE: 2, "b": 1},
        unreadable=((HOSTILE, "the file is empty"),),
        skipped=(PassedOver(name=HOSTILE, reason="links in a circle"),),
        num_skipped=3,
    )

    lines = list(survey_lines("/photos", found))

    assert lines[0] == "/photos"
    facts = {line[:15].strip(): line[16:] for line in lines[1:-3]}
    assert facts == {
        "Images": "1,234",
        "Size": "3.0 MiB",
        "Formats": "JPEG 150, PNG 50",
        "Width": "1 to 4,000 pixels, 500 in the middle",
        "Height": "–",
        "Labels": f"{SPELLED_OUT} 2, b 1",
        "Not readable": "1 of the 200 looked at",
        "Passed over": "3",
    }
    assert lines[-3:] == [
        f"{SPELLED_OUT}  error: the file is empty",
        f"{SPELLED_OUT}  passed over: links in a circle",
        "and 2 more passed over",
    ]


def test_of_many_labels_the_most_frequent_are_told() -> None:
    lines = list(survey_lines("x", surveyed(labels={f"label {number}": 50 - number for number in range(50)})))

    assert lines[6].endswith("label 11 39 and 38 more")


def test_the_same_as_a_document_has_names_as_they_are() -> None:
    found = surveyed(unreadable=((HOSTILE, "why"),), skipped=(PassedOver(name="b", reason="c"),), num_skipped=1)

    told = json.loads(json.dumps(survey_document(found)))

    assert told["unreadable"] == [{"image_id": HOSTILE, "reason": "why"}]
    assert (told["skipped"], told["num_skipped"]) == ([{"name": "b", "reason": "c"}], 1)
    assert told["widths"] == {"least": 1, "median": 500, "most": 4_000}
