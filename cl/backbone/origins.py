"""What weights were trained on: every record states its overlap with the classes of common streams."""

from __future__ import annotations

PRETRAINING: dict[str, str] = {
    "in21k": "ImageNet-21k (contains most classes of CIFAR and ImageNet-R by name)",
    "in1k": "ImageNet-1k (overlaps with CIFAR and ImageNet-R classes by name)",
    "tinyimagenet_distill": "Tiny-ImageNet, 200 ImageNet classes, distilled from DeiT-Tiny (ImageNet-1k); "
    "overlaps with CIFAR-100 classes by name, no CIFAR image",
    "micro_clip": "Tiny-ImageNet, 200 ImageNet classes, distilled from DeiT-Tiny (ImageNet-1k); captions: class names "
    "of small data sets; overlaps with CIFAR-100 classes by name, no CIFAR image",
    "openai": "400 million images with captions (OpenAI); their overlap with common streams is not known",
    "laion": "images of the web with captions (LAION); their overlap with common streams is not known",
}
"""Part of a tag or of a file's name -> the training data."""
