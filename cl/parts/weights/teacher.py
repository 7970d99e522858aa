"""A frozen copy of the model before the task, which gives features and logits for distillation."""

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
    """A snapshot of a head and of those tensors of a backbone that differ from the pretrained ones.

    Unchanged pretrained tensors are shared with the student, so a teacher stores only trained tensors. It always
    computes in evaluation mode and without gradients.
    """

    stores = "parameters"

    def __init__(self, dim: int) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.head = GrowingHead(dim)

    @property
    def classes(self) -> int:
        """Number of classes of the teacher; 0 before the end of the first task, when there is no teacher."""
        return self.head.classes

    def copy_from(self, backbone: Backbone, head: GrowingHead, tuned: Mapping[str, Tensor] | None = None) -> None:
        """Copy the current model.

        `tuned` are the parameters of `backbone.model` that training will change. They are copied even if they are still
        pretrained; otherwise the teacher would change with the student.
        """
        self.tensors = state.clone({**(tuned or {}), **backbone.get_state()})
        self.head.copy_from(head)

    @torch.no_grad()
    def __call__(self, backbone: Backbone, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, dim] and logits [B, classes] of normalised images; `backbone` supplies the unchanged tensors.

        The training mode of every module of the backbone is restored.
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
        """Move the teacher in place; returns it."""
        self.tensors = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        self.head.to(device)
        return self
