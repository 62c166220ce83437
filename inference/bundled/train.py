"""Train the digits model from scratch: `python -m inference.bundled.train [--seed 0] [--out DIR]`."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessorPil

from inference.bundled import DIGITS_MODEL_DIR, LABELS
from inference.bundled.drawing import render
from inference.bundled.evaluate import evaluate
from inference.bundled.scenes import training_scene

INPUT_SIDE = 112
"""Pixels on each side of the model's square input; pictures are resized to it whole, whatever their shape."""

DEFAULT_STEPS = 2000
BATCH_SIZE = 64
_PEAK_LEARNING_RATE = 3e-3
_REPORT_EVERY = 50


class TrainingScenes(Dataset[tuple[torch.Tensor, int]]):
    """The training pictures of one seed, drawn when asked for: uint8 (3, 112, 112), and the digit."""

    def __init__(self, seed: int, length: int) -> None:
        self.seed = seed
        self.length = length

    def __len__(self) -> int:
        """Number of pictures in the stream."""
        return self.length

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Draw picture `index`."""
        scene, digit = training_scene(self.seed, index)
        pixels = np.array(render(scene, (INPUT_SIDE, INPUT_SIDE)))
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), digit


def new_model() -> ResNetForImageClassification:
    """An untrained model: a ResNet of four stages with one basic block each, about 0.9 million parameters."""
    return ResNetForImageClassification(
        ResNetConfig(
            embedding_size=32,
            hidden_sizes=[32, 64, 128, 192],
            depths=[1, 1, 1, 1],
            layer_type="basic",
            id2label=dict(enumerate(LABELS)),
            label2id={label: digit for digit, label in enumerate(LABELS)},
        )
    )


def new_processor() -> ViTImageProcessorPil:
    """The model's image processor: exact bilinear resize to 112 x 112, then values from -1 to 1."""
    return ViTImageProcessorPil(
        size={"height": INPUT_SIDE, "width": INPUT_SIDE},
        resample=2,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )


def train(seed: int, steps: int) -> ResNetForImageClassification:
    """Train for `steps` batches of 64 pictures and return the model, ready for inference.

    The same seed gives the same weights on the same machine with the same number of threads.
    """
    torch.manual_seed(seed)
    model = new_model().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=_PEAK_LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=_PEAK_LEARNING_RATE, total_steps=steps, pct_start=0.2
    )
    # One worker keeps up with the model on two cores; more would only take the model's time.
    batches = DataLoader(TrainingScenes(seed, steps * BATCH_SIZE), batch_size=BATCH_SIZE, num_workers=1)
    hits, started = 0, time.perf_counter()
    for step, (pixels, digits) in enumerate(batches, start=1):
        values = (pixels.float() / 127.5 - 1).to(memory_format=torch.channels_last)
        logits = model(values).logits
        functional.cross_entropy(logits, digits, label_smoothing=0.05).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        hits += int((logits.argmax(dim=1) == digits).sum())
        if step % _REPORT_EVERY == 0:
            share = hits / (_REPORT_EVERY * BATCH_SIZE)
            elapsed_s = time.perf_counter() - started
            print(
                f"step {step}/{steps}  training accuracy {share:.3f}  {elapsed_s:.0f} s",
                file=sys.stderr,
                flush=True,
            )
            hits = 0
    return model.eval()


def main(arguments: list[str] | None = None) -> int:
    """Train, save and evaluate; print one line of figures."""
    parser = argparse.ArgumentParser(prog="python -m inference.bundled.train", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS, help=f"batches of {BATCH_SIZE} pictures")
    parser.add_argument("--out", type=Path, default=DIGITS_MODEL_DIR, help="folder for the model")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    model = train(options.seed, options.steps)
    train_s = time.perf_counter() - started
    # Plain memory order in the file: other loaders need not know about channels_last.
    model.to(memory_format=torch.contiguous_format).save_pretrained(options.out)
    new_processor().save_pretrained(options.out)
    print(f"trained in {train_s:.0f} s, {model.num_parameters():,} parameters")
    print(evaluate(options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
