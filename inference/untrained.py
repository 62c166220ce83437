"""ResNet-50 with random weights, as its settings describe it before it is made. Light: no torch."""

from __future__ import annotations

from typing import Any

CONFIG: dict[str, Any] = {
    "architectures": ["ResNetForImageClassification"],
    "model_type": "resnet",
    "id2label": {str(index): f"class {index}" for index in range(1000)},
}
"""What is not named here is as Transformers' own `ResNetConfig` has it, which is microsoft/resnet-50."""

PROCESSOR: dict[str, Any] = {
    "image_processor_type": "ConvNextImageProcessor",
    "size": {"shortest_edge": 224},
    "crop_pct": 0.875,
    "resample": 3,
}
