"""A person's own models through the strategies: several as one, and one whose labels are typed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from inference.bundled import LABELS
from inference.config import RunConfig
from inference.listing import samples_folder
from inference.parity import agreement
from inference.results import RunRecord
from tests.engine.conftest import Lab
from tests.inference import tiny

STRATEGIES = ("naive", "actor", "batched", "pipelined")
TYPED = ("a cat", "a dog", "a boat")
IMAGES = 12


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A second model of another family, with pictures of another size and other labels."""
    image_processor = tiny.processor("ViT", size={"height": 48, "width": 64})
    return tiny.resnet(tmp_path_factory.mktemp("other") / "model", image_processor)


@pytest.fixture(scope="module")
def ensembles(lab: Lab, other: str) -> dict[str, RunRecord]:
    configs = [RunConfig(strategy=strategy, members=(other,), limit=IMAGES) for strategy in STRATEGIES]
    return dict(zip(STRATEGIES, lab.finish(*configs), strict=True))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_ensemble_gives_one_answer_and_every_models_own(ensembles: dict[str, RunRecord], strategy: str) -> None:
    record = ensembles[strategy]

    assert (record.state, record.error) == ("finished", None)
    for prediction in record.predictions:
        digit, class_ = prediction.votes
        assert digit[0] in LABELS
        assert class_[0].startswith("class ")
        best_mean = max(digit, class_, key=lambda vote: vote[1])
        assert prediction.label == best_mean[0]
        assert prediction.score == pytest.approx(best_mean[1] / 2, abs=1e-4)  # the other model does not know the label


@pytest.mark.parametrize("strategy", STRATEGIES[1:])
def test_an_ensembles_answers_are_the_same_in_every_strategy(ensembles: dict[str, RunRecord], strategy: str) -> None:
    found = agreement(ensembles["naive"], ensembles[strategy])

    assert (found.images, found.agree) == (IMAGES, IMAGES)
    assert found.max_score_difference is not None
    assert found.max_score_difference < 1e-3


def test_votes_of_equals_are_decided_by_the_mean(lab: Lab, other: str) -> None:
    (record,) = lab.finish(RunConfig(strategy="batched", members=(other,), combine="vote", limit=4))

    for prediction in record.predictions:
        assert prediction.score == 0.5
        assert prediction.label == max(prediction.votes, key=lambda vote: vote[1])[0]


def test_typed_labels_are_what_a_comparing_model_chooses_from(lab: Lab, tmp_path: Path) -> None:
    folder = tiny.compares_with_texts(tmp_path / "clip")
    configs = [RunConfig(strategy=strategy, model=folder, labels=TYPED, limit=6) for strategy in STRATEGIES]

    one_by_one, *others = records = lab.finish(*configs)

    for record in records:
        assert (record.state, record.error) == ("finished", None)
        assert {label for prediction in record.predictions for label, _ in prediction.top} == set(TYPED)
    for record in others:
        found = agreement(one_by_one, record)
        assert found.agree == 6
        assert (found.max_score_difference or 0) < 1e-3


@pytest.mark.parametrize(
    ("labels", "reason"), [((), "type two or more to choose from"), (TYPED, "has labels of its own")]
)
def test_labels_and_models_that_do_not_fit_together_are_refused(
    lab: Lab, tmp_path: Path, labels: tuple[str, ...], reason: str
) -> None:
    model = "digits" if labels else tiny.compares_with_texts(tmp_path / "clip")

    (record,) = lab.finish(RunConfig(model=model, labels=labels, limit=2))

    assert record.state == "failed"
    assert reason in (record.error or "")


def test_images_inside_a_parquet_list_are_read_with_their_labels(lab: Lab, tmp_path: Path) -> None:
    files = sorted(samples_folder(lab.store.home).glob("*.jpg"))[:7]
    rows = {
        "image": [{"bytes": file.read_bytes(), "path": None} for file in files] + [{"bytes": b"broken", "path": None}],
        "label": [file.stem.partition("_")[2] for file in files] + ["none"],
    }
    parquet.write_table(pa.table(rows), tmp_path / "list.parquet", row_group_size=3)

    (record,) = lab.finish(RunConfig(strategy="pipelined", dataset=str(tmp_path / "list.parquet"), limit=50))

    assert record.state == "finished"
    assert len(record.predictions) == 8
    assert [p.image_id for p in record.predictions if p.status == "error"] == ["list.parquet/000007"]
    assert sum(p.correct is True for p in record.predictions) >= 6


def test_a_seed_draws_the_same_images_for_every_run(lab: Lab) -> None:
    configs = [RunConfig(limit=5, sample_seed=seed) for seed in (3, 3, 4)]

    first, again, other_seed = ({p.image_id for p in record.predictions} for record in lab.finish(*configs))

    assert first == again != other_seed
    assert len(first) == 5
