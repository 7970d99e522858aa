"""The input transform of a backbone: size, statistics and interpolation, applied to whole uint8 batches."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.backbone.devices import constants
from cl.errors import UsageError

_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey value (ITU-R 601-2, as in Pillow's mode L)."""


def given_pixels(pixels: Any) -> Tensor:
    """What a caller gave as images, as the uint8 tensor [B, C, h, w], C 1 or 3, that a transform takes.

    Raises `UsageError` for another type or shape.
    """
    try:
        found = torch.as_tensor(np.ascontiguousarray(pixels) if isinstance(pixels, np.ndarray) else pixels)
    except (TypeError, ValueError, RuntimeError):
        found = None
    if found is None:
        what = f"of {type(pixels).__name__}"
    elif found.dtype == torch.uint8 and found.ndim == 4 and found.numel() and found.shape[1] in (1, 3):
        return found
    else:
        what = f"{found.dtype} {tuple(found.shape)}"
    raise UsageError(f"predict_images takes uint8 images [B, C, H, W] with 1 or 3 channels, not {what}.")


@dataclass(frozen=True)
class Transform:
    """Turns uint8 images [B, C, h, w] into normalised float images [B, channels, size, size].

    The network takes as many channels as there are means, 3 or 1. Resizes the shorter side to `size / crop_pct`
    (antialiased), crops the centre, scales to [0, 1], normalises.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    crop_pct: float = 1.0

    @property
    def channels(self) -> int:
        """Channels of the images that the network takes: 3, or 1 for a network of grey images."""
        return len(self.mean)

    @property
    def key(self) -> str:
        """A short hash of all values; part of the identity of an encoding."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def __call__(self, pixels: Tensor) -> Tensor:
        """The deterministic view: [B, C, h, w] uint8 to [B, channels, size, size] float32."""
        height, width = pixels.shape[-2:]
        edge = round(self.size / self.crop_pct)
        scale = edge / min(height, width)
        target = (max(edge, round(height * scale)), max(edge, round(width * scale)))
        if target != (height, width):
            pixels = self.resize(pixels, target)
        top, left = (pixels.shape[-2] - self.size) // 2, (pixels.shape[-1] - self.size) // 2
        return self.normalise(pixels[..., top : top + self.size, left : left + self.size])

    def normalise(self, pixels: Tensor) -> Tensor:
        """Grey to RGB or RGB to grey, [0, 255] to [0, 1], then (x - mean) / std, per channel."""
        x = pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels / 255
        if x.shape[1] == 1 and self.channels > 1:
            x = x.expand(-1, self.channels, -1, -1)
        elif x.shape[1] > self.channels:
            x = (x * constants(_LUMA, x).view(1, -1, 1, 1)).sum(1, keepdim=True)
        mean, std = (constants(values, x).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return (x - mean) / std

    def resize(self, pixels: Tensor, target: tuple[int, int]) -> Tensor:
        """Resize uint8 images to (height, width), with antialiasing."""
        if pixels.device.type == "cpu":  # exact integer kernels, within 2/255 of Pillow
            return F.interpolate(pixels, target, mode=self.interpolation, antialias=True, align_corners=False)
        resized = F.interpolate(pixels.float(), target, mode=self.interpolation, antialias=True, align_corners=False)
        return resized.round_().clamp_(0, 255).byte()
