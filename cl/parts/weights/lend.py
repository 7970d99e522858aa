"""Other weights for the same network, lent for one pass; gradients flow through them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor
from torch.func import functional_call

from cl.backbone import Backbone


def under(backbone: Backbone, tensors: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Features [B, dim] of normalised images with `tensors` in place of the model's parameters or buffers of the same
    names; gradients flow through them."""
    lent = {f"model.{name}": tensor for name, tensor in tensors.items()}
    return cast(Tensor, functional_call(backbone, lent, (images,)))


@torch.no_grad()
def evaluated(backbone: Backbone, tensors: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """As `under`, in evaluation mode and without gradients; the training mode of every module is restored."""
    modes = [(module, module.training) for module in backbone.modules()]
    backbone.eval()
    try:
        return under(backbone, tensors, images)
    finally:
        for module, training in modes:
            module.training = training


class Lent:
    """A deterministic pass with `tensors` in place of a backbone's own: an extractor whose features are kept.

    By default its identity is a hash of all tensors it computes with; backbone tensors that `tensors` replace do not
    count. Pass as `key` the value of `Backbone.key` at a time when the backbone held these tensors: the cache of
    encodings then treats both as one extractor.
    """

    is_pristine, lasting = False, True

    def __init__(self, backbone: Backbone, tensors: Mapping[str, Tensor] | None = None, key: str | None = None) -> None:
        self.transform, self.dim = backbone.transform, backbone.dim
        self._backbone, self._tensors = backbone, dict(tensors or {})
        self.key = key or self._digest()

    def __call__(self, images: Tensor) -> Tensor:
        return under(self._backbone, self._tensors, images)

    def _digest(self) -> str:
        backbone = self._backbone
        identity = (backbone.identity["name"], backbone.identity["weights_sha256"], backbone.transform.key)
        digest = hashlib.sha256(repr((identity, backbone.precision)).encode())
        for name, tensor in {**backbone.get_state(), **self._tensors}.items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return f"lent:{digest.hexdigest()}"
