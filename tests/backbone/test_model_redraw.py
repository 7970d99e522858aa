"""Redrawing the weights of a backbone."""

from __future__ import annotations

import pytest
import torch

from cl.backbone import load
from cl.errors import UsageError
from tests.help.backbones import conv_backbone
from tests.help.compare import same


def test_redrawn_weights_are_those_of_an_untrained_backbone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, two, other = (load("test_resnet@random") for _ in range(3))
    for backbone, seed in ((one, 4), (two, 5), (other, 6)):
        backbone.redraw(seed)
    assert torch.equal(torch.rand(1), expected), "the global generator stays where it is"
    one.train()
    one(torch.randn(4, 3, 64, 64))  # statistics move
    one.redraw(5)
    states = [backbone.model.state_dict() for backbone in (one, two, other)]
    assert same(states[0], states[1]), "statistics too"
    assert not same(states[0], states[2])
    assert not one.is_pristine and one.key == two.key != other.key
    with pytest.raises(UsageError, match="backbone net cannot be redrawn"):
        conv_backbone().redraw(0)
