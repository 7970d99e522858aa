"""Prompt tokens in the sequence of a Vision Transformer."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from cl.backbone import Backbone, load
from cl.errors import UsageError
from cl.parts.attached.tokens import check_tokens, with_tokens
from cl.testing import tiny_backbone


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def by_hand(backbone: Backbone, images: Tensor, prompts: Tensor, place: str) -> Tensor:
    """Outputs [B, tokens, d] of all tokens after the final norm."""
    model = cast(Any, backbone.model)
    patches = model.patch_embed(images) + model.pos_embed[:, 1:]
    cls = (model.cls_token + model.pos_embed[:, :1]).expand(len(images), -1, -1)
    sequence = [prompts, cls, patches]
    if place == "after-class":
        sequence = [cls, prompts + model.pos_embed[:, :1], patches]
    return cast(Tensor, model.norm(model.blocks(torch.cat(sequence, 1))))


@pytest.mark.parametrize("place", ["front", "after-class"])
def test_prompt_tokens_are_inserted_and_read_at_their_place(place: str) -> None:
    backbone, images, prompts = tiny_backbone().double(), draw(4, 3, 8, 8), draw(4, 3, 16, seed=1)
    out = by_hand(backbone, images, prompts, place)
    mean = out[:, :3].mean(1) if place == "front" else out[:, 1:4].mean(1)
    token = out[:, 3] if place == "front" else out[:, 0]
    assert torch.allclose(with_tokens(backbone, images, prompts, place, "prompt"), mean, atol=1e-10)
    assert torch.allclose(with_tokens(backbone, images, prompts, place, "token"), token, atol=1e-10)
    assert not {"_pos_embed", "pool"} & set(vars(backbone.model)), "the stock methods are restored"
    none = prompts[:, :0]
    assert torch.equal(with_tokens(backbone, images, none, place, "prompt"), backbone(images))


def test_a_backbone_that_tokens_do_not_fit_is_refused() -> None:
    check_tokens(tiny_backbone(), "after-class")
    for name in ("resnet18@random", "deit_tiny_distilled_patch16_224@random"):
        with pytest.raises(UsageError, match="prompt tokens do not fit backbone"):
            check_tokens(load(name))

    def tiny(**options: Any) -> Backbone:
        model = VisionTransformer(
            img_size=8, patch_size=4, embed_dim=16, depth=1, num_heads=2, num_classes=0, **options
        )
        like = tiny_backbone()
        return Backbone(model, like.transform, like.identity)

    with pytest.raises(UsageError, match="prompt tokens do not fit"):
        check_tokens(tiny(global_pool="avg"))
    check_tokens(tiny(no_embed_class=True), "front")
    with pytest.raises(UsageError, match="set place=front"):
        check_tokens(tiny(no_embed_class=True), "after-class")
