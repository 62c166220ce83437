"""Work for pages that waits for a network: done in the background, so that no page waits long, or twice."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition, Lock, Thread
from typing import Generic, TypeVar

AT_ONCE = 8
MOST_WAITING = 200
"""What was asked for longest ago is forgotten."""
REMEMBERED_S = 60.0
"""What has failed is not tried again for so long, nor is anything else of a server that has not answered."""
IMPATIENT_S = 10.0
"""After somebody has waited in vain, others do not wait for so long: a live page is drawn twice a second."""
_MOST_REMEMBERED = 10_000

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Something to be fetched and kept."""

    key: str
    server: str
    """Fetches from the same server share its silence."""
    work: Callable[[], None]
    """Fetches, and keeps the result; raises the reason why not, a `ConnectionError` where nobody answers."""


class Fetches:
    """Fetches a few things at a time; each is tried by one thread, however many pages ask for it."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: deque[Fetch] = deque()
        self._open: set[str] = set()
        """Keys of what is waiting or under way."""
        self._threads = 0
        self._failed: dict[str, tuple[float, str]] = {}
        """By key or server: until when, and why."""
        self._impatient: dict[str, float] = {}
        """By server, until when nobody waits for it."""

    def fetch(self, wanted: Sequence[Fetch], wait_s: float) -> None:
        """See that these are fetched, and wait for those that nobody has asked for before; `wait_s` at most."""
        with self._changed:
            fresh = {one.key: one for one in wanted if one.key not in self._open and self._why_not(one) is None}
            self._queue(list(fresh.values()))
            now = time.monotonic()
            awaited = {one.key: one.server for one in fresh.values() if self._impatient.get(one.server, 0.0) <= now}
            if not self._changed.wait_for(lambda: not awaited.keys() & self._open, wait_s):
                self._impatient |= dict.fromkeys(awaited.values(), time.monotonic() + IMPATIENT_S)

    def _queue(self, fresh: Sequence[Fetch]) -> None:
        """Put these in front of what others have asked for before: the page that is looked at comes first."""
        self._waiting.extendleft(reversed(fresh))
        self._open |= {one.key for one in fresh}
        while len(self._waiting) > MOST_WAITING:
            self._open.discard(self._waiting.pop().key)
        for _ in range(min(AT_ONCE - self._threads, len(self._waiting))):
            self._threads += 1
            Thread(target=self._serve, daemon=True, name="fetch").start()

    def why_not(self, key: str, server: str) -> str | None:
        """Why something is not there; empty while it is being fetched, None where nothing is known of it."""
        with self._changed:
            failed = self._why_not(Fetch(key=key, server=server, work=lambda: None))
            return failed if failed is not None else "" if key in self._open else None

    def _why_not(self, wanted: Fetch) -> str | None:
        now = time.monotonic()
        failures = (self._failed.get(name, (0.0, "")) for name in (wanted.key, wanted.server))
        return next((why for until, why in failures if now < until), None)

    def _serve(self) -> None:
        """Do what is waiting, until nothing is."""
        while True:
            with self._changed:
                if not self._waiting:
                    self._threads -= 1
                    return
                one = self._waiting.popleft()
            name, why = _tried(one)
            with self._changed:
                self._open.discard(one.key)
                if name is not None:
                    self._remember(name, why)
                given_up = [each for each in self._waiting if each.server == name]
                self._waiting = deque(each for each in self._waiting if each.server != name)
                self._open -= {each.key for each in given_up}
                self._changed.notify_all()

    def _remember(self, name: str, why: str) -> None:
        now = time.monotonic()
        if len(self._failed) >= _MOST_REMEMBERED:
            self._failed = {each: until for each, until in self._failed.items() if now < until[0]}
        self._failed[name] = (now + REMEMBERED_S, why)


def _tried(one: Fetch) -> tuple[str | None, str]:
    """What has failed, the one thing or its whole server, and why; None where nothing has."""
    try:
        one.work()
    except ConnectionError as error:
        return one.server, str(error)
    except Exception as error:  # noqa: BLE001  # whatever it was, whoever asks again is told
        return one.key, getattr(error, "strerror", None) or str(error)
    return None, ""


class Latest(Generic[_T]):
    """The latest few results of fetches, for pages that are drawn again and again."""

    def __init__(self, most: int, kept_s: float) -> None:
        self._most = most
        self._kept_s = kept_s
        self._lock = Lock()
        self._results: OrderedDict[str, tuple[float, _T]] = OrderedDict()

    def keep(self, key: str, result: _T) -> None:
        """Keep a result in the place of the oldest one."""
        with self._lock:
            self._results[key] = (time.monotonic(), result)
            self._results.move_to_end(key)
            while len(self._results) > self._most:
                self._results.popitem(last=False)

    def get(self, key: str) -> _T | None:
        """The result, if it is among the latest and not too old."""
        with self._lock:
            kept_at, result = self._results.get(key, (0.0, None))
        return result if time.monotonic() - kept_at < self._kept_s else None
