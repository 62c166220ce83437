"""Three ways to classify a folder of images that people use without Ray, each in its usual form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

from benchmarks.observed import Answering, Outcome, Task
from inference.models import device_for

DATALOADER_WORKERS = 2


def hf_pipeline(task: Task) -> Outcome:
    """The pipeline of Transformers, one image after the other; the first `batch_size` images count as a batch."""
    answering = Answering()
    classifier = pipeline("image-classification", model=task.model_folder, device=_device(task))
    for index, (image_id, path) in enumerate(task.images):
        if index % task.config.batch_size == 0:
            answering.next_batch()
        answering.give([image_id], [_best(classifier(Image.open(path)))])
    return answering.outcome(device=_device(task), threads=torch.get_num_threads())


def hf_pipeline_batched(task: Task) -> Outcome:
    """The same pipeline with its own batching: it reads the generator itself, and stacks as many images."""
    answering = Answering()
    size = task.config.batch_size
    classifier = pipeline("image-classification", model=task.model_folder, device=_device(task))
    answers = iter(classifier(_pictures(task), batch_size=size))
    for start in range(0, len(task.images), size):
        answering.next_batch()
        part = task.images[start : start + size]
        answering.give([image_id for image_id, _ in part], [_best(next(answers)) for _ in part])
    return answering.outcome(device=_device(task), threads=torch.get_num_threads(), batch_size=size, num_workers=0)


def torch_dataloader(task: Task) -> Outcome:
    """A `DataLoader` whose processes decode and run the model's image processor, and a forward pass per batch."""
    answering = Answering()
    size, device = task.config.batch_size, _device(task)
    images = Images(task)
    model = AutoModelForImageClassification.from_pretrained(task.model_folder).eval().to(device)
    answering.next_batch()
    # With a generator of its own, the loader leaves torch's alone.
    batches = DataLoader(images, batch_size=size, num_workers=DATALOADER_WORKERS, generator=torch.Generator())
    with torch.inference_mode():
        for number, pixels in enumerate(batches):
            scores, indices = model(pixel_values=pixels.to(device)).logits.softmax(-1).max(-1)
            labels = [model.config.id2label[index] for index in indices.tolist()]
            ids = [image_id for image_id, _ in task.images[number * size : (number + 1) * size]]
            answering.give(ids, list(zip(labels, scores.tolist(), strict=True)))
            answering.next_batch()
    return answering.outcome(
        device=device, threads=torch.get_num_threads(), batch_size=size, num_workers=DATALOADER_WORKERS
    )


class Images(Dataset):
    """The images as the model's image processor makes them: float32 of shape (3, height, width)."""

    def __init__(self, task: Task) -> None:
        self._paths = [path for _, path in task.images]
        self._processor = AutoImageProcessor.from_pretrained(task.model_folder)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = Image.open(self._paths[index]).convert("RGB")
        return self._processor(images=image, return_tensors="pt")["pixel_values"][0]


def _pictures(task: Task) -> Iterator[Image.Image]:
    for _, path in task.images:
        yield Image.open(path)


def _best(answer: list[dict[str, Any]]) -> tuple[str, float]:
    return answer[0]["label"], answer[0]["score"]


def _device(task: Task) -> str:
    return device_for(task.config.gpus_per_worker)


ROWS: Mapping[str, Callable[[Task], Outcome]] = {
    "hf-pipeline": hf_pipeline,
    "hf-pipeline-batched": hf_pipeline_batched,
    "torch-dataloader": torch_dataloader,
}
