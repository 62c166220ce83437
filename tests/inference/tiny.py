"""Image processors of many families, and checkpoints small enough to be made within a second."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image

PLAIN: dict[str, tuple[str, dict[str, Any]]] = {
    "ResNet and ConvNeXt at 224": ("ConvNext", {"size": {"shortest_edge": 224}, "crop_pct": 0.875}),
    "ConvNeXt at 288": ("ConvNext", {"size": {"shortest_edge": 288}, "crop_pct": 0.95}),
    "ConvNeXt at 384": ("ConvNext", {"size": {"shortest_edge": 384}}),
    "ViT": ("ViT", {}),
    "ViT at 384": ("ViT", {"size": {"height": 384, "width": 384}, "resample": 3}),
    "MobileNetV2": ("MobileNetV2", {}),
    "BiT": ("Bit", {}),
    "BiT at 448": ("Bit", {"size": {"shortest_edge": 448}, "crop_size": {"height": 448, "width": 448}}),
    "CLIP": ("CLIP", {}),
    "DeiT": ("DeiT", {}),
    "a crop that is larger than the picture": (
        "Bit",
        {"size": {"shortest_edge": 64}, "crop_size": {"height": 97, "width": 130}},
    ),
    "a crop alone": ("Bit", {"do_resize": False, "crop_size": {"height": 97, "width": 130}}),
    "no normalisation": ("ViT", {"do_normalize": False}),
}
"""Image processors that resize, crop, rescale and normalise, by what they are known for: class and settings."""

OTHERS = ("EfficientNet", "Levit", "MobileViT")
"""Families whose image processors do more: another rescaling, another resizing, another order of colours."""

SHAPES = {
    "landscape": (500, 375),
    "portrait": (375, 501),
    "square": (256, 256),
    "large": (1024, 769),
    "very wide": (1200, 61),
    "very tall": (53, 900),
    "smaller than the crop": (40, 30),
    "a single pixel": (1, 1),
}
"""(width, height) by name."""


def processor(family: str, **settings: Any) -> Any:
    """The image processor of a family without torchvision, which Batchscope does not install."""
    return getattr(transformers, f"{family}ImageProcessorPil")(**settings)


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """A picture in which no pixel says anything about the next one."""
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def photo_like(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """A smooth picture with the whole range of values: most photographs are like this."""
    return noise((9, 7), seed).resize(size, Image.Resampling.BICUBIC)


def resnet(folder: Path, image_processor: Any, *, labels: int = 12, **config: Any) -> str:
    """A ResNet with random weights of some ten thousand parameters, saved with an image processor."""
    torch.manual_seed(0)
    settings = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        layer_type="basic",
        id2label={index: f"class {index}" for index in range(labels)},
        **config,
    )
    model = transformers.ResNetForImageClassification(settings).eval()
    _make_choosy(model, image_processor)
    model.save_pretrained(folder)
    image_processor.save_pretrained(folder)
    return str(folder)


def _make_choosy(model: Any, image_processor: Any) -> None:
    """Have the answers depend on the picture, which those of an untrained model hardly do."""
    seen = [make((200, 150), seed) for seed in range(4) for make in (noise, photo_like)]
    with torch.no_grad():
        features = model.resnet(**image_processor(images=seen, return_tensors="pt")).pooler_output.flatten(1)
        linear = model.classifier[1]
        linear.weight.div_(((features - features.mean(0)) @ linear.weight.T).std())
        linear.bias.copy_(-linear.weight @ features.mean(0))
