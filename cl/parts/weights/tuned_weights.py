"""A second set of weights for a backbone, lent to it for one pass."""

from __future__ import annotations

from torch import Tensor, nn

from cl.backbone import Backbone
from cl.parts.weights.lend import under


class TunedWeights(nn.Module):
    """A copy of every parameter of a backbone, trained in place of the originals; initially equal to them.

    The backbone is shared and stays pristine: it gives both the pretrained and the tuned features. Its modules stay in
    evaluation mode, so dropout and stochastic depth are off while the copy trains, and batch norms keep the statistics
    they were loaded with.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        named = dict(backbone.model.named_parameters())
        self.names = tuple(named)
        self.tensors = nn.ParameterList(nn.Parameter(p.detach().clone(), requires_grad=False) for p in named.values())
        self.eval()

    def forward(self, backbone: Backbone, images: Tensor) -> Tensor:
        """Features [B, dim] of normalised images with these weights."""
        return under(backbone, dict(zip(self.names, self.tensors, strict=True)), images)
