"""What works with no network: the **digits** model and its labelled sample images."""

from pathlib import Path

LABELS: tuple[str, ...] = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
"""The ten labels, in the order of the model's outputs: `LABELS[digit]` is the word for that digit."""

DIGITS_MODEL_DIR: Path = Path(__file__).resolve().parent / "digits"
"""Folder of the digits model: `config.json`, `model.safetensors`, `preprocessor_config.json`, `README.md`."""

__all__ = ["DIGITS_MODEL_DIR", "LABELS"]
