"""Work in the background for pages: a few things at a time, each once, and nobody waits long for it."""

import threading
import time
from collections.abc import Callable

import pytest

from inference import fetches
from inference.fetches import Fetch, Fetches, Latest
from tests.conftest import wait_until


def fetch(key: str, work: Callable[[], None] = lambda: None, server: str = "server") -> Fetch:
    return Fetch(key=key, server=server, work=work)


def fails(error: Exception) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


def all_threads_gone() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name == "fetch"]


def test_what_is_quick_is_there_when_the_call_returns_and_no_thread_stays() -> None:
    done: list[int] = []

    Fetches().fetch([fetch(str(n), lambda n=n: done.append(n)) for n in range(30)], 5)

    assert sorted(done) == list(range(30))
    wait_until(all_threads_gone, seconds=5, what="the end of all threads")


def test_a_few_are_fetched_at_once_and_each_once_whoever_asks() -> None:
    let_go = threading.Event()
    under_way: list[str] = []

    def work(key: str) -> Fetch:
        return fetch(key, lambda: (under_way.append(key), let_go.wait(10), None)[-1])

    some = Fetches()
    wanted = [work(str(n)) for n in range(2 * fetches.AT_ONCE)]
    for _ in range(3):
        some.fetch([*wanted, *wanted], 0)
    wait_until(lambda: len(under_way) == fetches.AT_ONCE, seconds=5, what="as many as may be under way")

    assert some.why_not("0", "server") == ""
    let_go.set()
    wait_until(all_threads_gone, seconds=5, what="the end of all threads")
    assert sorted(under_way) == sorted(one.key for one in wanted)
    assert some.why_not("0", "server") is None


def test_nobody_waits_longer_than_they_said_nor_again_for_the_same_server() -> None:
    let_go = threading.Event()
    some = Fetches()

    start = time.monotonic()
    some.fetch([fetch("slow", lambda: (let_go.wait(20), None)[-1])], 0.5)
    first_s = time.monotonic() - start
    some.fetch([fetch("slow"), fetch("other", lambda: (let_go.wait(20), None)[-1])], 10)
    both_s = time.monotonic() - start
    some.fetch([fetch("quick", server="another one")], 10)

    let_go.set()
    assert 0.5 <= first_s < both_s < 5
    assert some.why_not("quick", "another one") is None


def test_what_failed_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    some = Fetches()
    bad = fetch("bad", lambda: (tried.append("bad"), fails(OSError("access denied"))())[-1])

    some.fetch([bad], 5)
    some.fetch([bad, fetch("good", lambda: tried.append("good"))], 5)

    assert tried == ["bad", "good"]
    assert some.why_not("bad", "server") == "access denied"
    monkeypatch.setattr(fetches, "REMEMBERED_S", 0.0)
    later = Fetches()
    later.fetch([bad], 5)
    later.fetch([bad], 5)
    assert tried == ["bad", "good", "bad", "bad"]


def test_a_server_that_does_not_answer_is_not_asked_for_the_rest() -> None:
    tried: list[int] = []
    some = Fetches()

    def work(number: int) -> None:
        tried.append(number)
        time.sleep(0.1)
        raise ConnectionError("no answer in time")

    some.fetch([fetch(str(n), lambda n=n: work(n)) for n in range(100)], 5)
    some.fetch([fetch("one more", lambda: work(100)), fetch("elsewhere", lambda: tried.append(-1), "another")], 5)

    assert len(tried) <= fetches.AT_ONCE + 1
    assert tried[-1] == -1
    assert some.why_not("99", "server") == "no answer in time"


def test_the_page_that_is_looked_at_comes_first_and_what_waits_longest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetches, "AT_ONCE", 1)
    monkeypatch.setattr(fetches, "MOST_WAITING", 3)
    let_go, done, some = threading.Event(), list[str](), Fetches()
    some.fetch([fetch("first", lambda: (let_go.wait(10), None)[-1])], 0)

    for page in ("old", "new"):
        some.fetch([fetch(f"{page} {n}", lambda name=f"{page} {n}": done.append(name)) for n in (1, 2)], 0)
    let_go.set()
    wait_until(all_threads_gone, seconds=5, what="the end of all threads")

    assert done == ["new 1", "new 2", "old 1"]
    assert some.why_not("old 2", "server") is None


def test_the_latest_results_are_kept_for_a_while() -> None:
    few, brief = Latest[str](2, 60), Latest[str](2, 0)
    for key in "abac":
        few.keep(key, key.upper())
        brief.keep(key, key.upper())

    assert [few.get(key) for key in "abc"] == ["A", None, "C"]
    assert brief.get("c") is None
