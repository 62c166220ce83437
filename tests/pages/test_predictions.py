"""The answers of a run as pictures: chosen, filtered, sorted, and one by one."""

from __future__ import annotations

import pytest
import seed
from conftest import OpenPage, words
from streamlit.testing.v1 import AppTest

from inference.config import RunConfig
from inference.geometry import Geometry
from inference.history import History
from inference.results import Prediction
from inference.store import Store
from pages.ui import filters, picture

HOSTILE = "<script>alert(1)</script> :red[x] ![p](http://example.com/p.png)"
RUN = RunConfig(strategy="batched", limit=60, batch_size=16)


@pytest.fixture(autouse=True)
def engine(store: Store) -> None:
    seed.engine(store)


def shown(app: AppTest) -> list[str]:
    """The file names under the pictures."""
    return [button.label.replace("\\", "") for button in app.button if (button.key or "").startswith("open-")]


def header(app: AppTest) -> str:
    return app.header[0].value.replace("\\", "")


def test_without_answers_the_page_points_to_the_run_page(open_page: OpenPage, store: Store) -> None:
    store.enqueue([RUN])
    app = open_page("predictions")
    assert not app.exception
    assert "No run has answers so far." in app.info[0].value


def test_the_newest_run_with_answers_is_shown_first(open_page: OpenPage, store: Store) -> None:
    seed.finished(store, RUN)
    newest = seed.finished(store, RUN, wrong=(1, 2, 3), unreadable=(4,))
    store.enqueue([seed.NAIVE])
    app = open_page("predictions")
    assert not app.exception
    assert app.get_by_key("chosen_run").value == newest
    assert header(app) == "56 of 59 answers are right (95 %); 1 image without an answer"
    assert len(shown(app)) == 48


def test_the_address_chooses_the_run_the_filters_the_order_and_the_page(open_page: OpenPage, store: Store) -> None:
    run_id = seed.finished(store, RUN, wrong=(1, 2, 3))
    seed.finished(store, RUN)
    query = {"run": run_id, "outcome": "wrong", "sort": "file name", "name": "_three"}
    app = open_page("predictions", query)
    assert shown(app) == ["0001_three.jpg"]
    assert "**1 of 60 images**" in words(app)
    assert app.query_params == query
    assert len(shown(open_page("predictions", {"run": run_id, filters.PAGE: "2"}))) == 12


def test_a_filter_that_is_chosen_begins_at_the_first_page(open_page: OpenPage, store: Store) -> None:
    run_id = seed.finished(store, RUN, wrong=(1, 2, 3))
    app = open_page("predictions", {"run": run_id, filters.PAGE: "2"})
    app.selectbox(key="sort").select("lowest score first").run()
    assert app.pagination[0].value == 1
    app.multiselect(key="truth").select("three").run()
    assert [name[5:] for name in shown(app)] == ["three.jpg"] * 6


def test_a_pair_that_is_confused_leads_to_its_pictures(open_page: OpenPage, store: Store) -> None:
    run_id = seed.finished(store, RUN, wrong=(5, 15, 8))
    app = open_page("predictions", {"run": run_id, "outcome": "right"})
    button = next(button for button in app.button if "taken for" in button.label)
    assert button.label.replace("\\", "") == "1 image of eight, taken for nine"
    button.click().run()
    assert shown(app) == ["0008_eight.jpg"]


def test_another_run_starts_with_all_its_answers(open_page: OpenPage, store: Store) -> None:
    first, second = seed.finished(store, RUN), seed.finished(store, RUN)
    app = open_page("predictions", {"run": second, "outcome": "wrong", "other": first})
    app.selectbox(key="chosen_run").select(first).run()
    assert app.query_params == {"run": first}
    assert len(shown(app)) == 48


def test_where_no_image_fits_one_click_shows_all_again(open_page: OpenPage, store: Store) -> None:
    run_id = seed.finished(store, RUN, wrong=())
    app = open_page("predictions", {"run": run_id, "outcome": "wrong"})
    assert "No image fits these filters." in app.info[0].value
    app.button(key="show-all").click().run()
    assert not app.exception
    assert len(shown(app)) == 48
    assert app.query_params == {"run": run_id}


def test_only_images_that_another_run_answered_otherwise_with_both_answers(open_page: OpenPage, store: Store) -> None:
    first, second = seed.finished(store, RUN, wrong=(5,)), seed.finished(store, RUN, wrong=(5, 9))
    app = open_page("predictions", {"run": second, "other": first})
    assert shown(app) == ["0009_nine.jpg"]
    assert "wrong, it is nine" in words(app)
    assert "the other run:\n" in words(app) + "\n"


def test_a_run_without_true_labels_is_given_no_share(open_page: OpenPage, store: Store) -> None:
    store.enqueue([RUN])
    run_id = seed.start_next(store)
    store.end(run_id, "finished", predictions=[Prediction("a.jpg", "cat", 0.9, top=(("cat", 0.9),), worker="w")])
    app = open_page("predictions")
    assert header(app) == "1 image got 1 label"
    assert "right" not in header(app)
    assert not app.get("expander")


def test_names_from_data_are_shown_literally(open_page: OpenPage, store: Store) -> None:
    store.enqueue([RUN])
    run_id = seed.start_next(store)
    hostile = Prediction(HOSTILE, HOSTILE, 0.9, truth=HOSTILE, top=((HOSTILE, 0.9),), worker=HOSTILE)
    store.end(run_id, "finished", predictions=[hostile])
    History(store.database).describe(run_id, name=HOSTILE)
    app = open_page("predictions", {"image": "1"})
    assert not app.exception
    said = "\n".join([words(app), *(button.label for button in app.button), *(h.value for h in app.header)])
    assert ":red[x]" not in said.replace(app.code[0].value, "")
    assert "![p]" not in said.replace(app.code[0].value, "")


def test_the_untrained_models_labels_are_called_meaningless(open_page: OpenPage, store: Store) -> None:
    seed.finished(store, RunConfig(strategy="actor", limit=8, model="resnet-50-untrained"))
    assert "Labels are meaningless" in words(open_page("predictions"))


def test_a_live_run_shows_what_it_has_so_far(open_page: OpenPage, store: Store) -> None:
    store.enqueue([RUN])
    seed.work(store, seed.start_next(store), share=0.5)
    app = open_page("predictions")
    assert not app.exception
    assert len(shown(app)) == 30


def test_a_run_that_is_gone_is_said_to_be(open_page: OpenPage, store: Store) -> None:
    seed.finished(store, RUN)
    app = open_page("predictions", {"run": "*gone*"})
    assert not app.exception
    assert r"There is no run \*gone\*" in app.warning[0].value


# -- one image ---------------------------------------------------------------------------------------------


def test_a_picture_opens_with_its_answer_its_worker_and_its_batch(open_page: OpenPage, store: Store) -> None:
    seed.samples(store.home, 4)
    run_id = seed.finished(store, RUN)
    store.save_geometry(run_id, Geometry(shortest_edge=36, crop=(32, 32)))
    app = open_page("predictions", {"run": run_id})
    app.button(key="open-2").click().run()
    assert not app.exception
    assert app.query_params["image"] == "2"
    said = words(app).replace("\\", "")
    assert "Truth: three" in said
    assert "Worker: worker 4711" in said
    assert "Batch: number 1 of this worker" in said
    assert "Its batch of 16 images took" in said
    assert "The 5 most probable labels" in said
    assert app.code[0].value == str(store.home / "datasets" / "digits" / "0001_three.jpg")
    assert app.dataframe[-1].value["Phase"].tolist() == ["preprocessing", "forward", "postprocessing"]


def test_next_and_previous_follow_the_order_that_is_shown(open_page: OpenPage, store: Store) -> None:
    run_id = seed.finished(store, RUN, wrong=(3, 8))
    app = open_page("predictions", {"run": run_id, "outcome": "wrong", "image": "1"})
    assert app.button(key="go-previous").disabled
    app.button(key="go-next").click().run()
    assert app.query_params["image"] == "2"
    assert app.code[0].value == "0008_eight.jpg"
    assert app.button(key="go-next").disabled


@pytest.mark.parametrize("place", ["0", "61", "-1", "two", "²", ""])
def test_a_place_that_is_not_there_opens_nothing(open_page: OpenPage, store: Store, place: str) -> None:
    seed.finished(store, RUN)
    app = open_page("predictions", {"image": place})
    assert not app.exception
    assert not app.code


def test_an_image_without_an_answer_says_why_and_has_no_scores(open_page: OpenPage, store: Store) -> None:
    run_id = seed.finished(store, RUN, unreadable=(2,))
    app = open_page("predictions", {"run": run_id, "outcome": "no answer", "image": "1"})
    assert not app.exception
    assert "there are no scores" in words(app)
    assert "Score: –" in words(app).replace("\\", "")


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (None, "is not known"),
        ("own", "does something of its own"),
        (Geometry(size=(224, 200)), "resized to 200 × 224 pixels"),
        (Geometry(shortest_edge=36, crop=(32, 30)), "36 pixels, then cropped to the middle 30 × 32"),
    ],
)
def test_what_was_done_to_a_picture_is_said(seen: Geometry | None, said: str) -> None:
    assert said in picture.seen_text(seen)


def test_what_each_model_of_an_ensemble_chose_is_shown_with_how_often_they_agree(
    open_page: OpenPage, store: Store
) -> None:
    store.enqueue([RunConfig(members=("other",), limit=2)])
    run_id = seed.start_next(store)
    choices = [(("three", 0.9), ("three", 0.5)), (("one", 0.8), ("four_of_*five*", 0.6))]
    answers = [
        Prediction(f"{number}.jpg", label=own[0], score=own[1] / 2, top=((own[0], own[1] / 2),), votes=(own, theirs))
        for number, (own, theirs) in enumerate(choices)
    ]
    store.end(run_id, "finished", predictions=answers)

    said = words(open_page("predictions", {"run": run_id, "image": "2"}))
    assert "digits by itself: **one** 80 %" in said
    assert "other by itself: **four\\_of\\_\\*five\\*** 60 %" in said
    assert "Its 2 models choose the same label for 1 of 2 images." in words(open_page("run", {"run": run_id}))
