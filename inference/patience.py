"""Waiting for a server: not longer than a person would, and never deaf to whoever no longer wants to wait.

Asked in threads, because nothing else bounds the wait: a time limit of an HTTP library begins anew with every byte and
with every address of a host, and looking up the host's name has none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Event, Thread
from typing import TypeVar

from huggingface_hub.errors import HfHubHTTPError

TIMEOUT_S = 5.0
"""For whatever a server does next, as its client sees it."""
PATIENCE_S = 12.0
"""For a server's answer as a person sees it: with all that a run does around it, less than fifteen seconds."""
POLL_S = 0.25
_BUSY = (408, 429, 500, 502, 503, 504)
_AHEAD = 16
"""So many items may be received and not taken: more would fill the memory where a disk is slow."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None = None


def attended(
    produce: Callable[[Event], Generator[T]], on_wait: Callable[[], None], silence_s: float = PATIENCE_S
) -> Generator[T]:
    """What `produce` yields in a thread of its own, as it comes; `TimeoutError` when nothing comes for `silence_s`.

    `on_wait` is called every quarter of a second in which nothing comes, and may raise to stop. `produce` is given an
    event that is set when nobody listens any more. Close this generator when you leave it early.
    """
    received: Queue[T | _End] = Queue(_AHEAD)
    alone = Event()

    def work() -> None:
        try:
            with closing(produce(alone)) as items:
                for item in items:
                    received.put(item)
                    if alone.is_set():
                        return
            received.put(_End())
        except BaseException as error:  # noqa: BLE001  # raised again where it is awaited
            received.put(_End(error))

    Thread(target=work, daemon=True, name="patience").start()
    try:
        yield from _taken(received, on_wait, silence_s)
    finally:
        alone.set()
        while not received.empty():  # or the thread would wait for room for ever
            received.get_nowait()


def _taken(received: Queue[T | _End], on_wait: Callable[[], None], silence_s: float) -> Generator[T]:
    heard_at = time.monotonic()
    while True:
        try:
            item = received.get(timeout=POLL_S)
        except Empty:
            on_wait()
            if time.monotonic() - heard_at > silence_s:
                raise TimeoutError(f"nothing came for {silence_s:.0f} s") from None
            continue
        if isinstance(item, _End):
            if item.error is not None:
                raise item.error
            return
        yield item
        heard_at = time.monotonic()


class Patience:
    """So long a server may take over several answers, all together."""

    def __init__(self, on_wait: Callable[[], None] = lambda: None, seconds: float = PATIENCE_S) -> None:
        self._on_wait = on_wait
        self._ends_at = time.monotonic() + seconds

    def answer(self, ask: Callable[[], T]) -> T:
        """What `ask` returns or raises; `TimeoutError` if the time is up before. A busy server is asked again."""

        def answers(alone: Event) -> Generator[T]:
            while True:
                try:
                    yield ask()
                    return
                except HfHubHTTPError as error:
                    wait_s = wished_wait_s(error)
                    if wait_s is None or time.monotonic() + wait_s > self._ends_at or alone.wait(wait_s):
                        raise

        with closing(attended(answers, self._on_wait, self._ends_at - time.monotonic())) as only:
            return next(only)


def wished_wait_s(error: HfHubHTTPError) -> float | None:
    """After how many seconds a server that refused may be asked again; None if that makes no sense."""
    if error.response.status_code not in _BUSY:
        return None
    wished = error.response.headers.get("Retry-After", "")
    return float(wished) if wished.isdigit() else 1.0
