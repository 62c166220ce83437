"""What is long about a run as the database keeps it: spans and samples by column, texts, all of it compressed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence

from inference import recorder
from inference.results import Sample, Span

# A chunk is compressed JSON. A list is what `recorder.encode` writes, a row for every span and sample: chunks were
# kept like that until version 0.1. An object holds columns instead, which takes a third of the room and of the time:
# in a lane, a span begins soon after the one before it, and a sample is a little more than the last one.


def pack(spans: Sequence[Span], samples: Sequence[Sample]) -> bytes:
    """Spans and samples as one chunk; times are kept in whole microseconds."""
    names: dict[str, int] = {}
    content = {"spans": _span_columns(spans, names), "samples": _sample_columns(samples, names), "names": list(names)}
    return zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 9)


def unpack(chunks: Iterable[bytes]) -> tuple[list[Span], list[Sample]]:
    """The spans and samples of several chunks, in their order."""
    spans: list[Span] = []
    samples: list[Sample] = []
    for chunk in chunks:
        text = zlib.decompress(chunk).decode()
        if text.startswith("{"):
            content = json.loads(text)
            names = content["names"]
            spans += _spans(content["spans"], names)
            samples += _samples(content["samples"], names)
        else:
            more_spans, more_samples = recorder.decode(text)
            spans += more_spans
            samples += more_samples
    return spans, samples


def packed_text(text: str | None) -> bytes | None:
    """A long text as it is kept; migrations call it from SQL."""
    if text is None:
        return None
    packer = zlib.compressobj(9, zdict=_PHRASES)
    return packer.compress(text.encode("utf-8", "backslashreplace")) + packer.flush()


def unpacked_text(kept: str | bytes) -> str:
    """What `packed_text` kept, or a text that was kept as it is: what changes while a run is live."""
    return kept if isinstance(kept, str) else zlib.decompressobj(zdict=_PHRASES).decompress(kept).decode()


# What Ray Data (2.60) says of every plan, and what the account of an operator looks like. With phrases to refer to, a
# plan takes half the room. They are part of how texts are kept, so they never change: another set needs another name.
_PHRASES = b"""\
[{"name":"MapBatches(classify_batch)","rows":100,"tasks_active":0,"tasks_finished":13,"actors":0,"actors_restarting":0,\
"queued_blocks":0},{"name":"MapBatches(Classifier)","rows":
-------- Logical Plan --------
MapBatches[MapBatches(Classifier)]
+- MapBatches[MapBatches(read_block)]
   +- FromArrow[FromArrow]

-------- Logical Plan (Optimized) --------
MapBatches[MapBatches(classify_batch)]

-------- Physical Plan --------
ActorPoolMapOperator[MapBatches(Classifier)]
+- TaskPoolMapOperator[MapBatches(read_block)]
   +- InputDataBuffer[Input]

-------- Physical Plan (Optimized) --------
TaskPoolMapOperator[MapBatches(classify_batch)]

-------- Statistics --------
Operator 0 FromArrow: 1 tasks executed, 13 blocks produced in 0.0s
* Remote wall time: us min, us max, us mean, us total
* Remote cpu time: us min, us max, us mean, us total
* Block transform time: 0us min, 0us max, 0.0us mean, 0us total
* Output num rows per block: 4 min, 8 max, 7 mean, 100 total
* Output size bytes per block: min, max, mean, total
* Output rows per task: 100 min, 100 max, 100 mean, 1 tasks used
* Tasks per node: 1 min, 1 max, 1 mean; 1 nodes used
* Operator throughput:
\t* Total input num rows: 0 rows
\t* Total output num rows: 100 rows
\t* Ray Data throughput: rows/s
\t* Estimated single task throughput: rows/s

Operator 1 MapBatches(read_block): 13 tasks executed, 13 blocks produced in 1.1s
* Remote wall time: ms min, ms max, ms mean, ms total
* Remote cpu time: ms min, ms max, ms mean, ms total
* Block transform time: ms min, ms max, ms mean, ms total

Dataset throughput:
\t* Ray Data throughput: rows/s
"""


def _span_columns(spans: Sequence[Span], names: dict[str, int]) -> list[list[int]]:
    """Lane, phase, microseconds since the end of the lane's last span, length, images, batches since that span."""
    before: dict[int, tuple[int, int]] = {}
    rows = []
    for span in spans:
        lane, phase = _number(span.worker, names), _number(span.phase, names)
        start_us, end_us = round(span.start_s * 1e6), round(span.end_s * 1e6)
        last_us, last_batch = before.get(lane, (0, 0))
        rows.append((lane, phase, start_us - last_us, end_us - start_us, span.images, span.batch - last_batch))
        before[lane] = end_us, span.batch
    return [list(column) for column in zip(*rows, strict=True)]


def _spans(columns: list[list[int]], names: list[str]) -> list[Span]:
    before: dict[int, tuple[int, int]] = {}
    spans = []
    for lane, phase, gap_us, length_us, images, batches in zip(*columns, strict=True):
        last_us, last_batch = before.get(lane, (0, 0))
        start_us, batch = last_us + gap_us, last_batch + batches
        end_us = start_us + length_us
        spans.append(Span(names[lane], names[phase], start_us / 1e6, end_us / 1e6, images, batch))
        before[lane] = end_us, batch
    return spans


def _sample_columns(samples: Sequence[Sample], names: dict[str, int]) -> list[list[int]]:
    """Lane, and how much more than at the lane's last sample: microseconds, those of CPU time, bytes of memory."""
    before: dict[int, tuple[int, int, int]] = {}
    rows = []
    for sample in samples:
        lane = _number(sample.worker, names)
        values = round(sample.at_s * 1e6), round(sample.cpu_s * 1e6), sample.memory_bytes
        rows.append((lane, *(value - last for value, last in zip(values, before.get(lane, (0, 0, 0)), strict=True))))
        before[lane] = values
    return [list(column) for column in zip(*rows, strict=True)]


def _samples(columns: list[list[int]], names: list[str]) -> list[Sample]:
    before: dict[int, tuple[int, int, int]] = {}
    samples = []
    for lane, more_us, more_cpu_us, more_bytes in zip(*columns, strict=True):
        at_us, cpu_us, memory_bytes = before.get(lane, (0, 0, 0))
        now = at_us + more_us, cpu_us + more_cpu_us, memory_bytes + more_bytes
        samples.append(Sample(names[lane], now[0] / 1e6, now[1] / 1e6, now[2]))
        before[lane] = now
    return samples


def _number(name: str, names: dict[str, int]) -> int:
    return names.setdefault(name, len(names))
