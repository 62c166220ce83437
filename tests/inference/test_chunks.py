"""What is long about a run comes back as it was, whatever version kept it."""

import json
import zlib

import pytest

from inference import recorder
from inference.chunks import pack, packed_text, unpack, unpacked_text
from inference.results import Sample, Span

SPANS = [
    Span("worker 1", "load", 0.123456, 7.654321, 0, -1),
    Span("reader 22", "read", 1e5 + 0.000001, 1e5 + 0.5, 32, 4),
    Span("worker 1", "forward", 7.6, 8.0, 4, 0),  # begins before the one before it has ended
    Span('Ä "quoted"\n', "forward", -0.25, 0.0, 1, 3),
    Span("worker 1", "forward", 8.0, 8.5, 4, 1),
]
SAMPLES = [
    Sample("worker 1", 0.5, 3.000001, 700 * 1024**2),
    Sample("machine", 0.5, 0.25, 24 * 1024**3),
    Sample("worker 1", 1.5, 4.5, 640 * 1024**2),
]


def test_spans_and_samples_come_back_in_their_order() -> None:
    assert unpack([pack(SPANS, SAMPLES)]) == (SPANS, SAMPLES)


@pytest.mark.parametrize(("spans", "samples"), [([], []), (SPANS, []), ([], SAMPLES)])
def test_either_may_be_missing(spans: list[Span], samples: list[Sample]) -> None:
    assert unpack([pack(spans, samples)]) == (spans, samples)


def test_times_are_kept_to_the_microsecond_and_no_error_adds_up() -> None:
    third = [Span("w", "forward", number / 3, (number + 1) / 3) for number in range(3000)]

    spans, _ = unpack([pack(third, [])])

    assert [span.end_s for span in spans] == [round((number + 1) / 3, 6) for number in range(3000)]


def test_chunks_of_the_first_version_are_read_among_others() -> None:
    first = zlib.compress(recorder.encode(SPANS[:2], SAMPLES[:1]).encode())

    assert unpack([first, pack(SPANS[2:], SAMPLES[1:])]) == (SPANS, SAMPLES)


def test_a_chunk_takes_less_than_half_the_room_of_one_of_the_first_version() -> None:
    spans = [
        Span("worker 4711", phase, (7 * number + place) * 0.011003, (7 * number + place + 1) * 0.011001, 4, number)
        for number in range(100)
        for place, phase in enumerate(("preprocess", "forward", "postprocess"))
    ]

    assert len(pack(spans, [])) < 0.5 * len(zlib.compress(recorder.encode(spans).encode()))


@pytest.mark.parametrize("text", ["", "the plan", "-------- Physical Plan --------\n" * 50, "ü\n\x00"])
def test_a_text_comes_back(text: str) -> None:
    kept = packed_text(text)

    assert kept is not None
    assert unpacked_text(kept) == text


def test_a_text_that_was_kept_without_phrases_or_as_it_is_comes_back() -> None:
    assert unpacked_text(zlib.compress(b"the plan")) == "the plan"
    assert unpacked_text(json.dumps([])) == "[]"


def test_no_text_is_none() -> None:
    assert packed_text(None) is None
