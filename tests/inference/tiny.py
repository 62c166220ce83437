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


def compares_with_texts(folder: Path, family: str = "CLIP") -> str:
    """A CLIP or SigLIP with random weights and a tokenizer that knows single letters."""
    torch.manual_seed(0)
    letters = [chr(code) for code in range(97, 123)] + [".", ",", "!"]
    vocab = {token: number for number, token in enumerate([*letters, *(f"{letter}</w>" for letter in letters)])}
    for token in ("<|startoftext|>", "<|endoftext|>"):
        vocab[token] = len(vocab)
    text = {"vocab_size": len(vocab), "max_position_embeddings": 77}
    text |= {"bos_token_id": vocab["<|startoftext|>"], "eos_token_id": vocab["<|endoftext|>"], "pad_token_id": 0}
    vision = {"image_size": 32, "patch_size": 8}
    for part in (text, vision):
        part |= {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    settings = {"CLIP": {"projection_dim": 8}, "Siglip": {}}[family]
    config = getattr(transformers, f"{family}Config")(text_config=text, vision_config=vision, **settings)
    model = getattr(transformers, f"{family}Model")(config).eval()
    model.logit_scale.data.fill_(3.0)
    for parameter in model.parameters():  # random weights as they come tell all pictures alike
        if parameter.ndim > 1:
            parameter.data.normal_(std=1.2)
    model.save_pretrained(folder)
    size = {"shortest_edge": 32}, {"height": 32, "width": 32}
    image = {"size": size[0], "crop_size": size[1]} if family == "CLIP" else {"size": size[1]}
    processor(family, **image).save_pretrained(folder)
    transformers.CLIPTokenizer(vocab=vocab, merges=[]).save_pretrained(folder)
    return str(folder)
