"""Whole batches through a checkpoint give the answers that a pipeline gives image by image."""

import json
import platform
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from inference.bundled import DIGITS_MODEL_DIR
from inference.ensemble import Ensemble
from inference.geometry import Geometry
from inference.images import decode
from inference.models import Answer, Classifier, geometry_of, keep_freed_memory
from inference.recorder import Recorder
from inference.strategies.batches import classify_pixels
from tests.inference.tiny import OTHERS, noise, photo_like, processor, resnet

SIZES = ((500, 375), (375, 500), (97, 131), (300, 300), (800, 90), (30, 40), (224, 224))
SMALL: dict[str, Any] = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """A classifier sets the threads of its process; the tests after this one get theirs back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    return [make(size, seed) for seed, size in enumerate(SIZES) for make in (noise, photo_like)]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny checkpoint that looks at 32 × 32 pixels."""
    return resnet(tmp_path_factory.mktemp("small"), processor("Bit", **SMALL))


def classifier(folder: str, **options: Any) -> Classifier:
    return Classifier(folder, geometry=geometry_of(folder), **options)


def pixels_of(model: Classifier, images: list[Image.Image]) -> np.ndarray:
    return np.stack([model.pixels(image) for image in images])


def batched(model: Classifier, images: list[Image.Image], batch_size: int | None = None) -> list[Answer]:
    """The answers to all images, in batches of one size, the last one smaller."""
    size = batch_size or len(images)
    answers: list[Answer] = []
    for start in range(0, len(images), size):
        logits = model.logits(pixels_of(model, images[start : start + size]), size)
        answers += model.answers(logits)
    return answers


def one_by_one(folder: str, images: list[Image.Image], dtype: str = "float32") -> list[Answer]:
    """What a user of Transformers gets."""
    pipe = transformers.pipeline("image-classification", model=folder, device="cpu", dtype=getattr(torch, dtype))
    return [tuple((answer["label"], answer["score"]) for answer in pipe(image, top_k=5)) for image in images]


def assert_same(ours: list[Answer], theirs: list[Answer], tolerance: float = 1e-5) -> None:
    """The same number of labels with the same scores; labels of equal scores may stand in any order."""
    assert len(ours) == len(theirs)
    for mine, wanted in zip(ours, theirs, strict=True):
        assert len(mine) == len(wanted)
        np.testing.assert_allclose([s for _, s in mine], [s for _, s in wanted], atol=tolerance, rtol=tolerance)
        scores = dict(wanted)
        assert all(abs(score - scores.get(label, wanted[-1][1])) <= 2 * tolerance for label, score in mine)


# -- the answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "settings"),
    [
        (12, {}),
        (12, {"problem_type": "single_label_classification"}),
        (12, {"problem_type": "multi_label_classification"}),
        (3, {}),
        (1, {}),
        (1, {"problem_type": "regression"}),
        (4, {"problem_type": "regression"}),
    ],
    ids=["softmax", "one label of many", "several labels", "three labels", "one label", "regression", "regressions"],
)
def test_scores_follow_the_rules_of_a_pipeline(
    tmp_path: Path, pictures: list[Image.Image], labels: int, settings: dict[str, Any]
) -> None:
    folder = resnet(tmp_path, processor("Bit", **SMALL), labels=labels, **settings)

    answers = batched(classifier(folder), pictures)

    assert_same(answers, one_by_one(folder, pictures))
    assert {len(answer) for answer in answers} == {min(5, labels)}


def test_the_pictures_of_these_tests_have_different_answers(small: str, pictures: list[Image.Image]) -> None:
    answers = one_by_one(small, pictures)

    assert len({answer[0][0] for answer in answers}) > 1
    assert len({round(answer[0][1], 4) for answer in answers}) > len(answers) / 2


@pytest.mark.parametrize("family", ["ConvNext", "ViT", "MobileNetV2", "CLIP", "DeiT"])
def test_with_a_plain_processor_the_answers_are_those_of_the_pipeline(
    tmp_path: Path, pictures: list[Image.Image], family: str
) -> None:
    folder = resnet(tmp_path, processor(family))
    assert geometry_of(folder) is not None

    assert_same(batched(classifier(folder), pictures), one_by_one(folder, pictures))


@pytest.mark.parametrize("family", OTHERS)
def test_with_a_processor_that_does_more_the_answers_are_still_those_of_the_pipeline(
    tmp_path: Path, pictures: list[Image.Image], family: str
) -> None:
    folder = resnet(tmp_path, processor(family))
    model = classifier(folder)
    assert geometry_of(folder) is None
    assert model.pixels(pictures[0]).dtype == np.float32

    assert_same(batched(model, pictures), one_by_one(folder, pictures))


@pytest.fixture(scope="module")
def digits(samples: Path) -> list[Image.Image]:
    return [decode(path.read_bytes()) for path in sorted(samples.glob("*.jpg"))[:200]]


@pytest.fixture(scope="module")
def digits_one_by_one(digits: list[Image.Image]) -> list[Answer]:
    return one_by_one(str(DIGITS_MODEL_DIR), digits)


@pytest.mark.parametrize("options", [{}, {"channels_last": True}, {"threads": 2}], ids=str)
def test_batches_of_digits_score_as_they_do_one_by_one(
    digits: list[Image.Image], digits_one_by_one: list[Answer], options: dict[str, Any]
) -> None:
    answers = batched(classifier(str(DIGITS_MODEL_DIR), **options), digits, 32)

    assert [answer[0][0] for answer in answers] == [answer[0][0] for answer in digits_one_by_one]
    assert_same(answers, digits_one_by_one, tolerance=1e-3)


@pytest.mark.parametrize("channels_last", [False, True])
def test_in_bfloat16_the_best_label_is_the_same_for_99_of_100_digits(
    digits: list[Image.Image], digits_one_by_one: list[Answer], channels_last: bool
) -> None:
    model = classifier(str(DIGITS_MODEL_DIR), dtype="bfloat16", channels_last=channels_last)

    answers = batched(model, digits, 32)

    agree = sum(a[0][0] == b[0][0] for a, b in zip(answers, digits_one_by_one, strict=True))
    assert agree >= 0.99 * len(digits)


def test_batches_that_cannot_be_written_to_are_taken(small: str, pictures: list[Image.Image]) -> None:
    model = classifier(small)
    pixels = pixels_of(model, pictures)
    wanted = model.logits(pixels, len(pixels))
    pixels.flags.writeable = False

    assert torch.equal(model.logits(pixels, len(pixels)), wanted)


@pytest.mark.parametrize("geometry", [None, Geometry(shortest_edge=32, crop=(32, 32))], ids=["processor", "pixels"])
def test_a_model_that_was_warmed_up_answers_as_before(small: str, geometry: Geometry | None) -> None:
    model = Classifier(small, geometry=geometry)
    pixels = pixels_of(model, [noise((50, 40))])
    before = model.logits(pixels, 4)

    model.warm_up(4)

    assert torch.equal(model.logits(pixels, 4), before)


def test_the_forward_pass_uses_the_threads_that_it_was_given(small: str) -> None:
    classifier(small, threads=3)
    assert torch.get_num_threads() == 3

    classifier(small, threads=1)
    assert torch.get_num_threads() == 1


# -- compiled engines ------------------------------------------------------------------------------------------------

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None, reason="torch.compile needs a C++ compiler"
)


@needs_compiler
def test_a_compiled_model_gives_the_same_answers_also_for_a_last_partial_batch(
    small: str, pictures: list[Image.Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()
    model = classifier(small, backend="compile", channels_last=True)

    model.warm_up(4)

    assert len(pictures) % 4 == 2
    assert_same(batched(model, pictures, 4), batched(classifier(small), pictures), tolerance=1e-4)


def kept_models(cache: Path) -> list[Path]:
    return sorted(cache.glob("batchscope/openvino/*/model.xml"))


@pytest.fixture
def openvino_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where OpenVINO's models are kept during a test."""
    pytest.importorskip("openvino", reason="the OpenVINO backend is an extra")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_openvino_gives_the_same_answers_also_for_a_last_partial_batch(
    small: str, pictures: list[Image.Image], openvino_cache: Path
) -> None:
    model = classifier(small, backend="openvino")

    model.warm_up(4)
    answers = batched(model, pictures, 4)

    assert_same(answers, batched(classifier(small), pictures), tolerance=1e-3)


def test_openvino_gives_the_pipelines_answers_where_a_processor_does_more(
    tmp_path: Path, pictures: list[Image.Image], openvino_cache: Path
) -> None:
    folder = resnet(tmp_path / "model", processor("MobileViT"))
    model = classifier(folder, backend="openvino")

    assert_same(batched(model, pictures, 4), one_by_one(folder, pictures), tolerance=1e-3)


def test_openvino_in_bfloat16_agrees_on_99_of_100_digits(
    digits: list[Image.Image], digits_one_by_one: list[Answer], openvino_cache: Path
) -> None:
    model = classifier(str(DIGITS_MODEL_DIR), backend="openvino", dtype="bfloat16")

    answers = batched(model, digits, 32)

    agree = sum(a[0][0] == b[0][0] for a, b in zip(answers, digits_one_by_one, strict=True))
    assert agree >= 0.99 * len(digits)


def test_a_converted_model_is_kept_and_read_again(
    small: str, pictures: list[Image.Image], openvino_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino

    first = batched(classifier(small, backend="openvino"), pictures)
    (kept,) = kept_models(openvino_cache)
    monkeypatch.delattr(openvino, "convert_model")

    again = batched(classifier(small, backend="openvino"), pictures)

    assert again == first
    assert kept_models(openvino_cache) == [kept]
    assert [path.name for path in kept.parent.parent.iterdir()] == [kept.parent.name]


def test_a_model_whose_weights_have_changed_is_converted_anew(
    tmp_path: Path, pictures: list[Image.Image], openvino_cache: Path
) -> None:
    folder = resnet(tmp_path / "model", processor("Bit", **SMALL))
    classifier(folder, backend="openvino")
    model = transformers.ResNetForImageClassification.from_pretrained(folder)
    with torch.no_grad():
        model.classifier[1].weight.neg_()
    model.save_pretrained(folder)

    answers = batched(classifier(folder, backend="openvino"), pictures)

    assert_same(answers, one_by_one(folder, pictures), tolerance=1e-3)
    assert len(kept_models(openvino_cache)) == 2


# -- memory ----------------------------------------------------------------------------------------------------------


class TooSmall:
    """A device whose memory holds so many pictures and no more."""

    def __init__(self, network: Any, capacity: int) -> None:
        self.network = network
        self.capacity = capacity
        self.sizes: list[int] = []

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(pixels))
        if len(pixels) > self.capacity:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.network(pixels)


@pytest.mark.parametrize("capacity", [1, 3, 5])
def test_a_batch_that_memory_does_not_hold_goes_through_in_halves_with_every_answer(
    small: str, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch, capacity: int
) -> None:
    model = classifier(small)
    wanted = batched(model, pictures)
    device = TooSmall(model._forward, capacity)
    monkeypatch.setattr(model, "_forward", device)

    answers = batched(model, pictures)

    assert_same(answers, wanted)
    assert sum(size for size in device.sizes if size <= capacity) == len(pictures)


def test_the_size_that_memory_holds_is_told_with_the_batchs_answers(
    small: str, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    def notes(model: Classifier | Ensemble) -> list[str]:
        pixels = np.stack([model.pixels(image) for image in pictures])
        names = [str(number) for number in range(len(pictures))]
        with_answers = classify_pixels(
            model, names, pixels, [""] * len(names), batch_size=8, recorder=Recorder("worker", 0.0), spans_so_far=()
        )
        first, *others = with_answers["notes"]
        assert set(others) == {""}
        return json.loads(first)

    monkeypatch.setattr("inference.strategies.answers._is_repeated", lambda: False)  # no worker of Ray is asked
    roomy, tight = classifier(small), classifier(small)
    monkeypatch.setattr(tight, "_forward", TooSmall(tight._forward, 2))

    assert notes(roomy) == []
    for model in (tight, Ensemble([roomy, tight], "mean", 1)):
        assert notes(model) == [
            "The GPU's memory did not hold more: batches went through in parts of at most 2 images."
        ]


def test_a_single_picture_that_memory_does_not_hold_is_an_error(
    small: str, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier(small)
    monkeypatch.setattr(model, "_forward", TooSmall(model._forward, 0))

    with pytest.raises(torch.OutOfMemoryError):
        batched(model, pictures)


def test_keeping_freed_memory_changes_no_answer_and_may_be_asked_for_again(
    small: str, pictures: list[Image.Image]
) -> None:
    before = batched(classifier(small), pictures)

    for _ in range(3):
        keep_freed_memory()

    assert batched(classifier(small), pictures) == before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is another one")
def test_freed_memory_is_used_again_without_asking_the_system() -> None:
    keep_freed_memory()
    pages, size = 64 * 1024**2 // resource.getpagesize(), 64 * 1024**2 // 4
    torch.ones(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    for _ in range(20):
        torch.ones(size)

    # Given back every time, it would be 20 times; now and then the heap has to grow beside what others hold.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 5 * pages


# -- arithmetic ------------------------------------------------------------------------------------------------------


def test_operations_are_counted_as_with_a_pencil(tmp_path: Path) -> None:
    config = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8],
        depths=[1],
        layer_type="basic",
        downsample_in_first_stage=False,
        id2label={index: str(index) for index in range(10)},
    )
    transformers.ResNetForImageClassification(config).save_pretrained(tmp_path)
    processor("Bit", **SMALL).save_pretrained(tmp_path)

    flops = classifier(str(tmp_path)).flops_per_image()

    # 7 × 7 over 3 colours at half of 32 × 32; pooled to 8 × 8; twice 3 × 3 over 8 channels; 8 to 10.
    stem = 16 * 16 * 8 * (7 * 7 * 3)
    block = 2 * (8 * 8 * 8 * (3 * 3 * 8))
    assert flops == 2 * (stem + block + 8 * 10)
