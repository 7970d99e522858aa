"""Augmentation of whole batches, with a separate draw per image from a named generator.

Boxes are drawn like those of torchvision's RandomResizedCrop (area, log-uniform aspect ratio, ten tries, whole
pixels), but one sampling grid cuts and resizes the whole batch. Crops that are enlarged, as with CIFAR, need no
antialiasing; crops that shrink become a little sharper than Pillow's. The filter is that of the backbone's transform
(`backbone.interpolation`), unless a recipe has its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.backbone.devices import to_device
from cl.backbone.transform import Transform
from cl.errors import UsageError


@dataclass(frozen=True)
class Recipe:
    """The random operations per image: a box, mirroring, a brightness factor."""

    area: tuple[float, float] | None = None  # random resized crop
    pad: float = 0.0  # random crop after reflection padding by this share of the side
    window: float = 0.0  # random crop of this share of the side, after resizing to a square
    flip: bool = False
    brightness: float = 0.0
    filter: str = ""  # resizing filter of the crop; "": the filter of the transform


RECIPES: dict[str, Recipe] = {
    "none": Recipe(),
    "flip": Recipe(flip=True),
    "crop": Recipe(pad=0.125),
    "crop-flip": Recipe(pad=0.125, flip=True),
    "rrc-flip": Recipe(area=(0.08, 1.0), flip=True),
    "rrc05-flip": Recipe(area=(0.05, 1.0), flip=True),
    "rrc05-flip-bilinear": Recipe(area=(0.05, 1.0), flip=True, filter="bilinear"),
    "rrc50-flip": Recipe(area=(0.5, 1.0), flip=True),
    "rrc-flip-jitter": Recipe(area=(0.08, 1.0), flip=True, brightness=63 / 255),
    "resize-crop-flip": Recipe(window=224 / 300, flip=True),
}
"""Recipes by name."""


def recipe(name: str) -> Recipe:
    """Look up a recipe; raises `UsageError` with the known names."""
    if name not in RECIPES:
        raise UsageError(f"unknown augmentation {name!r}; choose one of {', '.join(RECIPES)}.")
    return RECIPES[name]


def augment(pixels: Tensor, name: str, transform: Transform, generator: torch.Generator) -> Tensor:
    """Augment and normalise images: uint8 [B, C, h, w] to float [B, 3, size, size]."""
    chosen = recipe(name)
    if chosen == Recipe():
        return transform(pixels)
    if chosen.window:
        edge = round(transform.size / chosen.window)
        pixels = transform.resize(pixels, (edge, edge))
    count, (height, width) = pixels.shape[0], pixels.shape[-2:]
    x = pixels.float()
    if chosen.window:
        boxes = torch.full((count, 4), float(transform.size))
        boxes[:, :2] = torch.randint(0, height - transform.size + 1, (count, 2), generator=generator)
    elif chosen.area is not None:
        boxes = _random_boxes(count, height, width, chosen.area, generator)
    else:
        pad = round(chosen.pad * min(height, width))
        boxes = torch.tensor([0.0, 0.0, width, height]).repeat(count, 1)
        if pad:
            shift = torch.randint(0, 2 * pad + 1, (count, 2), generator=generator) - pad
            boxes[:, :2] += shift
    mirror = torch.rand(count, generator=generator) < 0.5 if chosen.flip else torch.zeros(count, dtype=torch.bool)
    x = _cut(x, to_device(boxes, x.device), to_device(mirror, x.device), transform, chosen.filter)
    if chosen.brightness:
        factor = 1 + (2 * torch.rand(count, generator=generator) - 1) * chosen.brightness
        x = x * to_device(factor, x.device).view(-1, 1, 1, 1)
    return transform.normalise(x.clamp_(0, 255))


def _random_boxes(
    count: int, height: int, width: int, area: tuple[float, float], generator: torch.Generator, tries: int = 10
) -> Tensor:
    """Boxes [B, (left, top, width, height)] in whole pixels: the first of `tries` draws that fits, else the centre."""
    share = torch.empty(count, tries).uniform_(*area, generator=generator) * height * width
    ratio = torch.empty(count, tries).uniform_(math.log(3 / 4), math.log(4 / 3), generator=generator).exp()
    w, h = (share * ratio).sqrt().round(), (share / ratio).sqrt().round()
    fits = (w >= 1) & (w <= width) & (h >= 1) & (h <= height)
    first = fits.int().argmax(1, keepdim=True)
    w, h = w.gather(1, first).squeeze(1), h.gather(1, first).squeeze(1)
    none = ~fits.any(1)
    w[none], h[none] = float(min(width, height)), float(min(width, height))
    place = torch.rand(count, 2, generator=generator)
    left, top = (place[:, 0] * (width - w + 1)).floor(), (place[:, 1] * (height - h + 1)).floor()
    left[none], top[none] = (width - w[none]) // 2, (height - h[none]) // 2
    return torch.stack([left, top, w, h], 1)


def _cut(x: Tensor, boxes: Tensor, mirror: Tensor, transform: Transform, interpolation: str = "") -> Tensor:
    """Resample the box of each image to size x size; pixels outside the image are reflected.

    `interpolation` is the filter; "": the filter of the transform.
    """
    height, width = x.shape[-2:]
    left, top, w, h = boxes.unbind(1)
    sign = 1.0 - 2.0 * mirror.float()
    theta = x.new_zeros(len(x), 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = sign * w / width, (2 * left + w) / width - 1
    theta[:, 1, 1], theta[:, 1, 2] = h / height, (2 * top + h) / height - 1
    grid = F.affine_grid(theta, [len(x), x.shape[1], transform.size, transform.size], align_corners=False)
    mode = "bicubic" if (interpolation or transform.interpolation) == "bicubic" else "bilinear"
    return F.grid_sample(x, grid, mode=mode, padding_mode="reflection", align_corners=False)
