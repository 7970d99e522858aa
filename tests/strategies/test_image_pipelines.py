"""Crops, filters and normalisation of published presets, against the transforms of the code that they come from.

The transforms of l2p-pytorch, which PILOT, HiDe-Prompt and MoE_PromptCL copied, crop training images bilinearly
(torchvision's default) and resize test images bicubically. CODA-Prompt does both bilinearly, SLCA both bicubically.
"""

from __future__ import annotations

from typing import Any

import pytest

from cl.plan import presets

IN21K = "vit_base_patch16_224.augreg_in21k"
PORT = ("rrc05-flip-bilinear", "none", "weights", 0.875)
HIDE_CIFAR = ("rrc-flip-jitter", "cifar100", "weights", 0.875)
CODA = ("rrc-flip", "none", "bilinear", 1.0)
SLCA = ("rrc-flip-jitter", "cifar100", "weights", 0.875)
GOOGLE = ("rrc05-flip", "none", "bilinear", 0.875)
CASES: dict[tuple[str, str, str | None], tuple[str, str, str, float]] = {
    ("l2p", "split-cifar100", None): GOOGLE,
    ("l2p", "split-cifar100", "l2p-pytorch"): PORT,
    ("l2p", "split-cifar100", "pilot"): PORT,
    ("l2p", "imagenet-r", "pilot"): PORT,
    ("l2p", "split-cifar100", "hide"): HIDE_CIFAR,
    ("l2p", "imagenet-r", "hide"): PORT,
    ("l2p", "split-cifar100", "l2p++"): CODA,
    ("dualprompt", "split-cifar100", None): GOOGLE,
    ("dualprompt", "imagenet-r", None): GOOGLE,
    ("dualprompt", "split-cifar100", "dualprompt-pytorch"): PORT,
    ("dualprompt", "imagenet-r", "dualprompt-pytorch"): PORT,
    ("dualprompt", "split-cifar100", "pilot"): PORT,
    ("dualprompt", "imagenet-r", "pilot"): PORT,
    ("dualprompt", "split-cifar100", "hide"): HIDE_CIFAR,
    ("dualprompt", "imagenet-r", "hide"): PORT,
    ("dualprompt", "split-cifar100", "coda"): CODA,
    ("coda-prompt", "split-cifar100", "pilot"): CODA,
    **{(method, "split-cifar100", None): HIDE_CIFAR for method in ("hide-prompt", "norga")},
    **{
        (method, stream, None): PORT
        for method in ("hide-prompt", "norga")
        for stream in ("imagenet-r", "cub-200", "5-datasets")
    },
    ("slca", "split-cifar100", None): SLCA,
    ("slca-pp", "split-cifar100", None): SLCA,
    ("inflora", "split-cifar100", None): CODA,
    ("inflora", "imagenet-r", None): ("rrc-flip", "none", "bilinear", 0.875),
    **{("sd-lora", stream, None): PORT for stream in ("split-cifar100", "imagenet-r", "imagenet-a")},
    ("slca", "split-cifar100", "pilot"): PORT,
    ("finetune", "split-cifar100", "seq-ft"): SLCA,
    ("finetune", "split-cifar100", "seq-ft-uniform"): SLCA,
    ("finetune", "split-cifar100", "pilot"): PORT,
    ("pred-kd", "split-cifar100", "lwf-pilot"): PORT,
    ("finetune", "split-cifar100", "ft"): CODA,
    ("finetune", "split-cifar100", "ft++"): CODA,
}


@pytest.mark.parametrize(("method", "stream", "name"), list(CASES))
def test_the_images_of_a_preset_are_those_of_its_code(method: str, stream: str, name: str | None) -> None:
    found: dict[str, Any] = {"backbone.interpolation": "weights"}
    for preset in presets.choose(method, stream, IN21K, name):
        found |= preset.options
    keys = ("augment", "backbone.normalize", "backbone.interpolation", "backbone.crop_pct")
    assert tuple(found[key] for key in keys) == CASES[method, stream, name]
    assert found.get("tii_augment", found["augment"]) == found["augment"]
