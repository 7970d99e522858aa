"""Other weights in the same network, and what they are known by."""

from __future__ import annotations

import torch
from torch import Tensor

from cl.parts.weights.lend import Lent
from cl.parts.weights.masks import (
    Scores,
    selected,
)
from tests.help.backbones import conv_backbone


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 6, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=generator(seed))


def test_a_subnetwork_is_known_by_the_weights_that_it_uses() -> None:
    backbone = conv_backbone()
    scores = Scores(backbone, generator())
    scores.choose(0.5)

    def now() -> Lent:
        return Lent(backbone, selected(scores.names, scores.weights(backbone), scores.masks))

    keys, features = [now().key], [now()(images())]
    weight, mask = scores.weights(backbone)[0], scores.masks[0]
    for change in (~mask, mask):
        with torch.no_grad():
            weight[change] = -weight[change]  # zero times a negative weight is -0: another one in its bits
        keys.append(now().key)
        features.append(now()(images()))
    assert keys[0] == keys[1] != keys[2] and torch.equal(features[0], features[1])
    with torch.no_grad():
        backbone.model.get_parameter("conv2.bias").add_(1)  # not masked, and it matters
    assert now().key not in keys
