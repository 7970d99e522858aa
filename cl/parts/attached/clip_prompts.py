"""Prompts in both towers of a CLIP, layer by layer, as in CPE-CLIP; the towers themselves stay as they are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.backbone.text import TextTower
from cl.errors import UsageError
from cl.parts.attached.attach import Override, overridden

MODES = ("replace", "accumulate", "accumulate_same")
"""What a layer after the first does with its prompts. "replace": they take the place of those before. "accumulate":
they follow the outputs of those before. "accumulate_same": they follow the prompts before, as these were given."""


class ClipPrompts(nn.Module):
    """`values` [depth, length, text width] for the text tower, and a linear map of them to the image tower's width.

    Layer i of a tower gets `values[i]`. The values are drawn uniformly as Xavier's for a convolution of this shape, the
    map as a new `nn.Linear`.
    """

    def __init__(self, backbone: Backbone, length: int, depth: int, generator: torch.Generator) -> None:
        super().__init__()
        text, width = text_of(backbone), image_width(backbone)
        depth = min(depth, max(len(text.blocks), len(_image_blocks(backbone))))
        drawn = torch.empty(depth, length, text.width)
        if length:
            nn.init.xavier_uniform_(drawn, generator=generator)
        self.values = nn.Parameter(drawn, requires_grad=False)
        self.map = nn.utils.skip_init(nn.Linear, text.width, width).requires_grad_(False)
        bound = 1 / math.sqrt(text.width)
        with torch.no_grad():
            self.map.weight.uniform_(-bound, bound, generator=generator)
            self.map.bias.uniform_(-bound, bound, generator=generator)
        self.to(next(backbone.parameters()).device)

    @property
    def length(self) -> int:
        """Prompts of a layer."""
        return self.values.shape[1]

    def texts(self, backbone: Backbone, tokens: Tensor, mode: str) -> Tensor:
        """Unit vectors [N, dim] of captions with these prompts."""
        return text_features(text_of(backbone), tokens, self.values, mode)

    def images(self, backbone: Backbone, images: Tensor, mode: str) -> Tensor:
        """Features [B, dim] of normalised images with these prompts, mapped."""
        return image_features(backbone, images, self.map(self.values), mode)


def text_of(backbone: Backbone) -> TextTower:
    """The text tower of a backbone; raises `UsageError` if it has none."""
    if backbone.text is None:
        raise UsageError(
            f"backbone {backbone.identity['name']} has no text tower; choose a CLIP, such as open_clip:ViT-B-16.openai."
        )
    return backbone.text


def text_features(text: TextTower, tokens: Tensor, prompts: Tensor, mode: str = "replace") -> Tensor:
    """Unit vectors [N, dim] of captions with prompts [depth, length, width] after their first token.

    `mode` is one of `MODES`. Prompts have the positions at which they stand; what follows is moved back.
    """
    length = prompts.shape[1]
    if not length:
        return cast(Tensor, text(tokens))
    words, end = text.embedding(tokens), tokens.argmax(1)
    x = torch.cat([words[:, :1], prompts[0].expand(len(words), -1, -1), words[:, 1:]], 1)
    x = x + text.positions[: x.shape[1]]

    def enter(layer: int, x: Tensor) -> tuple[Tensor, Tensor]:
        held = _held(mode, length, min(layer, len(prompts) - 1))
        if 0 < layer < len(prompts):
            before = _held(mode, length, layer - 1)
            given = _given(mode, prompts, layer, x[:, 1 : 1 + before])
            x = torch.cat([x[:, :1], given, x[:, 1 + before :]], 1)
        return x, end + held

    return text.encode(x, end + length, enter)


def image_features(backbone: Backbone, images: Tensor, prompts: Tensor, mode: str = "accumulate") -> Tensor:
    """Features [B, dim] of normalised images with prompts [depth, length, width] at the end of their sequences.

    `mode` is one of `MODES`. Prompts have no positions. Raises `UsageError` for an image tower that is no Vision
    Transformer, or does not read its class token.
    """
    entry, blocks = _entry(backbone), _image_blocks(backbone)
    if not prompts.shape[1]:
        return cast(Tensor, backbone(images))
    with overridden(_overrides(entry, blocks, prompts, mode)):
        return cast(Tensor, backbone(images))


def image_width(backbone: Backbone) -> int:
    """Width of a token of the image tower; raises `UsageError` as `image_features` does."""
    _entry(backbone)
    visual = cast(Any, backbone.model).visual
    return int(visual.trunk.embed_dim if hasattr(visual, "trunk") else visual.transformer.width)


def _overrides(entry: nn.Module, blocks: list[nn.Module], prompts: Tensor, mode: str) -> Iterator[Override]:
    length = prompts.shape[1]
    yield entry, "forward", partial(_entered, entry.forward, prompts[0])
    for layer, block in enumerate(blocks[: len(prompts)]):
        if layer:
            yield (
                block,
                "forward",
                partial(_changed, block.forward, prompts, mode, layer, _held(mode, length, layer - 1)),
            )


def _entered(forward: Any, prompts: Tensor, x: Tensor) -> Any:
    return forward(torch.cat([x, prompts.to(x.dtype).expand(len(x), -1, -1)], 1))


def _changed(forward: Any, prompts: Tensor, mode: str, layer: int, before: int, x: Tensor, **options: Any) -> Any:
    given = _given(mode, prompts, layer, x[:, -before:])
    return forward(torch.cat([x[:, :-before], given], 1), **options)


def _held(mode: str, length: int, layer: int) -> int:
    """Prompts in the sequence that a layer gets."""
    return length if mode == "replace" else length * (layer + 1)


def _given(mode: str, prompts: Tensor, layer: int, outputs: Tensor) -> Tensor:
    """The prompts [B, n, width] that a layer gets; `outputs` are those of the layer before at their places."""
    given = prompts[: layer + 1].flatten(0, 1) if mode == "accumulate_same" else prompts[layer]
    given = given.to(outputs.dtype).expand(len(outputs), -1, -1)
    return torch.cat([outputs, given], 1) if mode == "accumulate" else given


def _image_blocks(backbone: Backbone) -> list[nn.Module]:
    visual = cast(Any, backbone.model).visual
    return list(visual.trunk.blocks if hasattr(visual, "trunk") else visual.transformer.resblocks)


def _entry(backbone: Backbone) -> nn.Module:
    """The norm before the first layer of an image tower, which gets the whole sequence."""
    visual = getattr(backbone.model, "visual", None)
    trunk = getattr(visual, "trunk", None)
    if trunk is not None and _reads_class_token(trunk):
        return cast(nn.Module, trunk.norm_pre)
    if visual is not None and getattr(visual, "pool_type", "") == "tok" and hasattr(visual, "ln_pre"):
        return cast(nn.Module, visual.ln_pre)
    raise UsageError(
        f"prompts do not fit backbone {backbone.identity['name']}: its image tower is no Vision Transformer that reads "
        "its class token; choose one, such as open_clip:ViT-B-16.openai."
    )


def _reads_class_token(trunk: nn.Module) -> bool:
    from timm.models.vision_transformer import VisionTransformer

    plain = isinstance(trunk, VisionTransformer)
    return plain and trunk.cls_token is not None and trunk.global_pool == "token"
