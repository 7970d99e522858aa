"""LayerNorms with a separate scale and shift per task, in a frozen Vision Transformer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts.attached.attach import overridden
from cl.parts.task_parameters import TaskParameters

Route = int | Tensor | Callable[[int, Tensor], int | Tensor]
"""The task whose norms an image gets: one task for all images; a task per image [B]; or a function, called at every
site with the site's number and the input of its norm."""


class TaskNorms(TaskParameters):
    """Scale and shift of the LayerNorms of a timm Vision Transformer, one set per task.

    Sites are norm1 and norm2 of each block, in order, and the final norm; other norms (before blocks, of queries and
    keys) stay pretrained. At a site, x becomes `normal(x) * weights[task][site] + biases[task][site]`, with the eps of
    the model's norm. A set replaces the model's norms only during a pass through `forward`, so the backbone itself
    remains the pretrained model. A task's set is two parameters [sites, dim], separate from those of other tasks.

    Raises `UsageError` for a model without these norms.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.names = _sites(backbone)

    @property
    def weights(self) -> list[nn.Parameter]:
        """The scales [sites, dim] of each task."""
        return [weight for weight, _ in self.sets]

    @property
    def biases(self) -> list[nn.Parameter]:
        """The shifts [sites, dim] of each task."""
        return [bias for _, bias in self.sets]

    @property
    def sites(self) -> int:
        """Number of norms in a set."""
        return len(self.names)

    @property
    def shares(self) -> list[float]:
        """Weights of the sites in an average over the blocks (two sites each) and the final norm."""
        places = (self.sites + 1) // 2
        return [0.5 / places] * (self.sites - 1) + [1 / places]

    def grow(self, backbone: Backbone) -> None:
        """Append a task's set: a copy of the last set, or of the pretrained values for the first task."""
        if len(self):
            self.add(*self[-1])
        else:
            norms = [cast(nn.LayerNorm, backbone.model.get_submodule(name)) for name in self.names]
            self.add(torch.stack([n.weight for n in norms]), torch.stack([n.bias for n in norms]))

    def forward(self, backbone: Backbone, images: Tensor, route: Route) -> Tensor:
        """Features [B, dim] of normalised images with the norms that `route` picks."""
        norms = [cast(nn.LayerNorm, backbone.model.get_submodule(name)) for name in self.names]
        with overridden(
            (norm, "forward", functools.partial(self._apply_site, site, norm, route)) for site, norm in enumerate(norms)
        ):
            return cast(Tensor, backbone(images))

    def _apply_site(self, site: int, norm: nn.LayerNorm, route: Route, x: Tensor) -> Tensor:
        task = route(site, x) if callable(route) else route
        normal = F.layer_norm(x, norm.normalized_shape, eps=norm.eps)
        return normal * self._pick(self.weights, site, task, x) + self._pick(self.biases, site, task, x)

    @staticmethod
    def _pick(values: Sequence[Tensor], site: int, task: int | Tensor, x: Tensor) -> Tensor:
        """A site's vector [d] of one task, or of each image's task, shaped to broadcast with x [B, ..., d]."""
        if isinstance(task, int):
            return values[task][site]
        picked = torch.stack([value[site] for value in values])[task]
        return picked.view(len(x), *[1] * (x.ndim - 2), -1)

    # ----------------------------------------------------------------------------------------------------- state

    def get_state(self) -> dict[str, list[Tensor]]:
        """Weights and biases [sites, dim] of each task."""
        return {"weights": [w.detach() for w in self.weights], "biases": [b.detach() for b in self.biases]}

    def set_state(self, state: dict[str, list[Tensor]]) -> None:
        """Load the sets of `state`, adding or removing sets to match."""
        super().set_state(list(zip(state["weights"], state["biases"], strict=True)))


def _sites(backbone: Backbone) -> list[str]:
    """Names of the norms of a Vision Transformer; the final norm is before pooling (norm) or after it (fc_norm)."""
    model: Any = backbone.model
    names = [f"blocks.{i}.{name}" for i in range(len(getattr(model, "blocks", ()))) for name in ("norm1", "norm2")]
    final = next((name for name in ("norm", "fc_norm") if isinstance(getattr(model, name, None), nn.LayerNorm)), "")
    modules = dict(model.named_modules())
    norms = [modules.get(name) for name in [*names, final]]
    if not names or not all(isinstance(norm, nn.LayerNorm) and norm.bias is not None for norm in norms):
        raise UsageError(
            f"backbone {backbone.identity['name']} lacks LayerNorms with scale and shift at attention and MLP of each "
            "block and at the end; choose a timm Vision Transformer, such as vit_base_patch16_224."
        )
    return [*names, final]
