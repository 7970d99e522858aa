"""Other weights in the same network: lent for one pass, gradients pass through."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import cast

from torch import Tensor
from torch.func import functional_call

from cl.backbone import Backbone


def under(backbone: Backbone, tensors: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Features [B, dim] of normalised images with `tensors` in the place of parameters or buffers of the model, by
    name; gradients pass through to what they were computed from."""
    lent = {f"model.{name}": tensor for name, tensor in tensors.items()}
    return cast(Tensor, functional_call(backbone, lent, (images,)))


class Lent:
    """A deterministic pass with `tensors` in the place of a backbone's own: an extractor that lasts for the run.

    Without a `key` its identity is what it computes with, so that a tensor of the backbone which stands back behind one
    of `tensors` may change without a trace. With the `key` that `Backbone.key` said when the backbone held these
    tensors, both are one extractor to the memory of encodings.
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
