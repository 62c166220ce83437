"""Models that compare pictures with texts give the answers of Transformers' own pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import transformers

from inference import models
from tests.inference import tiny

LABELS = ("cat", "a dog", "traffic light", "snow", "a bird", "boat")
PICTURES = [
    tiny.noise((60 + 10 * seed, 50), seed) if seed % 2 else tiny.photo_like((50, 60), seed) for seed in range(6)
]


@pytest.fixture(scope="module", params=["CLIP", "Siglip"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny.compares_with_texts(tmp_path_factory.mktemp("tiny"), request.param)


def by_pipeline(folder: str) -> list[dict[str, float]]:
    pipe = transformers.pipeline("zero-shot-image-classification", model=folder, device="cpu")
    return [{a["label"]: a["score"] for a in pipe(picture, candidate_labels=list(LABELS))} for picture in PICTURES]


def assert_same(answers: list[models.Answer], expected: list[dict[str, float]], within: float) -> None:
    for answer, scores in zip(answers, expected, strict=True):
        assert answer[0][0] == max(scores, key=scores.__getitem__)
        assert len(answer) == models.TOP_K
        for label, score in answer:
            assert score == pytest.approx(scores[label], abs=within)


def test_the_pictures_get_different_answers(folder: str) -> None:
    tops = [max(scores, key=scores.__getitem__) for scores in by_pipeline(folder)]
    assert len(set(tops)) > 1


def test_one_by_one_it_is_the_pipeline(folder: str) -> None:
    pipe = models.load_pipeline(folder, device="cpu", dtype="float32", compiled=False, labels=LABELS)
    answers = [models.classify_one(pipe, picture, labels=LABELS) for picture in PICTURES]

    assert_same(answers, by_pipeline(folder), 1e-6)


@pytest.mark.parametrize("backend", ["eager", "openvino"])
def test_a_whole_batch_gets_the_pipelines_answers(
    folder: str, backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    geometry = models.geometry_of(folder)
    classifier = models.Classifier(folder, geometry=geometry, backend=backend, labels=LABELS)
    pixels = np.stack([classifier.pixels(picture) for picture in PICTURES])

    answers = classifier.answers(classifier.logits(pixels, len(pixels)))

    assert_same(answers, by_pipeline(folder), 1e-4)


def test_channels_last_and_bfloat16_stay_close(folder: str) -> None:
    classifier = models.Classifier(
        folder, geometry=models.geometry_of(folder), dtype="bfloat16", channels_last=True, labels=LABELS
    )
    pixels = np.stack([classifier.pixels(picture) for picture in PICTURES])
    expected = by_pipeline(folder)

    for answer, scores in zip(classifier.answers(classifier.logits(pixels, 6)), expected, strict=True):
        for label, score in answer:
            assert score == pytest.approx(scores[label], abs=0.15)
