"""Files to download and the address of a view, in the popover that the pages share."""

import pytest
import seed
from streamlit.testing.v1 import AppTest

from inference.config import RunConfig
from inference.results import RunRecord
from inference.store import Store
from pages.ui.share import address, comparison_name, file_name

LABELS = ["Report (HTML)", "Table (CSV)", "Table (Parquet)", "Everything (JSON)", "Python script"]


def show(run_ids: list[str]) -> None:
    from inference.store import Store, home_folder
    from pages.ui import share

    runs = [Store(home_folder()).get(run_id) for run_id in run_ids]
    if len(runs) > 1:
        share.comparison_downloads(runs)
    else:
        share.run_downloads(runs[0])


def opened(run_ids: list[str], *, is_open: bool = True) -> AppTest:
    app = AppTest.from_function(show, args=(run_ids,), default_timeout=60)
    app.session_state["share"] = is_open
    app.run()
    assert not app.exception
    return app


def record(run_id: str = "0123abcdef", **settings: object) -> RunRecord:
    return RunRecord(id=run_id, state="finished", config=RunConfig(**settings), created_at=0.0)  # type: ignore[arg-type]


def test_a_closed_popover_makes_nothing(store: Store) -> None:
    app = opened([seed.finished(store)], is_open=False)

    assert not app.get("download_button")
    assert not app.caption


def test_a_run_has_a_button_for_each_format_with_a_line_that_says_what_is_in_it(store: Store) -> None:
    app = opened([seed.finished(store)])

    assert [button.label for button in app.get("download_button")] == LABELS
    told = [caption.value for caption in app.caption]
    assert told[0] == "A report with charts and pictures in one file that needs no network"
    assert told[1] == "Every answer\\, one row for each image"
    assert len(told) == len(LABELS) + 1


def test_the_address_of_a_run_and_of_a_comparison_name_their_runs(store: Store) -> None:
    ids = seed.comparison(store, (seed.NAIVE, seed.ACTOR))

    assert opened(ids[:1]).code[0].value.endswith(f"/run?run={ids[0]}")
    assert opened(ids).code[0].value.endswith(f"/compare?runs={ids[0]},{ids[1]}")


def test_a_comparison_says_whose_script_it_gives_and_why(store: Store) -> None:
    app = opened(seed.comparison(store, (seed.NAIVE, seed.ACTOR)))

    assert [button.label for button in app.get("download_button")] == LABELS
    told = app.caption[LABELS.index("Python script")].value.replace("\\", "")
    assert "the settings of the winner" in told
    assert "Actor is the fastest of the 2 that give the same answers" in told


def test_a_run_that_has_no_script_says_why_and_offers_no_button_for_it(store: Store) -> None:
    app = opened([seed.finished(store, seed.ACTOR.with_(dataset="/photos/list.csv"))])

    assert [button.proto.disabled for button in app.get("download_button")] == [False] * 4 + [True]
    assert "not a pattern or a list" in app.caption[4].value


@pytest.mark.parametrize("model", ["microsoft/resnet-50", "../../etc", "a b\n<c>", "/Ähren – 山", "x" * 300, "..."])
def test_file_names_are_safe_whatever_the_model_is_called(model: str) -> None:
    name = file_name(record(model=model), "csv")

    assert name.startswith("batchscope-actor-")
    assert name.endswith("-0123ab.csv")
    assert name.isascii()
    assert not set(name) & set('/\\:*?"<>| \n')
    assert ".." not in name
    assert len(name) < 80


def test_the_file_of_a_comparison_names_its_strategies_or_counts_the_runs() -> None:
    both = [record(strategy="naive"), record("ffff", strategy="actor")]

    assert comparison_name(both, "html") == "batchscope-naive-actor-0123ab.html"
    assert comparison_name([record(), record("ffff", batch_size=8)], "html") == "batchscope-2-runs-0123ab.html"


def test_an_address_keeps_commas_and_escapes_the_rest() -> None:
    assert address("compare", {"runs": "a,b", "x": "ä &"}) == "/compare?runs=a,b&x=%C3%A4+%26"
