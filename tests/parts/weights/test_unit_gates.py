"""Gates of units: their chain, factors of gradients, penalty and state."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from cl.backbone import Backbone, load
from cl.backbone.transform import Transform
from cl.errors import UsageError
from cl.parts.weights.unit_gates import GatedExtractor, UnitGates, chain_of, compensated, gates_of
from cl.testing import tiny_backbone
from tests.help.backbones import conv_backbone


class Residual(nn.Module):
    num_features = 6

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return (x + self.conv2(x)).mean((2, 3))


class ChannelsLast(nn.Module):
    """Its second layer sees tokens [B, 64 places, channels], as the layers of a transformer do."""

    num_features = 6

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, channels, 3, padding=1), nn.Linear(channels, 6)

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.fc(self.conv(x).flatten(2).transpose(1, 2))
        return tokens.mean(1)


def backbone_of(model: nn.Module) -> Backbone:
    identity = {
        "name": "other",
        "weights_sha256": "",
        "parameters": 0,
        "dim": 6,
        "input": {"size": 8},
        "pretraining": "none",
    }
    return Backbone(model, Transform(8, (0.5,) * 3, (0.5,) * 3), identity)


def gates() -> UnitGates:
    found = UnitGates(conv_backbone())
    found.add(torch.Generator().manual_seed(0))
    return found


def test_the_chain_is_in_the_order_of_a_pass() -> None:
    assert chain_of(conv_backbone()) == ("conv1", "conv2", "fc")


@pytest.mark.parametrize(
    "backbone",
    [backbone_of(Residual()), backbone_of(ChannelsLast(6)), backbone_of(ChannelsLast(64)), tiny_backbone()],
)
def test_other_networks_are_refused(backbone: Backbone) -> None:
    """With 64 channels, places and channels of the tokens are equally many: gates would fit the wrong axis."""
    with pytest.raises(
        UsageError, match=r"is no chain of layers: images pass .* choose a network such as wsn_alexnet@random"
    ):
        chain_of(backbone)


def test_a_shut_gate_takes_a_unit_out() -> None:
    backbone, found = conv_backbone(), gates()
    found = UnitGates(backbone)
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    opened = [torch.ones_like(gate) for gate in found.largest]
    with torch.no_grad():
        plain = backbone(images)
        with found.gated(opened):
            assert torch.equal(backbone(images), plain)
        opened[1][2] = 0.0  # a channel of conv2: 16 inputs of fc
        backbone.model.get_parameter("fc.weight")[:, 32:48] = 0
        expected = backbone(images)
        torch.nn.init.normal_(backbone.model.get_parameter("fc.weight")[:, 32:48])
        with found.gated(opened):
            torch.testing.assert_close(backbone(images), expected)
        torch.testing.assert_close(GatedExtractor(backbone, found, opened, {})(images), expected)
        assert not torch.equal(backbone(images), expected), "the network is as before"


def test_keys_tell_gates_apart() -> None:
    backbone, found = conv_backbone(), gates()
    one = [torch.ones_like(gate) for gate in found.largest]
    two = [gate.clone() for gate in one]
    two[0][0] = 0.5
    keys = [GatedExtractor(backbone, found, values, {}).key for values in (one, one, two)]
    assert keys[0] == keys[1] != keys[2]


def test_weights_between_used_units_are_held() -> None:
    found = gates()
    found.largest = [torch.zeros_like(gate) for gate in found.largest]
    found.largest[0][1], found.largest[1][2] = 1.0, 0.75
    first, second, third = (found.free(f"{name}.weight") for name in ("conv1", "conv2", "fc"))
    assert first is not None and second is not None and third is not None
    assert first[1].eq(0).all() and first[0].eq(1).all()
    assert second[2, 1].eq(0.25).all() and second[2, 0].eq(1).all() and second[1, 1].eq(1).all()
    assert third.eq(1).all(), "no unit of the last layer is used"
    bias = found.free("conv2.bias")
    assert bias is not None and bias.tolist() == [1, 1, 0.25, 1, 1, 1] and found.free("bn2.weight") is None


def test_the_penalty_is_the_mean_of_gates_of_units_that_are_free() -> None:
    found = gates()
    opened = gates_of(found.current, 2.0)
    assert float(found.penalty(opened)) == pytest.approx(float(torch.cat(opened).mean()))
    found.largest[0][:] = 1.0
    assert float(found.penalty(opened)) == pytest.approx(float(torch.cat(opened[1:]).mean()))


def test_compensation_undoes_the_scale() -> None:
    """d sigmoid(s e) / d e times the factor is smax times d sigmoid(e) / d e, but for the clamp."""
    e = torch.tensor([0.0, 0.3, -0.7]).requires_grad_(True)
    (gradient,) = torch.autograd.grad(torch.sigmoid(3.0 * e).sum(), e)
    plain = torch.sigmoid(e) * (1 - torch.sigmoid(e))
    torch.testing.assert_close(gradient * compensated(e, 3.0, 40.0), 40.0 * plain)
    assert math.isfinite(float(compensated(torch.tensor(6.0), 400.0, 400.0)))


def test_largest_gates_never_fall_and_the_state_comes_back() -> None:
    found = gates()
    found.keep(40.0)
    before = [gate.clone() for gate in found.largest]
    found.add(torch.Generator().manual_seed(1))
    found.keep(40.0)
    assert all(bool((new >= old).all()) for new, old in zip(found.largest, before, strict=True))
    assert found.used(40.0, 1) <= found.used(40.0) <= 1 and len(found) == 2
    found.add(torch.Generator().manual_seed(2))
    other = UnitGates(conv_backbone())
    other.set_state(found.get_state())
    assert all(torch.equal(a, b) for a, b in zip(other.current, found.current, strict=True)) and len(other) == 2
    held = other.current[0]
    other.set_state(found.get_state())
    assert other.current[0] is held, "an optimiser holds it"


@pytest.mark.parametrize("name", ["mlp_2x100_28@random", "lenet5_28@random"])
def test_networks_of_grey_images_have_a_chain(name: str) -> None:
    backbone = load(name)
    assert backbone.transform.channels == 1 and len(chain_of(backbone)) > 1


def test_flattened_features_stand_behind_the_gates_of_their_channels() -> None:
    """`cnn_x1_32` has no pooling before the features: 128 channels at 16 places each."""
    backbone = load("cnn_x1_32@random")
    gates = UnitGates(backbone)
    assert backbone.dim == 2048 and len(gates.largest[-1]) == 128
    opened = [torch.ones_like(each) for each in gates.largest]
    opened[-1][5] = 0.0
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain, shut = backbone(images), GatedExtractor(backbone, gates, opened, {})(images)
    channels = (plain != shut).view(2, 128, 16).any(0)
    assert channels[5].any() and not channels[torch.arange(128) != 5].any()
    assert not shut.view(2, 128, 16)[:, 5].any()
