"""Hard ASH, winner-take-all, and the exchange of a network's activations."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts.activations import HardASH, altered, gelu, replace_activations, winners
from cl.testing import tiny_backbone
from tests.help.backbones import conv_backbone


def draws(*shape: int) -> torch.Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("gate", ["sigmoid", "hard"])
def test_hard_ash_is_between_0_and_2_and_0_for_negative_inputs(gate: str) -> None:
    x = draws(5, 40)
    found = HardASH(1.0, gate=gate)(x)
    assert bool(((found >= 0) & (found <= 2)).all()) and not found[x <= 0].any() and found.any()


def test_a_larger_zk_leaves_fewer_units_active() -> None:
    active = [int((HardASH(zk, gate="hard")(draws(20, 100)) > 0).sum()) for zk in (0.0, 1.0, 2.0)]
    assert active == sorted(active, reverse=True) and active[2] < 0.2 * active[0]


@pytest.mark.parametrize("shape", [(4, 30), (4, 5, 3, 2)])
def test_mean_and_deviation_are_of_one_image(shape: tuple[int, ...]) -> None:
    x, act = draws(*shape), HardASH(1.5)
    one = torch.cat([act(row[None]) for row in x])
    torch.testing.assert_close(act(x), one)
    row = x[2].flatten()
    z = 3.0 * (row - row.mean() - 1.5 * row.var(correction=0).sqrt())
    torch.testing.assert_close(one[2].flatten(), row.clamp(0, 2) * torch.sigmoid(z))


def test_winners_are_the_largest_less_the_kth() -> None:
    x = draws(6, 20)
    found = winners(x, 5)
    assert (found > 0).sum(1).tolist() == [4] * 6
    assert torch.equal(found.argmax(1), x.argmax(1))
    torch.testing.assert_close(found.max(1).values, x.max(1).values - x.sort(1, descending=True).values[:, 4])


def test_every_activation_is_replaced_and_the_extractor_has_a_key_of_its_own() -> None:
    backbone = tiny_backbone()
    plain, key = backbone, backbone.key
    images = draws(2, 3, 8, 8)
    with torch.no_grad():
        before = plain(images)
        assert replace_activations(backbone, lambda: HardASH(1.0)) == 2
        assert not torch.allclose(backbone(images), before)
        found = altered(backbone, "x")
        assert torch.equal(found(images), backbone(images)) and found.key != key
    assert sum(isinstance(module, HardASH) for module in backbone.model.modules()) == 2
    assert isinstance(gelu(), nn.GELU) and gelu().approximate == "tanh"


def test_a_network_without_activation_modules_is_refused() -> None:
    backbone: Backbone = conv_backbone()
    with pytest.raises(UsageError, match="backbone net has no activation to replace"):
        replace_activations(backbone, gelu)
