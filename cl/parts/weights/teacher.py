"""A frozen copy of what was learned, to be held on to: it gives features and logits of the model before the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cl.backbone import Backbone
from cl.parts.heads.growing import GrowingHead
from cl.parts.weights.lend import under
from cl.training import state


class Teacher:
    """The tensors of a backbone that differ from the pretrained ones, and a head, as they were at one moment.

    Unchanged pretrained tensors are those of the student, so a teacher costs what was trained and no second network.
    It is always in evaluation mode, and nothing is differentiated through it.
    """

    stores = "parameters"

    def __init__(self, dim: int) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.head = GrowingHead(dim)

    @property
    def classes(self) -> int:
        """Classes it knows; 0 before the first task, when there is no teacher."""
        return self.head.classes

    def copy_from(self, backbone: Backbone, head: GrowingHead, tuned: Mapping[str, Tensor] | None = None) -> None:
        """Become the model as it is now.

        `tuned` are the parameters of `backbone.model` that training will change: they are copied even where they
        still are the pretrained ones, else the teacher would change with the student.
        """
        self.tensors = state.clone({**(tuned or {}), **backbone.get_state()})
        self.head.copy_from(head)

    @torch.no_grad()
    def __call__(self, backbone: Backbone, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, dim] and logits [B, classes] of normalised images; `backbone` lends its unchanged tensors.

        Every module of the backbone is left in the mode in which it was.
        """
        modes = [(module, module.training) for module in backbone.modules()]
        backbone.eval()
        try:
            features = under(backbone, self.tensors, images)
        finally:
            for module, training in modes:
                module.training = training
        return features, self.head(features)

    def get_state(self) -> dict[str, Any]:
        return {"tensors": self.tensors, "head": self.head.get_state()}

    def set_state(self, value: dict[str, Any]) -> None:
        device = self.head.place.device
        self.tensors = {name: tensor.to(device) for name, tensor in value["tensors"].items()}
        self.head.set_state(value["head"])

    def to(self, device: torch.device) -> Teacher:
        """Move it; returns itself."""
        self.tensors = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        self.head.to(device)
        return self
