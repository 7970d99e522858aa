"""Features at several depths: pooled outputs of stages, and an extractor with an identity."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cl.backbone import Backbone, load
from cl.errors import UsageError
from cl.parts.attached.depths import Depths
from cl.testing import tiny_backbone


def images(backbone: Backbone, count: int = 5) -> Tensor:
    view = backbone.transform
    return torch.randn(count, view.channels, view.size, view.size, generator=torch.Generator().manual_seed(0))


def heard(backbone: Backbone, stages: list[torch.nn.Module], x: Tensor) -> list[Tensor]:
    """The outputs of stages by hooks."""
    found: list[Tensor] = []
    hooks = [stage.register_forward_hook(lambda module, given, out: found.append(out)) for stage in stages]
    backbone(x)
    for hook in hooks:
        hook.remove()
    return found


@torch.no_grad()
def test_depths_of_a_transformer_are_means_over_its_patches_and_the_last_are_its_features() -> None:
    backbone = tiny_backbone(depth=6)
    depths, x = Depths(backbone, 3), images(tiny_backbone())
    assert depths.places == [1, 3] and depths.dims == [16, 16, 16] and depths.dim == 48
    blocks = list(backbone.model.blocks)  # type: ignore[arg-type]
    outputs = heard(backbone, [blocks[1], blocks[3]], x)
    found = depths.parts(depths(x))
    for ours, output in zip(found, outputs, strict=False):
        assert torch.allclose(ours, output[:, 1:].mean(1), atol=1e-6)
    assert torch.equal(found[2], backbone(x))
    assert "forward" not in vars(blocks[1]), "the stock method is back"


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet20_cifar@random", "resnet18@random"])
def test_depths_of_a_convolutional_network_are_means_over_places(name: str) -> None:
    backbone = load(name)
    depths, x = Depths(backbone, 3), images(backbone, 2)
    assert len(depths.dims) == 3 and depths.dims == sorted(depths.dims)
    model: Any = backbone.model
    stages = list(getattr(model, "stages", ())) or [model.layer1, model.layer2, model.layer3, model.layer4]
    outputs = heard(backbone, [stages[place] for place in depths.places], x)
    for ours, output in zip(depths.parts(depths(x)), outputs, strict=False):
        assert torch.allclose(ours, output.mean((2, 3)), atol=1e-5)


@torch.no_grad()
def test_one_depth_is_the_backbone() -> None:
    backbone = load("mlp_2x100_28@random")
    depths, x = Depths(backbone, 1), images(backbone)
    assert torch.equal(depths(x), backbone(x)) and depths.dim == backbone.dim


def test_the_identity_names_weights_and_depths() -> None:
    backbone = tiny_backbone(depth=6)
    two, three = Depths(backbone, 2), Depths(backbone, 3)
    assert len({backbone.key, two.key, three.key, Depths(tiny_backbone(1, depth=6), 2).key}) == 4
    assert two.key == Depths(tiny_backbone(depth=6), 2).key and two.is_pristine
    before = two.key
    with torch.no_grad():
        next(backbone.parameters()).add_(1)
    assert two.key != before and not two.is_pristine


def test_a_network_with_fewer_stages_is_refused() -> None:
    with pytest.raises(UsageError, match=r"depths=3, but backbone tiny has 2 stages; choose depths=2 or fewer"):
        Depths(tiny_backbone(depth=2), 3)
    with pytest.raises(UsageError, match=r"depths=2, but backbone mlp_2x100_28.* has no blocks or stages to read"):
        Depths(load("mlp_2x100_28@random"), 2)


@pytest.mark.parametrize("name", ["mambaout_femto@random", "twins_svt_small@random"])
def test_stages_whose_outputs_cannot_be_pooled_are_refused(name: str) -> None:
    """Channels come last in the one; the stages of the other are lists, which are never called themselves."""
    with pytest.raises(UsageError, match=r"depths=3, but the stages of backbone .* give neither tokens nor feature"):
        Depths(load(name), 3)
