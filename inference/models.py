"""A folder with a checkpoint → a classifier in memory. Imports torch and transformers.

It is imported inside workers, never in the web server nor in the engine itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import platformdirs
import torch
import transformers
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import ResNetConfig, ResNetForImageClassification

from inference import untrained
from inference.checkpoints import check_place
from inference.geometry import Geometry

# Their bars would fill the workers' logs: one for every load of the naive strategy.
transformers.utils.logging.disable_progress_bar()

TOP_K = 5

Timer = Callable[[str, int], AbstractContextManager[None]]
"""`timer(phase, images)` times the body of a `with`: `Recorder.span` is one."""

Answer = tuple[tuple[str, float], ...]
"""The most probable labels of one image with their scores, best first, at most `TOP_K`."""


def device_for(gpus_per_worker: float) -> str:
    """Where a worker's model runs: the GPU that Ray gave it, else Apple's, else the processor."""
    if gpus_per_worker > 0:
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def set_threads(count: int) -> None:
    """Let PyTorch use this many threads, whatever OMP_NUM_THREADS the process was started with."""
    torch.set_num_threads(count)


# -- one image after the other ---------------------------------------------------------------------------------------


def load_pipeline(
    folder: str, *, device: str, dtype: str, compiled: bool, labels: Sequence[str] = ()
) -> transformers.Pipeline:
    """The classification pipeline of a checkpoint, as a Transformers user would build it; zero-shot with `labels`."""
    check_place(Path(folder))
    task = "zero-shot-image-classification" if labels else "image-classification"
    pipe = transformers.pipeline(
        task,
        model=folder,
        device=device,
        dtype=getattr(torch, dtype),
        # `model_files` has looked for code and pickles; this is the second lock.
        trust_remote_code=False,
        model_kwargs={"use_safetensors": True},
    )
    if compiled:
        pipe.model = torch.compile(pipe.model)
    return pipe


def time_stages(pipe: transformers.Pipeline, timer: Timer) -> None:
    """Have the pipeline's own three stages timed wherever it is called."""
    for phase, stage in (
        ("preprocess", "preprocess"),
        ("forward", "forward"),
        ("postprocess", "postprocess"),
    ):
        setattr(pipe, stage, _timed(getattr(pipe, stage), phase, timer))


def labels_of(pipe: transformers.Pipeline) -> tuple[str, ...]:
    """The labels that a pipeline's own model knows."""
    return tuple(pipe.model.config.id2label.values())


def _timed(stage: Callable[..., Any], phase: str, timer: Timer) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        with timer(phase, 1):
            return stage(*args, **kwargs)

    return run


def classify_one(
    pipe: transformers.Pipeline, image: Image.Image, *, labels: Sequence[str] = (), top_k: int = TOP_K
) -> Answer:
    """The most probable labels of one RGB image with their scores, best first; of `labels` if there are any."""
    answers = pipe(image, candidate_labels=list(labels)) if labels else pipe(image, top_k=top_k)
    return tuple((answer["label"], float(answer["score"])) for answer in answers[:top_k])


# -- preprocessing ---------------------------------------------------------------------------------------------------


def load_processor(folder: str) -> Any:
    """The checkpoint's own image processor, the one that `load_pipeline` uses."""
    check_place(Path(folder))
    return transformers.AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)


def processed(processor: Any, image: Image.Image) -> np.ndarray:
    """What the processor makes of an RGB image: float32 of shape (height, width, 3), normalised."""
    values = processor(images=image, return_tensors="np")["pixel_values"][0]
    return np.ascontiguousarray(np.moveaxis(values, 0, -1), dtype=np.float32)


def geometry_of(folder: str) -> Geometry | None:
    """What a checkpoint's image processor does before it rescales and normalises; None where that is something else.

    The answer is checked against the processor itself on noise of several shapes: where one value differs, the
    processor does more than resize, crop, rescale and normalise, and has to be used as it is (`processed`).
    """
    processor = load_processor(folder)
    geometry = _described(processor)
    if geometry is None or geometry.shape is None:
        return None
    scale, shift = (values.astype(np.float64) for values in _normalisation(processor))
    for image in _noise():
        ours = geometry.pixels(image) * scale + shift
        theirs = processed(processor, image)
        if ours.shape != theirs.shape or np.abs(ours - theirs).max() > _SAME_PIXEL:
            return None
    return geometry


_SAME_PIXEL = 1e-3
"""Largest difference of two normalised values that stand for the same 8-bit one; those of neighbours lie 0.008 apart
or more."""


def _described(processor: Any) -> Geometry | None:
    """The geometry that the processor's settings describe, if it does nothing but resize and crop."""
    size = _sides(processor, "size") if processor.do_resize else {}
    crop = _sides(processor, "crop_size") if getattr(processor, "do_center_crop", None) else {}
    resample = int(processor.resample) if processor.resample is not None else Image.Resampling.BILINEAR
    edge = size.get("shortest_edge")
    if not set(size) <= {"shortest_edge", "height", "width"}:
        return None
    crop_pct = getattr(processor, "crop_pct", None)
    if crop_pct and edge:  # ConvNeXt: small pictures are cropped from larger ones, large ones are not cropped
        if edge >= 384:
            return Geometry(size=(edge, edge), resample=resample)
        return Geometry(shortest_edge=int(edge / crop_pct), crop=(edge, edge), resample=resample)
    return Geometry(
        shortest_edge=edge,
        size=(size["height"], size["width"]) if "height" in size else None,
        crop=(crop["height"], crop["width"]) if "height" in crop else None,
        resample=resample,
    )


def _sides(processor: Any, name: str) -> dict[str, int]:
    sides = getattr(processor, name)
    return {key: value for key, value in dict(sides or {}).items() if value}


def _noise() -> Iterator[Image.Image]:
    values = np.random.default_rng(0)
    for width, height in ((500, 375), (375, 501), (300, 300), (97, 131)):
        yield Image.fromarray(values.integers(0, 256, (height, width, 3), dtype=np.uint8))


def _normalisation(processor: Any) -> tuple[np.ndarray, np.ndarray]:
    """`(scale, shift)`, float32 of shape (3,), such that `pixel * scale + shift` is the normalised value.

    (pixel · factor − mean) / std, written as one multiplication and one addition.
    """
    factor = processor.rescale_factor if processor.do_rescale else 1.0
    mean, std = (processor.image_mean, processor.image_std) if processor.do_normalize else (0.0, 1.0)
    mean, std = (np.broadcast_to(np.asarray(values, dtype=np.float64), 3) for values in (mean, std))
    return (factor / std).astype(np.float32), (-mean / std).astype(np.float32)


# -- whole batches ---------------------------------------------------------------------------------------------------


class Forward(Protocol):
    """One engine's forward pass: uint8 pixels (or normalised float32) of shape (n, height, width, 3) → logits."""

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits of shape (n, labels), float32, on any device."""
        ...


class Network(torch.nn.Module):
    """Normalisation and model as one module from pixels to logits, so that an engine may fuse them."""

    def __init__(self, model: Any, scale: np.ndarray, shift: np.ndarray, *, channels_last: bool) -> None:
        super().__init__()
        self.channels_last = channels_last
        self.model = model.to(memory_format=torch.channels_last) if channels_last else model
        self.dtype = model.dtype
        self.scale: torch.Tensor
        self.shift: torch.Tensor
        for name, values in (("scale", scale), ("shift", shift)):
            self.register_buffer(name, torch.from_numpy(values).reshape(1, 3, 1, 1).to(model.device))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """From (n, height, width, 3), uint8 or float32, to float32 logits of shape (n, labels)."""
        # The last dimension of a picture is its channels already: seen as (n, 3, height, width), the batch is
        # channels_last without a copy. Normalising in float32 keeps the pixels exact whatever the precision.
        values = pixels.permute(0, 3, 1, 2).float() * self.scale + self.shift
        values = values.to(self.dtype)
        if not self.channels_last:
            values = values.contiguous()
        return self.model(pixel_values=values).logits.float()


class Classifier:
    """A checkpoint that classifies whole batches of pixels; loaded once, then called for every batch.

    `geometry` says what the pixels are: with one, uint8 pixels that it made; without, what `processed` returns. With
    `labels`, the checkpoint is one that compares pictures with texts, and these are the texts.
    Raises `RuntimeError` where the engine cannot run this model.
    """

    def __init__(
        self,
        folder: str,
        *,
        geometry: Geometry | None,
        device: str = "cpu",
        dtype: str = "float32",
        channels_last: bool = False,
        backend: str = "eager",
        threads: int = 1,
        labels: Sequence[str] = (),
    ) -> None:
        set_threads(threads)
        keep_freed_memory()
        self.device = torch.device(device)
        self._geometry = geometry
        self._processor = load_processor(folder)
        # OpenVINO is given the full weights and chooses their precision itself.
        weights = torch.float32 if backend == "openvino" else getattr(torch, dtype)
        if labels:
            from inference import zero_shot

            model = zero_shot.load(folder, labels, weights)
        else:
            model = transformers.AutoModelForImageClassification.from_pretrained(
                folder, dtype=weights, trust_remote_code=False, use_safetensors=True
            )
        model = model.eval().to(self.device)
        self._config = model.config
        raw = geometry is not None
        scale, shift = _normalisation(self._processor) if raw else (np.ones(3, np.float32), np.zeros(3, np.float32))
        network = Network(model, scale, shift, channels_last=channels_last)
        self.largest_pass: int | None = None
        """So many pictures go through at once since memory ran out; None while it has not."""
        self._fixed_batch = backend != "eager"
        self._forward: Forward = network
        if backend == "compile":
            self._forward = torch.compile(network, dynamic=False)
        elif backend == "openvino":
            example = torch.from_numpy(np.zeros_like(self.pixels(Image.new("RGB", (500, 375))))[None])
            self._forward = _openvino(network, Path(folder), labels, example, dtype=dtype, threads=threads)

    def pixels(self, image: Image.Image) -> np.ndarray:
        """What the model sees of an RGB image, shape (height, width, 3): uint8, or normalised float32."""
        return self._geometry.pixels(image) if self._geometry else processed(self._processor, image)

    def warm_up(self, batch_size: int) -> None:
        """Pay now for what an engine does at its first batch: compiling, choosing kernels, taking memory.

        On a processor the eager engine has little of that, and one picture shows it the way.
        """
        count = batch_size if self._fixed_batch or self.device.type != "cpu" else 1
        pixels = self.pixels(Image.new("RGB", (500, 375)))
        self.logits(np.broadcast_to(pixels, (count, *pixels.shape)), batch_size)

    def logits(self, pixels: np.ndarray, batch_size: int) -> torch.Tensor:
        """Logits, float32 of shape (n, labels) on the CPU, for n <= `batch_size` pictures.

        An engine that is built for one batch size gets a last, smaller batch filled up with black pictures.
        When a GPU's memory does not suffice, the batch goes through in halves, and so do those that follow.
        """
        count = len(pixels)
        if self._fixed_batch and count < batch_size:
            filling = np.zeros((batch_size - count, *pixels.shape[1:]), pixels.dtype)
            pixels = np.concatenate([pixels, filling])
        # A copy where the array cannot be written to: PyTorch has no read-only tensors, and Ray's blocks are so.
        batch = torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())
        with torch.inference_mode():
            parts = batch.to(self.device, non_blocking=True).split(self.largest_pass or len(batch))
            return torch.cat([self._in_halves(part) for part in parts])[:count].cpu()

    def _in_halves(self, batch: torch.Tensor) -> torch.Tensor:
        try:
            return self._forward(batch)
        except torch.OutOfMemoryError:
            if len(batch) == 1 or self._fixed_batch:
                raise
        torch.cuda.empty_cache()
        self.largest_pass = (len(batch) + 1) // 2
        return torch.cat([self._in_halves(half) for half in batch.tensor_split(2)])

    @property
    def labels(self) -> tuple[str, ...]:
        """What the columns of `scores` are."""
        return tuple(self._config.id2label[index] for index in range(self._config.num_labels))

    def scores(self, logits: torch.Tensor) -> torch.Tensor:
        """Probabilities of shape (n, labels), by the rules of `transformers.pipeline`."""
        config = self._config
        if config.problem_type == "regression":
            return logits
        if config.problem_type == "multi_label_classification" or config.num_labels == 1:
            return logits.sigmoid()
        return logits.softmax(dim=-1)

    def answers(self, logits: Any) -> list[Answer]:
        """The most probable labels of each picture with their scores."""
        scores = self.scores(logits)
        best = scores.topk(min(TOP_K, scores.shape[-1]), dim=-1)
        return [
            tuple((self._config.id2label[index], value) for index, value in zip(indices, values, strict=True))
            for indices, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def votes(self, logits: Any) -> list[Answer]:
        """What the models of an ensemble choose one by one: nothing, for a model by itself."""
        return [()] * len(logits)

    def flops_per_image(self) -> int:
        """Floating-point operations of one picture's forward pass, two for each multiplication with addition.

        See `count_flops`. Needs the eager engine.
        """
        pixels = self.pixels(Image.new("RGB", (500, 375)))
        return count_flops(lambda: self.logits(pixels[None], 1))


def count_flops(forward: Callable[[], Any]) -> int:
    """Floating-point operations of a forward pass, two for each multiplication with addition.

    Counted by `torch.utils.flop_counter`, which knows convolutions, matrix products and attention; what else
    a model does is small beside them. Model and pixels may be without values, on the device `meta`.
    """
    # On a processor attention is fused into an operation that the counter does not know (2.13): nothing is, here.
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        forward()
    return int(counter.get_total_flops())


def _without_telemetry() -> Any:
    """The module `openvino`, kept from reporting its use and from leaving an id in the home folder (2026.4)."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # importing it now fails, as if absent
    import openvino

    return openvino


def _openvino(
    network: Network, folder: Path, labels: Sequence[str], example: torch.Tensor, *, dtype: str, threads: int
) -> Forward:
    """The network converted to OpenVINO, computing in the precision `dtype` on the processor."""
    openvino = _without_telemetry()
    core = openvino.Core()
    model = core.read_model(_converted(network, folder, labels, example))
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}[dtype],
        "INFERENCE_NUM_THREADS": threads,
        # Every process would pin its threads to the same first cores (2026.4).
        "ENABLE_CPU_PINNING": False,
    }
    compiled: list[Any] = []

    def forward(pixels: torch.Tensor) -> torch.Tensor:
        if not compiled:  # with the first batch's shape, because fixed shapes are faster
            model.reshape(list(pixels.shape))
            compiled.append(core.compile_model(model, "CPU", settings))
        return torch.from_numpy(compiled[0](pixels.numpy())[0])

    return forward


def _converted(network: Network, folder: Path, labels: Sequence[str], example: torch.Tensor) -> Path:
    """The network in OpenVINO's own format, kept for the next worker: converting takes seconds, reading does not."""
    openvino = _without_telemetry()
    state = [
        str(folder.resolve()),
        list(labels),
        (example.dtype, *example.shape),
        openvino.__version__,
        torch.__version__,
        transformers.__version__,
    ]
    state += [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.iterdir())]
    key = hashlib.sha256(repr(state).encode()).hexdigest()[:16]
    kept = Path(platformdirs.user_cache_dir("batchscope"), "openvino", key)
    if not kept.is_dir():
        model = openvino.convert_model(network, example_input=example)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as temporary:
            whole = Path(temporary, "whole")
            whole.mkdir()
            openvino.save_model(model, whole / "model.xml", compress_to_fp16=False)
            with contextlib.suppress(OSError):  # another worker was first, and its result is as good
                os.replace(whole, kept)
    return kept / "model.xml"


def keep_freed_memory() -> None:
    """Have the C library keep what tensors free, instead of giving it back to the system after every layer.

    A batch's activations are tens of megabytes each, which glibc by default maps anew for each tensor: the system
    clears every page each time. Kept, ResNet-50 at batch 32 runs 1.6 to 2 times as fast (docs/performance.md).
    Nothing happens where the C library is another one.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(-4, 0)  # M_MMAP_MAX: take no memory by mapping
    mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: give none back


# -- the untrained model ---------------------------------------------------------------------------------------------


def make_untrained_resnet50(folder: Path) -> None:
    """Write a ResNet-50 with random weights (seed 0) and its image processor; whole or not at all.

    Shapes, precision and cost are those of microsoft/resnet-50: 224 × 224 pixels, 1,000 labels.
    """
    torch.manual_seed(0)
    model = ResNetForImageClassification(ResNetConfig.from_dict(untrained.CONFIG))
    processor = transformers.ConvNextImageProcessor.from_dict(untrained.PROCESSOR)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        whole = Path(temporary, "whole")
        model.save_pretrained(whole)
        processor.save_pretrained(whole)
        os.replace(whole, folder)
