"""Features of a frozen network at several depths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.backbone.transform import Transform
from cl.errors import UsageError
from cl.parts.attached.attach import Override, overridden


class Depths:
    """The features of a backbone, and before them the pooled outputs of stages within it; an extractor.

    Stages are the blocks of a Vision Transformer (mean of the patch tokens), or the stages of a convolutional network
    (mean over places). `count` depths are spread evenly, the last are the features themselves. A vector has all depths
    side by side; `parts` separates them. Raises `UsageError` for a network with fewer stages, or with stages whose
    outputs are neither tokens [B, N, C] nor feature maps [B, C, H, W].
    """

    lasting = True

    def __init__(self, backbone: Backbone, count: int) -> None:
        stages = _stages(backbone.model)
        if count > max(len(stages), 1):
            name = backbone.identity["name"]
            raise UsageError(
                f"depths={count}, but backbone {name} has "
                f"{f'{len(stages)} stages' if stages else 'no blocks or stages to read'}; choose "
                f"{f'depths={len(stages)} or fewer' if len(stages) > 1 else 'depths=1'}, or another backbone, such as "
                "vit_micro_patch4_32."
            )
        self._backbone = backbone
        self.places = [round(len(stages) * i / count) - 1 for i in range(1, count)]
        self._stages = [stages[place] for place in self.places]
        view, like = backbone.transform, next(backbone.parameters())
        with torch.no_grad():
            found = self._read(like.new_zeros(1, view.channels, view.size, view.size))
        if len(found) != count:
            raise UsageError(
                f"depths={count}, but the stages of backbone {backbone.identity['name']} give neither tokens nor "
                "feature maps with channels first; choose depths=1, or another backbone, such as vit_micro_patch4_32."
            )
        self.dims = [each.shape[1] for each in found]
        self.dim = sum(self.dims)

    @property
    def transform(self) -> Transform:
        """The backbone's transform."""
        return self._backbone.transform

    @transform.setter
    def transform(self, value: Transform) -> None:
        self._backbone.transform = value

    @property
    def key(self) -> str:
        """The backbone's key and the stages."""
        return f"{self._backbone.key}:depths {self.places}"

    @property
    def is_pristine(self) -> bool:
        """Whether the backbone is as loaded."""
        return self._backbone.is_pristine

    def __call__(self, images: Tensor) -> Tensor:
        return torch.cat(self._read(images), 1)

    def parts(self, features: Tensor) -> list[Tensor]:
        """The depths [B, dim of each] of vectors [B, dim]."""
        return list(features.split(self.dims, 1))

    def _read(self, images: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        with overridden(self._listening(found)):
            own = self._backbone(images)
        return [*(each.to(own.dtype) for each in found), own]

    def _listening(self, found: list[Tensor]) -> Iterator[Override]:
        prefix = int(getattr(self._backbone.model, "num_prefix_tokens", 0))
        for stage in self._stages:
            yield stage, "forward", _heard(stage.forward, found, prefix)


def _heard(forward: Callable[..., Any], found: list[Tensor], prefix: int) -> Callable[..., Any]:
    """A stage's pass that also appends its pooled output."""

    def call(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        if _poolable(output):
            found.append(output[:, prefix:].mean(1) if output.ndim == 3 else output.mean((2, 3)))
        return output

    return call


def _poolable(output: Any) -> bool:
    """Whether an output is tokens, or feature maps of a square image with channels first."""
    if not isinstance(output, Tensor) or output.ndim not in (3, 4):
        return False
    return output.ndim == 3 or output.shape[2] == output.shape[3]


def _stages(model: nn.Module) -> list[nn.Module]:
    """The blocks of a Vision Transformer, or the stages of a convolutional network."""
    held = getattr(model, "blocks", None) or getattr(model, "stages", None)
    if held is None:
        return [getattr(model, name) for name in ("layer1", "layer2", "layer3", "layer4") if hasattr(model, name)]
    return list(cast(nn.Sequential, held))
