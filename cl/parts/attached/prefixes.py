"""Prefix tuning: extra keys and values before the image's own in the attention of some blocks.

For a block with queries q, keys K and values V of the image's tokens and prefixes p_K, p_V [L, d],

    softmax(q [p_K; K]^T / sqrt(d_h)) [p_V; V]

so the number of tokens does not change. DualPrompt, L2P++, CODA-Prompt, HiDe-Prompt and NoRGa all prompt this way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts.attached.attach import blocks_of, overridden


class Prefix(NamedTuple):
    """Keys and values of one block, [B, L, d] each, or [L, d] for all images; d is the model's width."""

    keys: Tensor
    values: Tensor


Gate = Callable[[Tensor], Tensor]
"""Maps the scaled scores [B, heads, N, L] of the prefix keys to a term that is added to them before the softmax."""


def prefixed(
    backbone: Backbone,
    images: Tensor,
    prefixes: Mapping[int, Prefix],
    gates: Mapping[int, Gate] | None = None,
) -> Tensor:
    """Features [B, dim] of normalised images with prefixes in some blocks; `prefixes` and `gates` map block numbers.

    Prefixes are split over the heads like the block's own keys. They are added after the key and value projections,
    without a position embedding. Raises `UsageError` for a backbone whose attention is not timm's standard module.
    """
    gates, blocks = gates or {}, attention_blocks(backbone)
    with overridden(
        (blocks[number], "forward", functools.partial(_attend, blocks[number], prefix, gates.get(number)))
        for number, prefix in prefixes.items()
    ):
        return cast(Tensor, backbone(images))


def attention_blocks(backbone: Backbone, needed: int = 0) -> list[Any]:
    """The attention modules of a Vision Transformer; raises `UsageError` if they cannot take prefixes.

    `needed`: the least number of blocks that the model must have.
    """
    found = [cast(Any, block.attn) for block in blocks_of(backbone, "attn")]
    usual = all(hasattr(attn, "qkv") and hasattr(attn, "proj") for attn in found)
    if not usual or any(getattr(attn, "gate", None) is not None for attn in found):
        raise UsageError(
            f"prompts cannot enter backbone {backbone.identity['name']}, whose attention is not timm's usual one; "
            "choose a timm Vision Transformer, such as vit_base_patch16_224."
        )
    if needed > len(found):
        raise UsageError(
            f"prompts for {needed} blocks do not fit backbone {backbone.identity['name']}, which has {len(found)}; "
            "name fewer layers."
        )
    return found


def _attend(attn: Any, prefix: Prefix, gate: Gate | None, x: Tensor, **unused: Any) -> Tensor:
    """timm's attention, fused or not, with more keys and values; the term of the gate is passed as a mask."""
    batch, tokens, _ = x.shape
    q, k, v = attn.qkv(x).reshape(batch, tokens, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    q, k = attn.q_norm(q), attn.k_norm(k)
    more_k, more_v = (_heads(part, attn.num_heads, batch).to(k.dtype) for part in prefix)
    added = None
    if gate is not None:
        scores = (q * attn.scale) @ more_k.mT
        added = F.pad(gate(scores).to(q.dtype), (0, tokens))  # nothing is added to the image's own scores
    k, v = torch.cat([more_k, k], 2), torch.cat([more_v, v], 2)
    if getattr(attn, "fused_attn", True):
        dropout = attn.attn_drop.p if attn.training else 0.0
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=added, dropout_p=dropout)
    else:
        scores = (q * attn.scale) @ k.mT
        x = attn.attn_drop((scores if added is None else scores + added).softmax(-1)) @ v
    x = x.transpose(1, 2).reshape(batch, tokens, -1)
    norm = getattr(attn, "norm", None)
    return cast(Tensor, attn.proj_drop(attn.proj(x if norm is None else norm(x))))


def _heads(part: Tensor, heads: int, batch: int) -> Tensor:
    """[L, d] or [B, L, d] to [B, heads, L, d / heads]."""
    part = part.expand(batch, *part.shape[-2:])
    return part.reshape(batch, part.shape[1], heads, part.shape[2] // heads).transpose(1, 2)


def legacy_layout(prefix: Prefix) -> Prefix:
    """The wrong layout of prefixes in the PyTorch ports of DualPrompt: stacked [2, B, L, d], reshaped to [B, 2, L, d].

    The reshape moves data between images. In the first half of a batch, an image gets the keys of two images as its key
    and value; in the second half, the values of two images. Predictions thus depend on the batch; kept to reproduce
    published numbers.
    """
    keys, values = prefix
    mixed = torch.stack([keys, values]).reshape(len(keys), 2, *keys.shape[1:])
    return Prefix(mixed[:, 0], mixed[:, 1])
