"""What the oracles of SoftNet and WSN need: their small convolutional network as a backbone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from tests.help.oracles import Oracle, half, identity


class SmallNet(nn.Module):
    """relu(conv1: 3 x 3, stride 2, no padding), flattened, relu(fc1); neither layer has a bias."""

    num_features = 10

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels, 3, stride=2, bias=False)
        self.fc1 = nn.Linear(channels * 9, dim, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.fc1(torch.relu(self.conv1(images)).flatten(1)))


def small_net(oracle: Oracle) -> Backbone:
    """The network of the file with its initial weights."""
    model = SmallNet(oracle.meta["channels"], oracle.meta["dim"])
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(oracle.tensor(f"init/{name}"))
    return Backbone(model, half(8), identity(oracle.name, oracle.meta["dim"]))


LAYERS = ("conv1", "fc1")


def trained(source: Backbone | Oracle, prefix: str = "") -> Tensor:
    """All parameters of a Vision Transformer in one vector, by name; of a file, those below `prefix`."""
    if isinstance(source, Oracle):
        found: dict[str, Tensor] = source.group(prefix)
    else:
        found = {name: parameter.detach() for name, parameter in source.model.named_parameters()}
    return torch.cat([found[name].flatten() for name in sorted(found)])


def first_rows(oracle: Oracle) -> Callable[[Any, int, str], None]:
    """A `begin` of `replay` that sets new rows of a growing head before the first fit of their task; biases are 0."""
    done: set[int] = set()

    def begin(learner: Any, task: int, phase: str) -> None:
        blocks = learner.head.blocks
        if len(blocks) in done:
            return
        done.add(len(blocks))
        before = sum(block.out_features for block in blocks[:-1])
        blocks[-1].weight.copy_(oracle.tensor("init/head_weight")[before : before + blocks[-1].out_features])
        blocks[-1].bias.zero_()

    return begin
