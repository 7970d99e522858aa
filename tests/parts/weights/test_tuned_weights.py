"""A second set of weights for a backbone."""

from __future__ import annotations

import copy

import torch

from cl.parts.weights.tuned_weights import TunedWeights
from cl.testing import tiny_backbone
from tests.help.attached_parts import (
    assert_images_are_independent_and_states_are_restored,
    assert_the_backbone_stays_pristine_and_every_parameter_trains,
    draw,
    images,
)


def test_the_backbone_stays_pristine_and_every_parameter_trains() -> None:
    assert_the_backbone_stays_pristine_and_every_parameter_trains(TunedWeights)


def test_images_are_independent_and_states_are_restored() -> None:
    assert_images_are_independent_and_states_are_restored(TunedWeights)


def test_new_weights_change_nothing_and_trained_weights_equal_a_separate_network() -> None:
    backbone, x = tiny_backbone(depth=2), images().float()
    part = TunedWeights(backbone)
    assert torch.equal(part(backbone, x), backbone(x))
    with torch.no_grad():
        for number, tensor in enumerate(part.tensors):
            tensor.add_(0.1 * draw(*tensor.shape, seed=number).float())
    other = copy.deepcopy(backbone)
    other.model.load_state_dict(dict(zip(part.names, part.tensors, strict=True)), strict=False)
    assert torch.equal(part(backbone, x), other(x)) and not torch.equal(other(x), backbone(x))
    assert set(part.names) == set(dict(backbone.model.named_parameters()))
