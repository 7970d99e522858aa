"""Visual prompt tuning: learned tokens after those of the image, for a frozen Vision Transformer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.parts.attached.attach import Override, blocks_of, overridden


class VisualPrompts(nn.Module):
    """Prompt tokens at the end of the sequence (Jia et al. 2022), as APER and RanPAC use them.

    Deep: every block gets its own `length` tokens, which are removed after it. Shallow: tokens are added before the
    first block, pass through all, and are removed after the last. `tokens` is [blocks or 1, length, d], initially zero.
    Zero tokens still take part in attention (their keys and values come from the biases of norm1 and qkv), so new
    prompts change the features, unlike new adapters. Attached only during a pass, so the backbone stays pristine.
    Raises `UsageError` for a backbone that is not a Vision Transformer.
    """

    def __init__(self, backbone: Backbone, length: int, deep: bool) -> None:
        super().__init__()
        blocks, device = blocks_of(backbone, "attn"), next(backbone.parameters()).device
        drawn = torch.zeros(len(blocks) if deep else 1, length, backbone.dim, device=device)
        self.deep, self.tokens = deep, nn.Parameter(drawn, requires_grad=False)
        self.eval()

    def forward(self, backbone: Backbone, images: Tensor) -> Tensor:
        """Features [B, dim] of normalised images with these prompts."""
        with overridden(self._beside(cast(list[Any], blocks_of(backbone, "attn")))):
            return cast(Tensor, backbone(images))

    def _beside(self, blocks: list[Any]) -> Iterator[Override]:
        if self.deep:
            for block, tokens in zip(blocks, self.tokens, strict=True):
                enters = _entering(block.forward, tokens)
                yield block, "forward", _leaving(enters, len(tokens))
        else:
            yield blocks[0], "forward", _entering(blocks[0].forward, self.tokens[0])
            yield blocks[-1], "forward", _leaving(blocks[-1].forward, len(self.tokens[0]))


def _entering(forward: Any, tokens: Tensor) -> Any:
    def call(x: Tensor, **options: Any) -> Tensor:
        return cast(Tensor, forward(torch.cat([x, tokens.to(x.dtype).expand(len(x), -1, -1)], 1), **options))

    return call


def _leaving(forward: Any, length: int) -> Any:
    def call(x: Tensor, **options: Any) -> Tensor:
        return cast(Tensor, forward(x, **options)[:, :-length])

    return call
