"""Models that compare pictures with texts (CLIP, SigLIP) as classifiers whose labels a person types.

The texts are encoded once, when the model is loaded; from then on such a model classifies as any other does. Imports
torch and transformers, so it is imported in workers only, as `models` is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import transformers
from torch import nn
from transformers.modeling_outputs import ImageClassifierOutput

TEMPLATE = "This is a photo of {}."
"""What a label becomes before it is encoded: the default of Transformers' own pipeline (5.14)."""


class ZeroShotClassifier(nn.Module):
    """An image encoder beside the texts that it compares with: pixels in, one logit for each label out."""

    def __init__(self, model: Any, labels: Sequence[str], texts: torch.Tensor) -> None:
        super().__init__()
        self.encoder = model
        self.texts: torch.Tensor
        self.register_buffer("texts", texts)
        self.config = transformers.PretrainedConfig(
            id2label=dict(enumerate(labels)),
            # SigLIP scores every label by itself; CLIP scores them against each other.
            problem_type="multi_label_classification" if _scores_by_itself(model) else "single_label_classification",
        )

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self.encoder.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.encoder.device

    def forward(self, pixel_values: torch.Tensor) -> ImageClassifierOutput:
        """From normalised pixels, (n, 3, height, width), to logits of shape (n, labels)."""
        pictures = self.encoder.get_image_features(pixel_values=pixel_values).pooler_output
        logits = nn.functional.normalize(pictures, dim=-1) @ self.texts.T * self.encoder.logit_scale.exp()
        bias = getattr(self.encoder, "logit_bias", None)
        return ImageClassifierOutput(logits=logits if bias is None else logits + bias)


def load(folder: str, labels: Sequence[str], dtype: torch.dtype) -> ZeroShotClassifier:
    """The model of a checkpoint with its texts encoded; needs the checkpoint's tokenizer."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = transformers.AutoModelForZeroShotImageClassification.from_pretrained(
        folder, dtype=dtype, trust_remote_code=False, use_safetensors=True
    ).eval()
    # As the pipeline does it: SigLIP was trained on texts of one length.
    padding = {"padding": "max_length", "max_length": 64, "truncation": True} if _scores_by_itself(model) else {}
    sentences = [TEMPLATE.format(label) for label in labels]
    tokens = tokenizer(sentences, return_tensors="pt", **({"padding": True} | padding))
    with torch.inference_mode():
        texts = model.get_text_features(**tokens).pooler_output
    # A plain tensor: one of inference mode may not take part in what `torch.compile` records.
    return ZeroShotClassifier(model, labels, nn.functional.normalize(texts, dim=-1).clone())


def _scores_by_itself(model: Any) -> bool:
    return "siglip" in model.config.model_type
