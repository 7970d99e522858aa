"""Low-rank additions to the linear layers of a Vision Transformer (LoRA)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts.attached.attach import Attached, blocks_of, overridden

LAYERS = ("attn.qkv", "mlp.fc1", "mlp.fc2")
"""The linear layers of every block that get an addition."""


class LowRank(nn.Module):
    """The output W x + b of a layer becomes (W + scale B A) x + b, with A [rank, in] and B [out, rank].

    LoRA (Hu et al. 2022), as in SLCA++: A starts with the right singular vectors of W of the largest singular values, B
    with zeros, so a new set changes nothing. `a` and `b` hold one matrix per layer, in the order of `names`. Attached
    only during a pass. Raises `UsageError` for a backbone without these layers or with fewer singular values than
    `rank`.
    """

    def __init__(self, backbone: Backbone, rank: int, scale: float = 0.8) -> None:
        super().__init__()
        self.names, self.scale = _layers(backbone), scale
        self.a, self.b = nn.ParameterList(), nn.ParameterList()
        for name in self.names:
            weight = cast(nn.Linear, backbone.model.get_submodule(name)).weight.detach()
            if rank > min(weight.shape):
                raise UsageError(
                    f"rank={rank} exceeds the {min(weight.shape)} singular values of {name} in backbone "
                    f"{backbone.identity['name']}; choose a rank of at most {min(weight.shape)}."
                )
            top = torch.linalg.svd(weight.cpu().float(), full_matrices=False).Vh[:rank]
            self.a.append(nn.Parameter(top.contiguous().to(weight), requires_grad=False))
            self.b.append(nn.Parameter(weight.new_zeros(len(weight), rank), requires_grad=False))
        self.eval()

    def forward(self, backbone: Backbone, images: Tensor) -> Tensor:
        """Features [B, dim] of normalised images with these additions."""
        layers = [cast(Any, backbone.model.get_submodule(name)) for name in self.names]
        with overridden(
            (layer, "forward", functools.partial(self._add, number, layer.forward))
            for number, layer in enumerate(layers)
        ):
            return cast(Tensor, backbone(images))

    def _add(self, number: int, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return forward(x) + self.scale * F.linear(F.linear(x, self.a[number]), self.b[number])

    def extractor(self, backbone: Backbone) -> Attached:
        """The deterministic pass with these additions, for features that are memoised until they change."""
        return Attached(backbone, functools.partial(self, backbone), self.parameters())


def _layers(backbone: Backbone) -> list[str]:
    names = [f"blocks.{n}.{layer}" for n in range(len(blocks_of(backbone, "attn", "mlp"))) for layer in LAYERS]
    modules = dict(backbone.model.named_modules())
    if not all(isinstance(modules.get(name), nn.Linear) for name in names):
        raise UsageError(
            f"backbone {backbone.identity['name']} lacks {', '.join(LAYERS)} in its blocks; choose a timm Vision "
            "Transformer, such as vit_base_patch16_224."
        )
    return names
