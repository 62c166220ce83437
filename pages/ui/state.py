"""What one browser session remembers, and what every session of this server shares.

The only user of `st.session_state`.
"""

from __future__ import annotations

import math
import runpy
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from inference.hardware import Hardware, detect, from_dict
from inference.history import History
from inference.results import Progress
from inference.store import Store, home_folder
from inference.supervisor import Supervisor, engine_alive

PACE_WINDOW_S = 10.0
"""The rate of a live run is taken over this much of its latest past."""
PACE_KNOWN_AFTER_S = 1.0
"""A shorter stretch than this says nothing about how fast a run is: progress comes in blocks."""


def enter_app() -> None:
    """Mark this script run as one that came through app.py; for app.py alone."""
    st.session_state["_in_app"] = True


def require_app() -> None:
    """Make sure that app.py draws this page; the first thing that a page calls.

    Streamlit 1.67 takes a `pages` folder for the older kind of app until a first `st.navigation` tells it
    otherwise: the first visitor of a new server who comes by a page's own address gets the page alone, without
    header and supervisor. Such a page hands over to app.py, which draws it where it belongs.
    """
    if not st.session_state.pop("_in_app", False):
        runpy.run_path(str(Path(__file__).parents[2] / "app.py"), run_name="__main__")
        st.stop()


def store() -> Store:
    """The store of the home folder; raises `StoreUnavailable`."""
    return Store(home_folder())


def history() -> History:
    """What is said of the runs of the home folder; raises `StoreUnavailable`."""
    return History(store().database)


def keep_engine() -> None:
    """See to it that an engine runs, with one keeper for all sessions of this server."""
    _supervisor(str(home_folder()))


@st.cache_resource(show_spinner=False)
def _supervisor(home: str) -> Supervisor:
    supervisor = Supervisor(Path(home))
    supervisor.start()
    return supervisor


def hardware() -> Hardware:
    """The machine as the engine that is alive reported it, else as this process sees it."""
    engine = store().engine()
    if engine is not None and engine.hardware and engine_alive(engine):
        return from_dict(engine.hardware)
    return _hardware(str(home_folder()))


@st.cache_data(ttl=60, show_spinner=False)
def _hardware(home: str) -> Hardware:
    return detect(Path(home))


def request_key(name: str) -> str:
    """The token of the next launch under this name, to be given to `Store.enqueue`.

    Draw the button that launches with the token in its own key, and call `renew_request_key` once the runs
    are queued. A double click then queues once: the second click either comes with the same token, or belongs
    to a button that is no longer there.
    """
    slot = f"_request_{name}"
    if slot not in st.session_state:
        st.session_state[slot] = uuid.uuid4().hex
    return str(st.session_state[slot])


def renew_request_key(name: str) -> None:
    """Make the next click under this name a new launch."""
    st.session_state[f"_request_{name}"] = uuid.uuid4().hex


def value(key: str) -> Any:
    """What the widget with this key held after the last interaction; None before it was first drawn."""
    return st.session_state.get(key)


def assign(values: Mapping[str, Any]) -> None:
    """Set widgets by their keys; to be called from a callback, which runs before they are drawn."""
    for key, chosen in values.items():
        st.session_state[key] = chosen


def remember(name: str, what: Any) -> None:
    """Keep something for this session under a name of ours."""
    st.session_state[f"_kept_{name}"] = what


def remembered(name: str) -> Any:
    """What `remember` kept; None if nothing."""
    return st.session_state.get(f"_kept_{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a live run is now; None until that can be known."""

    images_per_s: float | None = None
    left_s: float | None = None
    """Until its last image, if it goes on like this."""

    @property
    def left(self) -> str | None:
        """The time left in words, no finer than it can be known."""
        if self.left_s is None:
            return None
        if self.left_s < 100:
            return f"{max(1, math.ceil(self.left_s))} s left"
        return f"{math.ceil(self.left_s / 60)} min left"


def pace(run_id: str, progress: Progress | None) -> Pace:
    """The pace of a run, from the progress that this session has seen of it so far."""
    if progress is None:
        return Pace()
    kept_id, samples = st.session_state.get("_pace", ("", ()))
    sample = (progress.elapsed_s, progress.images_done)
    samples = samples if kept_id == run_id else ()
    if not samples or sample[1] > samples[-1][1]:
        # Only what moves is kept: while a block is being worked on, the rate up to it stands.
        samples = (*[s for s in samples if s[0] >= sample[0] - PACE_WINDOW_S][-60:], sample)
        st.session_state["_pace"] = (run_id, samples)
    return _pace(samples, progress)


def _pace(samples: tuple[tuple[float, int], ...], progress: Progress) -> Pace:
    # The first image comes after set-up, which says nothing about the images that follow.
    moving = [sample for sample in samples if sample[1] > 0]
    if len(moving) < 2 or moving[-1][0] - moving[0][0] < PACE_KNOWN_AFTER_S:
        return Pace()
    rate = (moving[-1][1] - moving[0][1]) / (moving[-1][0] - moving[0][0])
    since_s = progress.elapsed_s - moving[-1][0]
    left = progress.images_total - progress.images_done
    return Pace(images_per_s=rate, left_s=max(0.0, left / rate - since_s) if left > 0 else None)
