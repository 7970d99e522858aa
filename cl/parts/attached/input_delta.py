"""A learned change of the image in front of a frozen network, shared by all images."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.errors import UsageError


class InputDelta(nn.Module):
    """x + delta for normalised images x, with delta [C, s, s] in units of the normalised values, initially zero.

    `border`: only a frame of so many pixels changes (0: the whole image). `clip`: the sum stays in the range of an
    image, 0 to 1 before normalisation. Attached only during a pass, so the backbone stays pristine. Raises `UsageError`
    for a border that covers the image.
    """

    def __init__(self, backbone: Backbone, border: int = 0, clip: bool = True) -> None:
        super().__init__()
        view, like = backbone.transform, next(backbone.parameters())
        if 2 * border >= view.size:
            raise UsageError(
                f"border={border} covers images of {view.size} pixels; choose at most {(view.size - 1) // 2}, or 0 for "
                "the whole image."
            )
        shape = (view.channels, view.size, view.size)
        self.delta = nn.Parameter(like.new_zeros(shape), requires_grad=False)
        mean, std = (like.new_tensor(values).view(-1, 1, 1) for values in (view.mean, view.std))
        frame = like.new_ones(shape)
        if border:
            frame[:, border:-border, border:-border] = 0
        self.frame: Tensor | None
        self.low: Tensor | None
        self.high: Tensor | None
        self.register_buffer("frame", frame if border else None, persistent=False)
        self.register_buffer("low", (0 - mean) / std if clip else None, persistent=False)
        self.register_buffer("high", (1 - mean) / std if clip else None, persistent=False)
        self.eval()

    def changed(self, images: Tensor) -> Tensor:
        """The images with the change."""
        delta = self.delta if self.frame is None else self.delta * self.frame
        x = images + delta
        if self.low is not None and self.high is not None:
            x = torch.minimum(torch.maximum(x, self.low), self.high)
        return x

    def forward(self, backbone: Backbone, images: Tensor) -> Tensor:
        """Features [B, dim] of normalised images with the change."""
        return cast(Tensor, backbone(self.changed(images)))
