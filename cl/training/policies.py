"""Augmentations after a crop and mirroring: brightness, AutoAugment, Cutout."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cl.backbone.transform import Transform
from cl.errors import UsageError
from cl.training.augment import RECIPES, augment


@dataclass(frozen=True)
class Policy:
    """The random operations per image, in this order, after those of a recipe."""

    recipe: str
    brightness: float = 0.0
    autoaugment: bool = False  # the policy for CIFAR-10 (Cubuk et al. 2019)
    cutout: float = 0.0  # a black square around a random pixel (DeVries, Taylor 2017): its side / the image's side


POLICIES: dict[str, Policy] = {
    "crop-flip-jitter": Policy("crop-flip", brightness=63 / 255),
    "autoaugment-cutout": Policy("crop-flip", brightness=63 / 255, autoaugment=True, cutout=0.5),
}


def check_augmentation(name: str) -> None:
    """Raise `UsageError` with the known names for a name that is neither a recipe nor a policy."""
    if name not in RECIPES and name not in POLICIES:
        raise UsageError(f"unknown augmentation {name!r}; choose one of {', '.join([*RECIPES, *POLICIES])}.")


def augmented(pixels: Tensor, name: str, transform: Transform, generator: torch.Generator) -> Tensor:
    """As `augment`, for a recipe or a policy: uint8 [B, C, h, w] to normalised float [B, 3, size, size].

    AutoAugment is torchvision's, image by image in main memory.
    """
    policy = POLICIES.get(name)
    if policy is None:
        return augment(pixels, name, transform, generator)
    plain = replace(transform, mean=(0.0,) * 3, std=(1 / 255,) * 3)
    x = augment(pixels, policy.recipe, plain, generator)
    if policy.brightness:
        factor = 1 + (2 * torch.rand(len(x), generator=generator) - 1) * policy.brightness
        x = (x * factor.to(x).view(-1, 1, 1, 1)).clamp_(0, 255)
    if policy.autoaugment:
        x = _by_autoaugment(x, generator)
    if policy.cutout:
        x = x * _outside_squares(len(x), x.shape[-1], round(policy.cutout * x.shape[-1]), generator).to(x)
    return transform.normalise(x)


def _by_autoaugment(x: Tensor, generator: torch.Generator) -> Tensor:
    """torchvision's AutoAugment for CIFAR-10, with grey borders as its first PyTorch version; pixels in [0, 255]."""
    from torchvision.transforms import AutoAugment, AutoAugmentPolicy  # here: slow to import, and rarely used

    policy = AutoAugment(AutoAugmentPolicy.CIFAR10, fill=128)
    seed = int(torch.randint(2**31, (1,), generator=generator))
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator
        torch.default_generator.manual_seed(seed)
        changed = torch.stack([policy(image) for image in x.round().to("cpu", torch.uint8)])
    return changed.to(x)


def _outside_squares(count: int, size: int, side: int, generator: torch.Generator) -> Tensor:
    """Masks [B, 1, size, size], false in a square of `side` pixels around a random pixel, as far as it is inside."""
    centre = torch.randint(0, size, (2, count, 1), generator=generator)
    away = torch.arange(size) - centre + side // 2
    outside = (away < 0) | (away >= 2 * (side // 2))
    return (outside[0, :, :, None] | outside[1, :, None, :])[:, None]
