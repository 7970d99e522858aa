"""Whole networks kept from earlier tasks, for computing features and as initial weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cl.backbone import Backbone
from cl.parts.weights.lend import Lent, evaluated
from cl.training import state


class SideBySide:
    """Features of several kept networks, concatenated: [B, networks * dim]."""

    is_pristine, lasting = False, True

    def __init__(self, networks: Sequence[Lent]) -> None:
        self.networks = networks
        self.transform, self.dim = networks[0].transform, sum(network.dim for network in networks)
        self.key = "side by side: " + ", ".join(network.key for network in networks)

    def __call__(self, images: Tensor) -> Tensor:
        return torch.cat([network(images) for network in self.networks], 1)


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

    def side_by_side(self, backbone: Backbone) -> SideBySide:
        """The extractor that gives the features of all kept networks."""
        return SideBySide([self.extractor(index, backbone) for index in range(len(self))])

    def features(self, index: int, backbone: Backbone, images: Tensor) -> Tensor:
        """Features [B, dim] of a kept network while the backbone trains: in evaluation mode, without gradients."""
        return evaluated(backbone, self.tensors[index], images)

    def get_state(self) -> dict[str, Any]:
        return {"tensors": self.tensors, "keys": self.keys}

    def set_state(self, value: Mapping[str, Any]) -> None:
        self.tensors = [{name: tensor.to(self._device) for name, tensor in each.items()} for each in value["tensors"]]
        self.keys = list(value["keys"])
