"""Whole networks kept from earlier tasks, for computing features and as initial weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cl.backbone import Backbone
from cl.parts.weights.lend import Lent
from cl.training import state


class Networks:
    """Copies of all tensors of a backbone, made at each `add`."""

    stores = "parameters"

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.tensors: list[dict[str, Tensor]] = []
        self.keys: list[str] = []

    def __len__(self) -> int:
        return len(self.tensors)

    def add(self, backbone: Backbone) -> None:
        """Keep a copy of the current network."""
        self.tensors.append(state.clone(dict(backbone.model.state_dict())))
        self.keys.append(backbone.key)

    def put_back(self, index: int, backbone: Backbone) -> None:
        """Load a kept network into the backbone."""
        backbone.set_state(self.tensors[index])

    def extractor(self, index: int, backbone: Backbone) -> Lent:
        """The extractor of a kept network, computed with the modules of the backbone."""
        return Lent(backbone, self.tensors[index], self.keys[index])

    def get_state(self) -> dict[str, Any]:
        return {"tensors": self.tensors, "keys": self.keys}

    def set_state(self, value: Mapping[str, Any]) -> None:
        self.tensors = [{name: tensor.to(self._device) for name, tensor in each.items()} for each in value["tensors"]]
        self.keys = list(value["keys"])
