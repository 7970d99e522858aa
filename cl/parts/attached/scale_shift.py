"""SSF: a scale and a shift after every operation of a frozen Vision Transformer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts.attached.attach import blocks_of, overridden

SITES = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
"""Sites in every block. The patch embedding and the final norm are sites too."""


class ScaleShift(nn.Module):
    """The output y of every site becomes y * scale + shift, channel by channel (Lian et al. 2022).

    Sites are the patch embedding, `SITES` of each block, and the final norm. Scales are drawn from N(1, 0.02^2), shifts
    from N(0, 0.02^2), so a new set changes the features a little, unlike new adapters. `scales` and `shifts` hold one
    vector per site, in the order of `names`. Attached only during a pass, so the backbone stays pristine.
    Raises `UsageError` for a backbone without these sites.
    """

    def __init__(self, backbone: Backbone, generator: torch.Generator, std: float = 0.02) -> None:
        super().__init__()
        self.names, widths = _sites(backbone)
        device = next(backbone.parameters()).device
        self.scales, self.shifts = nn.ParameterList(), nn.ParameterList()
        for width in widths:
            for values, centre in ((self.scales, 1.0), (self.shifts, 0.0)):
                drawn = centre + std * torch.randn(width, generator=generator)
                values.append(nn.Parameter(drawn.to(device), requires_grad=False))
        self.eval()

    def forward(self, backbone: Backbone, images: Tensor) -> Tensor:
        """Features [B, dim] of normalised images with this set attached."""
        sites = [backbone.model.get_submodule(name) for name in self.names]
        with overridden(
            (site, "forward", functools.partial(self._after, number, site.forward)) for number, site in enumerate(sites)
        ):
            return cast(Tensor, backbone(images))

    def _after(self, number: int, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return forward(x) * self.scales[number] + self.shifts[number]


def _sites(backbone: Backbone) -> tuple[list[str], list[int]]:
    """Names of the sites in the order of a pass, and the channels of each."""
    model: Any = backbone.model
    blocks = [f"blocks.{n}.{name}" for n in range(len(blocks_of(backbone, "attn", "mlp"))) for name in SITES]
    final = next((name for name in ("norm", "fc_norm") if isinstance(getattr(model, name, None), nn.LayerNorm)), "")
    names = ["patch_embed", *blocks, final]
    modules = dict(model.named_modules())
    widths = [_width(modules.get(name)) for name in names]
    if not final or not all(widths):
        raise UsageError(
            f"backbone {backbone.identity['name']} lacks {', '.join(SITES)} in its blocks, or a final LayerNorm; "
            "choose a timm Vision Transformer, such as vit_base_patch16_224."
        )
    return names, widths


def _width(module: Any) -> int:
    """Output channels of a site; 0 for an unknown kind of module."""
    if isinstance(module, nn.LayerNorm):
        return int(module.normalized_shape[-1])
    if isinstance(module, nn.Linear):
        return module.out_features
    return int(getattr(getattr(module, "proj", None), "out_channels", 0))
