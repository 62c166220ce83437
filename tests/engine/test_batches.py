"""The strategies that send whole batches through the model, on real Ray: the same answers, and where time went."""

import itertools
import os
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.config import RunConfig
from inference.parity import agreement
from inference.results import MACHINE, RunRecord, Span, metrics, model_workers, runs_model
from inference.usage import gpu_lanes
from tests.engine.conftest import Lab
from tests.inference.tiny import processor, resnet

LIMIT, BATCH = 50, 8
WHOLE_BATCHES = ("batched", "pipelined")
NAMES = ("naive", *WHOLE_BATCHES)


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What engines convert is kept for these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def runs(lab: Lab) -> dict[str, RunRecord]:
    """The same digits through each strategy; the last batch has two images."""
    configs = [RunConfig(strategy=strategy, limit=LIMIT, batch_size=BATCH) for strategy in NAMES]
    return dict(zip(NAMES, lab.finish(*configs), strict=True))


def ids_of(record: RunRecord) -> Counter[str]:
    return Counter(prediction.image_id for prediction in record.predictions)


def assert_complete(record: RunRecord, images: int) -> None:
    """It finished, and every image came out exactly once."""
    assert (record.state, record.error) == ("finished", None)
    assert len(ids_of(record)) == images
    assert set(ids_of(record).values()) == {1}


def spans_of(record: RunRecord, phase: str) -> list[Span]:
    return [span for span in record.spans if span.phase == phase]


def process_of(span: Span) -> str:
    return span.worker.split()[-1]


# -- the same answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", WHOLE_BATCHES)
def test_every_image_is_answered_exactly_once(runs: dict[str, RunRecord], strategy: str) -> None:
    assert_complete(runs[strategy], LIMIT)
    assert metrics(runs[strategy]).errors == 0


@pytest.mark.parametrize("strategy", WHOLE_BATCHES)
def test_the_answers_are_those_of_one_image_after_the_other(runs: dict[str, RunRecord], strategy: str) -> None:
    agreed = agreement(runs["naive"], runs[strategy])

    assert (agreed.images, agreed.agree) == (LIMIT, LIMIT)
    assert agreed.max_score_difference is not None
    assert agreed.max_score_difference < 1e-3


@pytest.mark.parametrize("strategy", WHOLE_BATCHES)
def test_each_answer_has_five_scores_in_order(runs: dict[str, RunRecord], strategy: str) -> None:
    for prediction in runs[strategy].predictions:
        scores = [score for _, score in prediction.top]
        assert len(scores) == 5
        assert scores == sorted(scores, reverse=True)
        assert prediction.top[0] == (prediction.label, prediction.score)


# -- where time went -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", WHOLE_BATCHES)
def test_one_forward_pass_takes_a_whole_batch_and_the_last_one_what_is_left(
    runs: dict[str, RunRecord], strategy: str
) -> None:
    sizes = Counter(span.images for span in spans_of(runs[strategy], "forward"))

    assert sizes == {BATCH: LIMIT // BATCH, LIMIT % BATCH: 1}


@pytest.mark.parametrize("strategy", WHOLE_BATCHES)
def test_every_image_is_read_and_decoded_once(runs: dict[str, RunRecord], strategy: str) -> None:
    for phase in ("read", "preprocess", "postprocess"):
        assert sum(span.images for span in spans_of(runs[strategy], phase)) == LIMIT


@pytest.mark.parametrize("strategy", WHOLE_BATCHES)
def test_a_worker_loads_and_warms_up_once_before_its_first_batch(runs: dict[str, RunRecord], strategy: str) -> None:
    record = runs[strategy]
    (worker,) = model_workers(record.spans)
    (load,), (warmup,) = spans_of(record, "load"), spans_of(record, "warmup")

    first = min(spans_of(record, "forward"), key=lambda span: span.start_s)
    assert {load.worker, warmup.worker, first.worker} == {worker}
    assert load.end_s <= warmup.start_s < warmup.end_s <= first.start_s
    assert (load.batch, warmup.batch, first.batch) == (-1, -1, 0)


def test_decoding_has_lanes_of_its_own_in_pipelined_alone(runs: dict[str, RunRecord]) -> None:
    decoding = {
        name: {span.worker.split()[0] for span in spans_of(record, "preprocess")} for name, record in runs.items()
    }

    assert decoding == {"naive": {"worker"}, "batched": {"worker"}, "pipelined": {"decoder"}}


def test_what_decodes_never_loads_the_model_nor_imports_what_it_needs(runs: dict[str, RunRecord]) -> None:
    record = runs["pipelined"]
    decoders = {span.worker for span in record.spans if span.worker.startswith("decoder")}

    assert {span.phase for span in record.spans if span.worker in decoders} == {"preprocess"}
    most = max(sample.memory_bytes for sample in record.samples if sample.worker in decoders)
    assert most < (metrics(record).peak_worker_memory_bytes or 0) / 2


@pytest.mark.parametrize("strategy", WHOLE_BATCHES)
def test_a_workers_spans_follow_each_other_within_the_run(runs: dict[str, RunRecord], strategy: str) -> None:
    record = runs[strategy]
    (worker,) = model_workers(record.spans)
    lane = sorted((span for span in record.spans if span.worker == worker), key=lambda span: span.start_s)

    assert lane[0].start_s >= 0
    assert all(before.end_s <= after.start_s + 1e-4 for before, after in itertools.pairwise(lane))
    assert lane[-1].end_s >= (metrics(record).total_s or 0.0)


@pytest.mark.parametrize("strategy", WHOLE_BATCHES)
def test_the_model_shares_no_operator_with_what_comes_before_it(runs: dict[str, RunRecord], strategy: str) -> None:
    names = [operator.name for operator in runs[strategy].operators]

    assert names[-1] == "MapBatches(Classifier)"
    assert "read_block" in names[0]
    assert [operator.rows for operator in runs[strategy].operators] == [LIMIT] * len(names)


@pytest.mark.parametrize("strategy", NAMES)
def test_every_lane_says_what_it_used(runs: dict[str, RunRecord], strategy: str) -> None:
    record = runs[strategy]
    samples = defaultdict(list)
    for sample in record.samples:
        samples[sample.worker].append(sample)

    assert set(samples) - {MACHINE, *gpu_lanes(record.samples)} == {span.worker for span in record.spans}
    for lane in samples.values():
        used = [sample.cpu_s for sample in sorted(lane, key=lambda sample: sample.at_s)]
        assert len(used) >= 2
        assert used == sorted(used)
    figures = metrics(record)
    assert figures.cpu_s is not None
    assert 0 < figures.cpu_s < 2 * os.cpu_count() * (figures.total_s or 0.0)  # type: ignore[operator]
    assert figures.peak_worker_memory_bytes is not None
    assert 100 * 1024**2 < figures.peak_worker_memory_bytes < 3 * 1024**3


def test_a_steady_rate_is_known_for_every_strategy(runs: dict[str, RunRecord]) -> None:
    assert all((metrics(record).steady_images_per_s or 0.0) > 0 for record in runs.values())


# -- bad images ------------------------------------------------------------------------------------------------------

FIRST, MIDDLE, LAST, WHOLE_BLOCK = 0, 5, 11, (12, 13, 14, 15)
BROKEN = {FIRST, MIDDLE, LAST, *WHOLE_BLOCK}


@pytest.mark.parametrize("strategy", WHOLE_BATCHES)
def test_a_bad_image_costs_only_itself_wherever_it_stands_in_its_batch(
    lab: Lab, runs: dict[str, RunRecord], tmp_path: Path, samples: Path, strategy: str
) -> None:
    paths = sorted(samples.glob("*.jpg"))[:19]
    for number, path in enumerate(paths):
        if number in BROKEN:
            (tmp_path / path.name).write_bytes(path.read_bytes()[:2000])
        else:
            os.link(path, tmp_path / path.name)
    (tmp_path / paths[MIDDLE].name).write_bytes(b"")

    (record,) = lab.finish(RunConfig(strategy=strategy, dataset=str(tmp_path), batch_size=4))

    assert_complete(record, len(paths))
    refused = {
        prediction.image_id: prediction.reason for prediction in record.predictions if prediction.status == "error"
    }
    assert set(refused) == {paths[number].name for number in BROKEN}
    assert refused[paths[MIDDLE].name] == "the file is empty"
    assert all((refused[paths[number].name] or "").startswith("broken: ") for number in BROKEN - {MIDDLE})
    wanted = {prediction.image_id: prediction for prediction in runs["naive"].predictions}
    for prediction in record.predictions:
        if prediction.status == "ok":
            assert prediction.label == wanted[prediction.image_id].label
            assert prediction.score == pytest.approx(wanted[prediction.image_id].score, abs=1e-3)


@pytest.mark.parametrize("strategy", WHOLE_BATCHES)
def test_a_data_set_of_nothing_but_bad_images_finishes_without_an_answer(
    lab: Lab, tmp_path: Path, strategy: str
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(b"no picture")

    (record,) = lab.finish(RunConfig(strategy=strategy, dataset=str(tmp_path), batch_size=2))

    assert_complete(record, 3)
    assert {prediction.reason for prediction in record.predictions} == {"not an image of a known format"}


# -- other models and options ----------------------------------------------------------------------------------------


def test_a_model_whose_processor_does_more_answers_the_same_in_every_strategy(lab: Lab, tmp_path: Path) -> None:
    model = resnet(tmp_path / "model", processor("MobileViT"))

    naive, *others = lab.finish(
        *(RunConfig(strategy=strategy, model=model, limit=20, batch_size=8) for strategy in NAMES)
    )

    assert others[-1].operators[-1].name == "MapBatches(Classifier)", "decoding must not move into the model's worker"
    assert not {process_of(span) for span in spans_of(others[-1], "preprocess")} & {
        process_of(span) for span in spans_of(others[-1], "forward")
    }
    for record in others:
        assert_complete(record, 20)
        agreed = agreement(naive, record)
        assert (agreed.images, agreed.agree) == (20, 20)
        assert agreed.max_score_difference is not None
        assert agreed.max_score_difference < 1e-3


def test_two_workers_of_one_thread_share_the_images(lab: Lab, runs: dict[str, RunRecord]) -> None:
    config = RunConfig(
        strategy="pipelined", limit=LIMIT, batch_size=BATCH, concurrency=2, cpus_per_worker=0.5, threads=1
    )

    (record,) = lab.finish(config.with_(channels_last=True))

    assert_complete(record, LIMIT)
    assert agreement(runs["naive"], record).share == 1.0
    assert metrics(record).model_loads == metrics(record).workers <= 2  # a late one may find nothing left to do
    assert sum(span.images for span in spans_of(record, "forward")) == LIMIT


def test_openvino_answers_the_same(lab: Lab, runs: dict[str, RunRecord]) -> None:
    pytest.importorskip("openvino", reason="the OpenVINO backend is an extra")

    (record,) = lab.finish(RunConfig(strategy="pipelined", limit=LIMIT, batch_size=BATCH, backend="openvino"))

    assert_complete(record, LIMIT)
    agreed = agreement(runs["naive"], record)
    assert agreed.agree == LIMIT
    assert agreed.max_score_difference is not None
    assert agreed.max_score_difference < 1e-3


@pytest.mark.parametrize("strategy", WHOLE_BATCHES)
def test_a_killed_worker_is_replaced_and_costs_no_image(lab: Lab, strategy: str) -> None:
    config = RunConfig(strategy=strategy, model="resnet-50-untrained", limit=40, batch_size=4)
    (run_id,) = lab.store.enqueue([config])
    lab.wait_for_images(run_id, 8)
    victim = model_workers(lab.record(run_id).spans)[-1]

    os.kill(int(victim.split()[1]), signal.SIGKILL)

    record = lab.wait_for_end(run_id)
    assert_complete(record, 40)
    assert {span.worker for span in spans_of(record, "forward")} > {victim}
    assert all(runs_model(span.worker) for span in spans_of(record, "forward"))
    assert any("died" in message for message in record.messages)
