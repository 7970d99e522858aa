"""Other weights in the same network: lent for one pass, gradients pass through."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor
from torch.func import functional_call

from cl.backbone import Backbone


def under(backbone: Backbone, tensors: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Features [B, dim] of normalised images with `tensors` in the place of parameters or buffers of the model, by
    name; gradients pass through to what they were computed from."""
    lent = {f"model.{name}": tensor for name, tensor in tensors.items()}
    return cast(Tensor, functional_call(backbone, lent, (images,)))


class Subnetwork:
    """A deterministic pass with `tensors` in the place of a backbone's own: an extractor that lasts for the run.

    Its identity is what it computes with, so that weights which a task does not use may change without a trace.
    """

    is_pristine, lasting = False, True

    def __init__(self, backbone: Backbone, tensors: Mapping[str, Tensor]) -> None:
        self.transform, self.dim = backbone.transform, backbone.dim
        self._backbone, self._tensors = backbone, dict(tensors)
        identity = (backbone.identity["name"], backbone.identity["weights_sha256"], backbone.transform.key)
        digest = hashlib.sha256(repr((identity, backbone.precision)).encode())
        for name, tensor in {**backbone.get_state(), **self._tensors}.items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        self.key = f"subnetwork:{digest.hexdigest()}"

    def __call__(self, images: Tensor) -> Tensor:
        return under(self._backbone, self._tensors, images)


class Network:
    """A backbone with `tensors` in the place of its own: an extractor whose features stay valid for the run.

    `key` is what `Backbone.key` said when the backbone held these tensors, so both are one extractor to the memory of
    encodings. Without `tensors` it is the backbone as it is.
    """

    is_pristine, lasting = False, True

    def __init__(self, backbone: Backbone, key: str, tensors: Mapping[str, Tensor] | None = None) -> None:
        self.transform, self.dim, self.key = backbone.transform, backbone.dim, key
        self._backbone = backbone
        self._tensors = {f"model.{name}": tensor for name, tensor in (tensors or {}).items()}

    def __call__(self, images: Tensor) -> Tensor:
        features: Tensor = torch.func.functional_call(self._backbone, self._tensors, (images,))
        return features
