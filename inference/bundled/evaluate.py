"""Measure the digits model on the sample images: `python -m inference.bundled.evaluate [--model DIR]`."""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

from inference.bundled import DIGITS_MODEL_DIR
from inference.bundled.samples import SAMPLE_COUNT, ensure_samples, sample_name, sample_truth

_BATCH_SIZE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How a model did on the samples."""

    num_images: int
    mistakes: tuple[tuple[str, str], ...]
    """File name and predicted label of each image that the model got wrong."""

    @property
    def accuracy(self) -> float:
        """Share of images, 0 to 1, whose best label is the true one."""
        return 1 - len(self.mistakes) / self.num_images

    def __str__(self) -> str:
        """One line with the accuracy, then one line for each mistake."""
        lines = [f"top-1 accuracy {self.accuracy:.2%} on {self.num_images} sample images"]
        return "\n".join(lines + [f"  {name}: taken for {label}" for name, label in self.mistakes])


def evaluate(model_dir: Path, samples_dir: Path | None = None, count: int = SAMPLE_COUNT) -> Evaluation:
    """Classify the first `count` samples, as JPEG files, with a saved model and its own image processor.

    `samples_dir` is where the images are, or are made; without it they are made in a temporary folder.
    """
    if samples_dir is None:
        with tempfile.TemporaryDirectory(prefix="batchscope-") as temporary:
            return evaluate(model_dir, Path(temporary), count)
    folder = ensure_samples(samples_dir, count)
    processor = AutoImageProcessor.from_pretrained(model_dir)
    model = AutoModelForImageClassification.from_pretrained(model_dir).eval()
    mistakes: list[tuple[str, str]] = []
    for start in range(0, count, _BATCH_SIZE):
        names = [sample_name(index) for index in range(start, min(start + _BATCH_SIZE, count))]
        images = [Image.open(folder / name).convert("RGB") for name in names]
        with torch.inference_mode():
            best = model(**processor(images, return_tensors="pt")).logits.argmax(dim=1).tolist()
        labels = [model.config.id2label[index] for index in best]
        mistakes += [(name, label) for name, label in zip(names, labels, strict=True) if label != sample_truth(name)]
    return Evaluation(num_images=count, mistakes=tuple(mistakes))


def main(arguments: list[str] | None = None) -> int:
    """Print the accuracy on all sample images, and each mistake."""
    parser = argparse.ArgumentParser(prog="python -m inference.bundled.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=DIGITS_MODEL_DIR, help="folder of the model")
    parser.add_argument("--samples", type=Path, help="folder to make the samples in, and keep them")
    options = parser.parse_args(arguments)
    print(evaluate(options.model, options.samples))
    return 0


if __name__ == "__main__":
    sys.exit(main())
