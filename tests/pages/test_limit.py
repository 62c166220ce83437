"""The limit above a run: known or not, explained, measured again."""

from __future__ import annotations

import dataclasses

import pytest
import seed
from conftest import OpenPage
from streamlit.testing.v1 import AppTest
from test_overview import cards, said, unescaped

from inference.store import Store
from pages.ui import limit

MEASURED = 1 / (1 / 420 + 1 / 900)


@pytest.fixture(autouse=True)
def engine(store: Store) -> None:
    seed.engine(store)


def of_the_limit(app: AppTest):  # type: ignore[no-untyped-def]
    return next(metric for metric in app.metric if metric.label == "Of the limit")


def test_a_known_limit_turns_the_steady_rate_into_a_share(store: Store) -> None:
    seed.limit(store)
    card = limit.card(limit.known(store, seed.ACTOR, seed.HARDWARE), MEASURED / 2)
    assert card.value == "50 %"
    assert card.note == "of 286 images/s"


def test_the_tooltip_defines_the_share_and_names_the_parts(store: Store) -> None:
    seed.limit(store)
    text = unescaped(limit.card(limit.known(store, seed.ACTOR, seed.HARDWARE), 10.0).help)
    assert "divided by the limit" in text
    assert "Reading, decoding and resizing alone: 420 images/s." in text
    assert "900 images/s (OpenVINO, channels last, batch 16, 2 × 1 thread), 12.2 GFLOP/s" in text
    assert "1 / (1 / 420 + 1 / 900) = 286 images/s" in text
    assert "Measured " in text


def test_with_a_processor_each_the_slower_part_decides(store: Store) -> None:
    measured = dataclasses.replace(seed.limit(store), shared_cores=False)
    assert "the slower one decides: 420 images/s." in " ".join(limit.parts(measured))


def test_an_unknown_limit_is_a_dash_with_its_reason(store: Store) -> None:
    found = limit.known(store, seed.ACTOR, seed.HARDWARE)
    assert (limit.card(found, 10.0).value, found.reason) == ("–", limit.NOT_YET)
    store.limits.request(seed.limit_key())
    assert limit.known(store, seed.ACTOR, seed.HARDWARE).reason == limit.ASKED_FOR
    store.limits.save(seed.limit_key(), None, problem="The model needs more memory than there is.")
    assert "more memory" in limit.card(limit.known(store, seed.ACTOR, seed.HARDWARE), 10.0).help


def test_a_run_without_steady_state_has_no_share(store: Store) -> None:
    seed.limit(store)
    card = limit.card(limit.known(store, seed.ACTOR, seed.HARDWARE), None)
    assert card.value == "–"
    assert "did not get far enough" in card.help


def test_precisions_have_limits_of_their_own(store: Store) -> None:
    seed.limit(store)
    assert limit.known(store, seed.ACTOR.with_(dtype="bfloat16"), seed.HARDWARE).limit is None


def test_runs_of_different_models_share_no_limit(store: Store) -> None:
    seed.limit(store)
    ids = [seed.finished(store), seed.finished(store, seed.ACTOR.with_(model="resnet-50-untrained"))]
    records = [record for run_id in ids if (record := store.get(run_id)) is not None]
    assert limit.highest(store, records) is None
    assert limit.highest(store, records[:1]) is not None


def test_a_press_asks_for_the_limit_once_and_the_page_says_so(open_page: OpenPage, store: Store) -> None:
    seed.limit(store)
    app = open_page("run", {"run": seed.finished(store)})
    next(button for button in app.button if button.label == "Measure again").click().run()
    assert not app.exception
    assert store.limits.state(seed.limit_key()) == "requested"
    assert "Asked for; measured when nothing else runs." in said(app)
    assert next(button for button in app.button if button.label == "Measure again").disabled
    assert cards(app)["Of the limit"].endswith(" %")  # what was measured before still stands


def test_a_limit_that_was_never_measured_can_be_asked_for(open_page: OpenPage, store: Store) -> None:
    app = open_page("run", {"run": seed.finished(store)})
    assert of_the_limit(app).value == "–"
    assert "Not measured yet" in unescaped(of_the_limit(app).help)
    next(button for button in app.button if button.label == "Measure it").click().run()
    assert store.limits.state(seed.limit_key()) == "requested"


def test_what_ran_on_another_machine_cannot_be_measured_here(open_page: OpenPage, store: Store) -> None:
    run_id = seed.finished(store)
    status = store.engine()
    assert status is not None
    store.save_engine(dataclasses.replace(status, hardware={**(status.hardware or {}), "cpu_model": "Another"}))
    app = open_page("run", {"run": run_id})
    assert next(button for button in app.button if button.label == "Measure it").disabled
    assert "come from another machine" in said(app)


def test_throughput_is_drawn_under_the_limit(open_page: OpenPage, store: Store) -> None:
    seed.limit(store, prepare=60.0, forward=120.0)
    app = open_page("run", {"run": seed.finished(store)})
    assert "limit 40.0 images/s" in app.get("vega_lite_chart")[0].proto.spec
