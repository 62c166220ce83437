"""Answers are waited for in a thread, for a bounded time, and by someone who may leave."""

import threading
import time
from collections.abc import Generator
from contextlib import closing
from threading import Event

import pytest

from inference.errors import RunCancelled
from inference.patience import Patience, attended
from tests.conftest import wait_until


def waiting_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "patience"]


def thousand(alone: Event) -> Generator[int]:
    yield from range(1000)


def failing(alone: Event) -> Generator[int]:
    yield 1 // 0


def endless(alone: Event) -> Generator[int]:
    number = 0
    while True:
        yield (number := number + 1)


def never(alone: Event) -> Generator[int]:
    alone.wait()
    yield 0


def nothing() -> None:
    """Go on waiting."""


def test_items_come_as_they_are_made_and_in_order() -> None:
    assert list(attended(thousand, nothing)) == list(range(1000))


def test_what_the_work_raises_is_raised_where_it_is_awaited() -> None:
    with pytest.raises(ZeroDivisionError):
        list(attended(failing, nothing))


def test_silence_ends_the_wait() -> None:
    start = time.monotonic()

    with pytest.raises(TimeoutError):
        list(attended(never, nothing, silence_s=0.5))

    assert 0.5 <= time.monotonic() - start < 5


def test_whoever_waits_is_asked_whether_they_still_do() -> None:
    def leave() -> None:
        raise RunCancelled("stop")

    with pytest.raises(RunCancelled):
        list(attended(never, leave))


def test_work_that_waits_for_room_ends_when_nobody_listens() -> None:
    with closing(attended(endless, nothing)) as numbers:
        assert [next(numbers), next(numbers)] == [1, 2]

    wait_until(lambda: not waiting_threads(), seconds=5, what="the end of the thread")


def test_work_that_has_nothing_to_tell_hears_that_nobody_listens() -> None:
    with pytest.raises(TimeoutError):
        list(attended(never, nothing, silence_s=0.1))

    wait_until(lambda: not waiting_threads(), seconds=5, what="the end of the thread")


def test_the_time_is_for_all_answers_together() -> None:
    patience = Patience(seconds=1.0)
    start = time.monotonic()

    def ask_often() -> None:
        for _ in range(10):
            patience.answer(lambda: time.sleep(0.4))

    with pytest.raises(TimeoutError):
        ask_often()

    assert time.monotonic() - start < 4
