"""Exported programs: read, linted, imported, and run by themselves."""

import ast
import io
import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from inference import hardware
from inference.bundled import DIGITS_MODEL_DIR
from inference.bundled.samples import ensure_samples
from inference.config import BACKENDS, ONE_BY_ONE, STRATEGIES, RunConfig
from inference.errors import InvalidConfig
from inference.export import export
from inference.export_script import script
from inference.images import decode
from inference.listing import list_images
from inference.results import Prediction, RunRecord
from tests.inference.exporting import HOSTILE_NAMES, MACHINE, named, record

SCRIPT_TIMEOUT_S = 220


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of the digits samples: making all of them takes half a minute."""
    return ensure_samples(tmp_path_factory.mktemp("few") / "digits", 8)


VARIANTS = [
    *(RunConfig(strategy=strategy) for strategy in STRATEGIES),
    RunConfig(dataset="imagenette", model="microsoft/resnet-50", gpus_per_worker=0.5, dtype="bfloat16"),
    RunConfig(strategy="naive", backend="compile", cpus_per_worker=2.5, dataset="/photos" * 30),
    RunConfig(strategy="naive", dataset="imagenette", model="resnet-50-untrained", backend="compile"),
    RunConfig(strategy="batched", dataset="/photos", sample_seed=7),
    RunConfig(dataset="s3://bucket", sample_seed=7),
    *(RunConfig(dataset="/" + "x" * length) for length in (76, 77, 80, 81, 82)),
    RunConfig(strategy="pipelined", dataset="imagenette", gpus_per_worker=1, dtype="bfloat16", decoders=256),
    *(
        RunConfig(strategy=strategy, backend=backend, channels_last=channels_last, threads=2, decoders=decoders)
        for strategy, decoders in (("batched", 1), ("pipelined", 3))
        for backend in BACKENDS
        for channels_last in (False, True)
    ),
]


def test_py_passes_linter_and_formatter_with_their_own_settings(tmp_path: Path) -> None:
    for number, config in enumerate(VARIANTS):
        (tmp_path / f"program_{number}.py").write_text(script(record(config=config), tmp_path), encoding="utf-8")
    rules = ["--select", "E,F,W,I,B,UP,SIM,RUF,D1,BLE", "--ignore", "D105,D107"]

    for command in (["check", "--isolated", *rules], ["format", "--isolated", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, str(tmp_path)]
        done = subprocess.run(ruff, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("strategy", "lines"), [("naive", 140), ("actor", 130), ("batched", 170), ("pipelined", 185)])
def test_py_is_short_enough_to_be_read(strategy: str, lines: int, tmp_path: Path) -> None:
    assert len(script(record(config=RunConfig(strategy=strategy)), tmp_path).splitlines()) <= lines


@pytest.mark.parametrize("config", VARIANTS)
def test_py_depends_on_ray_transformers_and_pillow_and_not_on_this_project(config: RunConfig, tmp_path: Path) -> None:
    tree = ast.parse(script(record(config=config), tmp_path))

    imported = {alias.name.partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    imported |= {str(n.module).partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert {"ray", "transformers", "PIL"} <= imported
    own = {"torch"} if config.strategy not in ONE_BY_ONE or config.backend == "compile" else set()
    own |= {"openvino"} if config.backend == "openvino" else set()
    assert imported - set(sys.stdlib_module_names) == {"ray", "transformers", "PIL", "pyarrow"} | own


def test_py_has_the_settings_of_the_run_as_constants(tmp_path: Path) -> None:
    config = RunConfig(
        model="microsoft/resnet-50",
        dataset="/photos/cats",
        limit=12,
        batch_size=3,
        concurrency=2,
        cpus_per_worker=1.5,
        gpus_per_worker=0.5,
        dtype="float16",
    )

    given = constants(script(record(config=config), tmp_path))

    assert {name: value for name, value in given.items() if name not in ("FORMATS", "ENDINGS", "ANSWER")} == {
        "MODEL": "microsoft/resnet-50",
        "IMAGES": "/photos/cats",
        "LIMIT": 12,
        "BATCH_SIZE": 3,
        "CONCURRENCY": 2,
        "CPUS_PER_WORKER": 1.5,
        "GPUS_PER_WORKER": 0.5,
        "THREADS_PER_WORKER": 1,
        "DEVICE": "cuda",
        "DTYPE": "float16",
    }


def test_py_has_decoders_and_threads_of_the_run_as_constants(tmp_path: Path) -> None:
    config = RunConfig(strategy="pipelined", decoders=3, cpus_per_worker=0.5, threads=2, backend="openvino")

    values = constants(script(record(config=config), tmp_path))

    assert (values["DECODERS"], values["THREADS_PER_WORKER"], values["CPUS_PER_WORKER"]) == (3, 2, 0.5)
    assert "DECODERS" not in constants(script(record(config=config.as_strategy("batched")), tmp_path))


def test_py_finds_bundled_model_and_samples_by_absolute_paths(tmp_path: Path) -> None:
    values = constants(script(record(), tmp_path))

    assert values["MODEL"] == str(DIGITS_MODEL_DIR)
    assert values["IMAGES"] == str(tmp_path / "datasets" / "digits")


@pytest.mark.parametrize(
    "options",
    [*({"strategy": strategy} for strategy in STRATEGIES), {"strategy": "pipelined", "backend": "openvino"}],
)
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_py_takes_names_as_literals_and_never_as_code(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    config = RunConfig(**options, model="m", dataset="/d")
    harmless = script(record(config=config), tmp_path)
    folder = f"/{name}".replace("[", "(")  # with brackets it would be a pattern

    source = script(replace(named(name), config=config.with_(model=name, dataset=folder)), tmp_path)

    assert constants(source)["MODEL"] == name
    assert constants(source)["IMAGES"] == str(Path(folder))
    assert without_names(source) == without_names(harmless)
    assert not {"\u202e", "\u2067", "\u2028"} & set(source)
    compile(source, "program.py", "exec")


def test_py_names_the_releases_that_the_run_had(tmp_path: Path) -> None:
    wanted = 'pip install "ray[data]==2.60.0" "torch==2.13.0" "transformers==5.1.0" "pillow"\n'

    assert wanted in script(record(), tmp_path)


def test_py_asks_for_openvino_only_where_it_computes(tmp_path: Path) -> None:
    machine = replace(MACHINE, versions=(*MACHINE.versions, ("openvino", "2026.4.1")))
    config = RunConfig(strategy="batched", backend="openvino", dataset="/d")

    with_it = script(record(config=config, hardware=hardware.to_dict(machine)), tmp_path)
    without = script(record(config=config.with_(backend="eager"), hardware=hardware.to_dict(machine)), tmp_path)

    assert '"pillow"\n    pip install "openvino==2026.4.1"\n' in with_it
    assert "openvino" not in without


def test_py_of_a_strategy_without_a_program_is_refused_and_spares_the_file_that_is_there(tmp_path: Path) -> None:
    config = RunConfig()
    object.__setattr__(config, "strategy", "unheard-of")
    (tmp_path / "run.py").write_text("before")

    with pytest.raises(InvalidConfig, match="unheard-of cannot be written as a program; use json"):
        export(record(config=config), tmp_path / "run.py")

    assert (tmp_path / "run.py").read_text() == "before"


def test_py_lists_the_same_images_as_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for name in ("b.jpg", "a.PNG", "sub/x.webp", "sub/deeper/y.gif", "sub-1/z.jpg", ".hidden/h.jpg", ".h.jpg", "t.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    (tmp_path / "outside.jpg").write_bytes(b"x")
    (folder / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    (folder / "inside.jpg").symlink_to(folder / "b.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    os.mkfifo(folder / "pipe.jpg")
    config = RunConfig(dataset=str(folder), limit=5)

    listed = list(islice(program(config, tmp_path)["list_images"](), 5))

    assert [(name, str(Path(path).resolve())) for name, path in listed] == [
        (image.image_id, image.uri) for image in list_images(str(folder), tmp_path, 5).images
    ]
    assert [image_id for image_id, _ in listed] == ["a.PNG", "b.jpg", "inside.jpg", "sub/x.webp", "sub/deeper/y.gif"]


def test_py_draws_the_same_images_by_lot_as_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02}.jpg").write_bytes(b"x")
    functions = program(RunConfig(dataset=str(folder), limit=5, sample_seed=7), tmp_path)

    drawn = [image_id for image_id, _ in functions["drawn"](list(functions["list_images"]()))]

    assert drawn == [image.image_id for image in list_images(str(folder), tmp_path, 5, seed=7).images]


@pytest.mark.parametrize("options", [{"members": ("other",)}, {"labels": ("cat", "dog")}])
def test_py_of_an_ensemble_or_of_labels_to_choose_from_is_refused(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="cannot be written as a program; use json"):
        script(record(config=RunConfig(strategy="batched", **options)), tmp_path)


@pytest.mark.parametrize("dataset", ["/photos/**/*.png", "/photos/list.csv", "/photos/train.parquet"])
def test_py_of_a_pattern_or_a_list_is_refused_with_what_can_be_written(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="a folder or a bucket of images, not a pattern or a list; use json"):
        script(record(config=RunConfig(dataset=dataset)), tmp_path)


@pytest.mark.parametrize(
    ("dataset", "images", "access"),
    [
        ("imagenette", "ray-benchmark-data/imagenette2/train", 'anonymous=True, region="us-west-2"'),
        ("s3://anonymous@some-bucket/photos/", "some-bucket/photos", "anonymous=True"),
        ("s3://some-bucket", "some-bucket", ""),
    ],
)
def test_py_reads_a_bucket_as_the_run_did(dataset: str, images: str, access: str, tmp_path: Path) -> None:
    source = script(record(config=RunConfig(dataset=dataset)), tmp_path)

    assert constants(source)["IMAGES"] == images
    assert f"BUCKET = fs.S3FileSystem({access})\n" in source


@pytest.mark.parametrize(
    ("mode", "form", "settings"),
    [
        ("RGB", "JPEG", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"}),
        ("RGBA", "PNG", {}),
        ("LA", "PNG", {}),
        ("P", "GIF", {"transparency": 3}),
        ("CMYK", "JPEG", {}),
        ("1", "PNG", {}),
        ("I;16", "PNG", {}),
    ],
)
def test_py_sees_the_same_pixels_as_a_run(mode: str, form: str, settings: dict[str, Any], tmp_path: Path) -> None:
    gradient = Image.linear_gradient("L").resize((40, 24))
    if mode == "I;16":
        picture = gradient.convert("I").point(lambda value: value * 257).convert("I;16")
    else:
        picture = gradient.convert(mode)
    if "A" in mode:
        picture.putalpha(gradient.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    file = io.BytesIO()
    picture.save(file, form, **settings)
    (tmp_path / "picture").write_bytes(file.getvalue())

    ours = decode(file.getvalue())
    theirs, reason = program(RunConfig(), tmp_path)["decode"](str(tmp_path / "picture"))

    assert reason is None
    assert (theirs.mode, theirs.size, theirs.tobytes()) == ("RGB", ours.size, ours.tobytes())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_py_gives_a_broken_image_a_reason_and_the_others_their_labels(strategy: str, tmp_path: Path) -> None:
    import pyarrow as pa

    whole = io.BytesIO()
    Image.linear_gradient("L").save(whole, "JPEG")
    functions = program(RunConfig(strategy=strategy), tmp_path)
    (tmp_path / "whole.jpg").write_bytes(whole.getvalue())
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[:900])
    (tmp_path / "text.jpg").write_bytes(b"no picture")
    names = ["text.jpg", "whole.jpg", "missing.jpg", "cut.jpg"]
    block = pa.table({"image_id": names, "path": [str(tmp_path / name) for name in names]})

    answers = answered(functions, block)

    assert [answer["image_id"] for answer in answers] == names
    assert [answer["label"] is None for answer in answers] == [True, False, True, True]
    reasons = [answer["reason"] for answer in answers]
    assert "cannot identify image file" in reasons[0]
    assert reasons[1] is None
    assert "No such file" in reasons[2]
    assert "truncated" in reasons[3]


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        ("batched", {}),
        ("batched", {"channels_last": True}),
        ("batched", {"dtype": "bfloat16"}),
        ("batched", {"backend": "compile", "channels_last": True}),
        ("batched", {"backend": "openvino", "threads": 2}),
        ("pipelined", {}),  # what computes is written alike for both
    ],
    ids=str,
)
def test_py_classifies_whole_batches_as_a_run_with_these_options(
    strategy: str, options: dict[str, Any], few: Path, tmp_path: Path
) -> None:
    import pyarrow as pa

    if options.get("backend") == "openvino" and find_spec("openvino") is None:
        pytest.skip("needs OpenVINO")
    config = RunConfig(strategy=strategy, batch_size=4, **options)
    paths = sorted(few.glob("*.jpg"))[:6]
    functions = program(config, tmp_path)
    block = pa.table({"image_id": [path.name for path in paths], "path": [str(path) for path in paths]})

    answers = answered(functions, block)

    expected = classified_in_batches(paths, config)
    close = 1e-4 if config.dtype == "float32" else 0.02
    assert [(answer["image_id"], answer["label"]) for answer in answers] == [(p.image_id, p.label) for p in expected]
    assert [answer["score"] for answer in answers] == pytest.approx([p.score for p in expected], abs=close)


@pytest.mark.skipif(find_spec("openvino") is None, reason="needs OpenVINO")
def test_py_has_openvino_report_nothing_to_its_makers(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    program(RunConfig(strategy="batched", backend="openvino"), tmp_path)
    load = "import runpy; runpy.run_path('program.py')['load_model']()"

    subprocess.run(
        [sys.executable, "-c", load], cwd=tmp_path, env=os.environ | {"HOME": str(home)}, check=True, timeout=120
    )

    assert not (home / "intel").exists()  # where it keeps whose use it has reported


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_py_runs_by_itself_and_answers_as_the_run_did(
    strategy: str, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("BATCHSCOPE_HOME", str(home))
    folder = Path(shutil.copytree(few, home / "datasets" / "digits"))
    config = RunConfig(strategy=strategy, limit=8, batch_size=3)
    run = classified_here(sorted(folder.glob("*.jpg"))[:8], config)
    (folder / "0.jpg").write_bytes(b"no picture")
    export(replace(run, config=config.with_(limit=9)), tmp_path / "program.py")
    (tmp_path / "inference.py").write_text("raise ImportError('the program must not need this project')")
    here = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}

    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | here,
        capture_output=True,
        text=True,
        timeout=SCRIPT_TIMEOUT_S,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    answers = {answer["image_id"]: answer for answer in map(json.loads, done.stdout.splitlines())}
    broken = answers.pop("0.jpg")
    assert broken["label"] is None
    assert "cannot identify image file" in broken["reason"]
    assert {image_id: answer["label"] for image_id, answer in answers.items()} == {
        prediction.image_id: prediction.label for prediction in run.predictions
    }
    for prediction in run.predictions:
        assert answers[prediction.image_id]["score"] == pytest.approx(prediction.score, abs=1e-4)
        assert answers[prediction.image_id]["reason"] is None


def classified_here(paths: Sequence[Path], config: RunConfig) -> RunRecord:
    """The record of a run over these samples, with answers of the project's own model code."""
    if config.strategy not in ONE_BY_ONE:
        return record(config=config, predictions=tuple(classified_in_batches(paths, config)))
    from inference import models

    pipe = models.load_pipeline(str(DIGITS_MODEL_DIR), device="cpu", dtype="float32", compiled=False)
    tops = [models.classify_one(pipe, decode(path.read_bytes())) for path in paths]
    predictions = tuple(Prediction(path.name, *top[0]) for path, top in zip(paths, tops, strict=True))
    return record(config=config, predictions=predictions)


def classified_in_batches(paths: Sequence[Path], config: RunConfig) -> list[Prediction]:
    """The answers of the project's own classifier, computed by plain PyTorch."""
    import numpy as np

    from inference import models

    folder = str(DIGITS_MODEL_DIR)
    classifier = models.Classifier(folder, geometry=models.geometry_of(folder), dtype=config.dtype)
    pixels = np.stack([classifier.pixels(decode(path.read_bytes())) for path in paths])
    tops = classifier.answers(classifier.logits(pixels, config.batch_size))
    return [Prediction(path.name, *top[0]) for path, top in zip(paths, tops, strict=True)]


def answered(functions: dict[str, Any], block: Any) -> list[dict[str, Any]]:
    """The answers of a program's own worker to a block of paths, batch by batch as Ray Data would ask for them."""
    import numpy as np

    worker = functions["Classifier"]()
    answers = []
    for start in range(0, len(block), functions["BATCH_SIZE"]):
        batch = block.slice(start, functions["BATCH_SIZE"])
        if "decode_block" in functions:
            processor = functions["AutoImageProcessor"].from_pretrained(functions["MODEL"])
            columns = functions["decode_block"](batch, processor)
            batch = {name: np.asarray(values) for name, values in columns.items()}
        answers += worker(batch).to_pylist()
    return answers


def program(config: RunConfig, folder: Path) -> dict[str, Any]:
    """The functions and constants of the exported program, which is imported and not run."""
    path = folder / "program.py"
    path.write_text(script(record(config=config), folder), encoding="utf-8")
    return runpy.run_path(str(path))


def constants(source: str) -> dict[str, Any]:
    """The values that a program assigns at its top, where they are literals."""
    values = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                values[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return values


def without_names(source: str) -> str:
    """A program's syntax tree without its docstring and the values of MODEL and IMAGES."""
    tree = ast.parse(source)
    del tree.body[0]
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("MODEL", "IMAGES"):
            node.value = ast.Constant(None)
    return ast.dump(tree)
