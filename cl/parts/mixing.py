"""Mixed images: CutMix."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cutmix(images: Tensor, order: Tensor, share: float, centre: tuple[int, int]) -> tuple[Tensor, float]:
    """Images [B, C, h, w] with a box of images[order] in each, and the share of the area that is still their own.

    The box has `1 - share` of the area, is centred at (row, column), and is cut off at the border (Yun et al., CutMix,
    ICCV 2019).
    """
    height, width = images.shape[-2:]
    side = math.sqrt(1 - share)
    halves = int(height * side) // 2, int(width * side) // 2
    top, left = (max(c - half, 0) for c, half in zip(centre, halves, strict=True))
    bottom, right = (min(c + half, end) for c, half, end in zip(centre, halves, (height, width), strict=True))
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = images[order.to(images.device)][..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def drawn_cutmix(images: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor, float]:
    """Mixed images, the order of the images in the boxes, and the share; the area is drawn from Beta(alpha, alpha)."""
    order = torch.randperm(len(images), generator=generator)
    one, two = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator=generator).tolist()
    centre = [int(torch.randint(side, (1,), generator=generator)) for side in images.shape[-2:]]
    mixed, share = cutmix(images, order, one / (one + two), (centre[0], centre[1]))
    return mixed, order.to(images.device), share
