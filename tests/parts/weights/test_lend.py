"""Other weights in the same network: values, gradients and keys."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cl.parts.weights.lend import Lent, under
from cl.parts.weights.masks import Scores, selected
from tests.help.backbones import conv_backbone


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 6, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=generator(seed))


def test_a_subnetwork_is_identified_by_the_weights_that_it_uses() -> None:
    backbone = conv_backbone()
    scores = Scores(backbone, generator())
    scores.choose(0.5)

    def now() -> Lent:
        return Lent(backbone, selected(scores.names, scores.weights(backbone), scores.masks))

    keys, features = [now().key], [now()(images())]
    weight, mask = scores.weights(backbone)[0], scores.masks[0]
    for change in (~mask, mask):
        with torch.no_grad():
            weight[change] = -weight[change]  # zero times a negative weight is -0, which differs in its bits
        keys.append(now().key)
        features.append(now()(images()))
    assert keys[0] == keys[1] != keys[2] and torch.equal(features[0], features[1])
    with torch.no_grad():
        backbone.model.get_parameter("conv2.bias").add_(1)  # not masked, but part of the computation
    assert now().key not in keys


def test_lent_tensors_take_the_place_of_those_of_the_backbone_and_are_differentiated() -> None:
    backbone, reference, x = conv_backbone(), conv_backbone(), images()
    own = backbone.model.get_parameter("conv1.weight")
    other = (2 * own.detach()).requires_grad_(True)
    features = under(backbone, {"conv1.weight": other}, x)
    with torch.no_grad():
        reference.model.get_parameter("conv1.weight").mul_(2)
    assert torch.equal(features, reference(x)) and backbone.is_pristine
    F.mse_loss(features, torch.zeros_like(features)).backward()
    assert other.grad is not None and bool(other.grad.any()) and own.grad is None


def test_a_lent_network_keeps_the_key_that_it_is_given() -> None:
    backbone, tensors = conv_backbone(), {"conv1.weight": torch.zeros(4, 3, 3, 3)}
    assert Lent(backbone, tensors, key="kept").key == "kept"
    assert Lent(backbone, tensors).key != Lent(backbone).key
    assert Lent(backbone, {}).key != Lent(conv_backbone(1), {}).key
