"""Prompts as tokens in the sequence of a Vision Transformer, as in L2P."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts.attached.attach import overridden

PLACES = ("front", "after-class")
"""Order of the tokens. "front": [prompts, class, patches], prompts without a position embedding, as in L2P's own code.
"after-class": [class, prompts, patches], prompts with the class token's position embedding, as in its PyTorch port."""

READINGS = ("prompt", "token")
"""Which outputs are the features: the mean over the prompts, or the class token."""


def with_tokens(
    backbone: Backbone, images: Tensor, prompts: Tensor, place: str = "front", reading: str = "prompt"
) -> Tensor:
    """Features [B, dim] of normalised images with prompts [B, P, dim] in their sequences.

    `place` is one of `PLACES`, `reading` one of `READINGS`; outputs are read after the final norm. Without prompts
    (P = 0) the class token is read. The backbone must pass `check_tokens`.
    """
    model, count = cast(Any, backbone.model), prompts.shape[1]
    if count == 0:
        return cast(Tensor, backbone(images))
    embed, front = model._pos_embed, place == "front"

    def embedded(patches: Tensor) -> Tensor:
        x = embed(patches)
        if front:
            return torch.cat([prompts, x], 1)
        return torch.cat([x[:, :1], prompts + model.pos_embed[:, :1], x[:, 1:]], 1)

    def pooled(x: Tensor, pool_type: str | None = None) -> Tensor:
        first = 0 if front else 1
        if reading == "prompt":
            return x[:, first : first + count].mean(1)
        return x[:, count if front else 0]

    with overridden([(model, "_pos_embed", embedded), (model, "pool", pooled)]):
        return cast(Tensor, backbone(images))


def check_tokens(backbone: Backbone, place: str = "front") -> None:
    """Raise `UsageError` for a backbone that cannot take prompts as tokens at this place."""
    from timm.models.vision_transformer import VisionTransformer

    model, name = cast(Any, backbone.model), backbone.identity["name"]
    stock = isinstance(model, VisionTransformer) and all(
        getattr(type(model), part) is getattr(VisionTransformer, part)
        for part in ("_pos_embed", "forward_features", "pool", "forward_head")
    )
    if not stock or model.cls_token is None or model.global_pool != "token":
        raise UsageError(
            f"prompt tokens do not fit backbone {name}: it is no plain Vision Transformer whose features are its class "
            "token; choose one, such as vit_base_patch16_224."
        )
    if place == "after-class" and (model.pos_embed is None or model.no_embed_class):
        raise UsageError(
            f"backbone {name} has no position embedding of the class token to copy to prompts; set place=front."
        )
