"""Runs and hostile names that tests of exported files share, and what a browser makes of a page."""

from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

from inference import hardware
from inference.config import RunConfig
from inference.export import exported
from inference.results import Prediction, RunRecord, Span

MACHINE = hardware.Hardware(
    cpus=2,
    cpu_limit=2.0,
    cpu_model="Test Processor 9000",
    memory_bytes=8 * 1024**3,
    versions=(("ray", "2.60.0"), ("torch", "2.13.0+cpu"), ("transformers", "5.1.0")),
)
HOSTILE = '<script>alert(1)</script> ![x](http://a.b/c.png) " onload="x \u202egpj.exe \u2067 "]); import os #'
HOSTILE_NAMES = (
    HOSTILE,
    'x"""\nimport os\nos.system("false")\n"""',
    "x'; import os; '",
    "x\\",
    "$model ${limit} {images}",
    "/photos/Ähren – 山\u2028\x00"[:-1],
)
SPANS = (
    Span("reader 9", "read", 0.1, 0.2, images=4),
    Span("worker 1", "import", 0.0, 1.0),
    Span("worker 1", "load", 1.0, 2.0, batch=0),
    Span("worker 1", "preprocess", 2.0, 2.5, images=1, batch=0),
    Span("worker 1", "forward", 2.5, 4.0, images=1, batch=0),
    Span("worker 1", "forward", 4.5, 6.0, images=1, batch=1),
)
PREDICTIONS = (
    Prediction("a.jpg", "cat", 0.9, truth="cat", top=(("cat", 0.9), ("dog", 0.1)), done_s=4.0, worker="worker 1"),
    Prediction("b.jpg", "dog", 0.6, truth="cat", done_s=6.0, worker="worker 1"),
    Prediction("c.jpg", status="error", reason="the file is empty", done_s=6.0, worker="worker 1"),
)


def record(**changes: Any) -> RunRecord:
    values: dict[str, Any] = {
        "id": "run-1",
        "state": "finished",
        "config": RunConfig(batch_size=2),
        "created_at": 1_700_000_000.0,
        "hardware": hardware.to_dict(MACHINE),
        "spans": SPANS,
        "predictions": PREDICTIONS,
    }
    return RunRecord(**(values | changes))


def named(text: str) -> RunRecord:
    """A run in which everything that can carry foreign text carries this one."""
    return record(
        id=text,
        config=RunConfig(model=text, dataset=text),
        error=text,
        messages=(text,),
        hardware=hardware.to_dict(replace(MACHINE, cpu_model=text, os=text, versions=(("ray", text),))),
        predictions=(Prediction(text, text, 0.5, truth=text), Prediction(text, status=text, reason=text)),
    )


class Page(HTMLParser):
    """What a browser would make of a page: its elements, and its text by the element that holds it."""

    def __init__(self, run: RunRecord | Sequence[RunRecord]) -> None:
        super().__init__(convert_charrefs=True)
        self.source = exported(run, "html").decode()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    @property
    def text(self) -> str:
        """All that can be read, style sheets left out."""
        return " ".join(" ".join(data for tag, data in self.texts if tag != "style").split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def side(strategy: str, *, seconds: float, label: str = "cat", **changes: Any) -> RunRecord:
    """A finished run of 40 images that takes so long, the answers evenly spread over all but the first second."""
    done = [1 + (seconds - 1) * (number + 1) / 40 for number in range(40)]
    answers = tuple(
        Prediction(f"{number:02}.jpg", label, 0.9, truth="cat", top=((label, 0.9),), done_s=done_s, worker="worker 1")
        for number, done_s in enumerate(done)
    )
    spans = (
        Span("worker 1", "import", 0.0, 0.5),
        Span("worker 1", "load", 0.5, 0.9, batch=0),
        Span("worker 1", "forward", 1.0, seconds, images=40, batch=0),
    )
    values: dict[str, Any] = {
        "id": f"{strategy}-{seconds:g}",
        "config": RunConfig(strategy=strategy),
        "spans": spans,
        "predictions": answers,
    }
    return record(**(values | changes))
