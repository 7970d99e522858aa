"""Changes of a stock model's weights that are used or left out layer by layer, by a trained score (TAPS)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.parts.weights.lend import under
from cl.parts.weights.masks import maskable, straight_through


class GatedChanges(nn.Module):
    """The weight of a layer is W + 1[s >= threshold] dW, with a trained change dW and a trained score s.

    The gradient of the gate goes to the score unchanged. dW starts at 0 and s at `start`, so nothing changes at first.
    `names` are the weights with a gate, by default all that can be masked (see `maskable`). Parameters named in `free`
    have a change without a gate. A layer whose gate is shut has exactly the weight of the backbone.
    """

    def __init__(
        self,
        backbone: Backbone,
        names: Sequence[str] | None = None,
        *,
        free: Sequence[str] = (),
        threshold: float = 0.1,
        start: float = 0.15,
    ) -> None:
        super().__init__()
        self.names = tuple(names) if names is not None else maskable(backbone)
        self.free, self.threshold = tuple(free), threshold
        self.changes, self.scores = nn.ParameterList(), nn.ParameterList()
        for name in (*self.names, *self.free):
            zeros = torch.zeros_like(backbone.model.get_parameter(name))
            self.changes.append(nn.Parameter(zeros, requires_grad=False))
        for change in self.changes[: len(self.names)]:
            self.scores.append(nn.Parameter(change.new_tensor(start), requires_grad=False))
        self.eval()

    def tensors(self, backbone: Backbone) -> dict[str, Tensor]:
        """The changed weights by name in the model; gradients reach changes and scores."""
        found = {}
        for number, name in enumerate((*self.names, *self.free)):
            change: Tensor = self.changes[number]
            if number < len(self.names):
                score = self.scores[number]
                change = straight_through((score >= self.threshold).to(score.dtype), score, of="score") * change
            found[name] = backbone.model.get_parameter(name) + change
        return found

    def forward(self, backbone: Backbone, images: Tensor) -> Tensor:
        """Features [B, dim] of normalised images with the changed weights."""
        return under(backbone, self.tensors(backbone), images)

    @property
    def active(self) -> list[str]:
        """The weights whose gate is open."""
        scores = zip(self.names, self.scores, strict=True)
        return [name for name, score in scores if bool(score >= self.threshold)]

    def kept(self) -> dict[str, Tensor]:
        """Copies of the changes that are used: those with an open gate, and those without a gate."""
        used = {*self.active, *self.free}
        pairs = zip((*self.names, *self.free), self.changes, strict=True)
        return {name: change.detach().clone() for name, change in pairs if name in used}
