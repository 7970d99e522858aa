"""LayerNorms of each task."""

from __future__ import annotations

import copy
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from cl.backbone import Backbone, load
from cl.errors import UsageError
from cl.parts.attached.task_norms import TaskNorms
from cl.testing import tiny_backbone


def scrambled(norms: TaskNorms, backbone: Backbone, tasks: int) -> TaskNorms:
    """Sets of tasks that differ from the pretrained values and from each other."""
    generator = torch.Generator().manual_seed(3)
    for _ in range(tasks):
        norms.grow(backbone)
        for parameter in norms[-1]:
            parameter.data.add_(0.5 * torch.randn(parameter.shape, generator=generator))
    return norms


def images(count: int = 7, size: int = 8) -> Tensor:
    return torch.randn(count, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("double", [False, True])
def test_untrained_norms_give_the_features_of_the_frozen_model(double: bool) -> None:
    for backbone, size in ((tiny_backbone(depth=3), 8), (load("vit_micro_patch4_32.tinyimagenet_distill"), 32)):
        norms = TaskNorms(backbone)
        for _ in range(3):
            norms.grow(backbone)
        x = images(6, size) if double else images(6, size).float()
        if double:
            backbone.double(), norms.double()
        with torch.no_grad():
            expected = backbone(x)
            for route in (1, torch.tensor([0, 1, 2, 2, 1, 0]), lambda site, x: site % 3):
                gap = (norms(backbone, x, route) - expected).abs().max() / expected.abs().max()
                assert gap < (1e-12 if double else 1e-6)


def test_a_pass_leaves_the_backbone_unchanged() -> None:
    backbone = tiny_backbone()
    norms, key = scrambled(TaskNorms(backbone), backbone, 2), backbone.key
    with torch.no_grad():
        before = backbone(images().float())
        assert not torch.equal(norms(backbone, images().float(), 1), before)
        with pytest.raises(ZeroDivisionError):
            norms(backbone, images().float(), lambda site, x: 1 // 0)
        assert torch.equal(backbone(images().float()), before)
    assert backbone.is_pristine and backbone.key == key
    assert all("forward" not in vars(module) for module in backbone.modules())


def test_each_image_uses_the_norms_of_its_own_task() -> None:
    """Compared with stock LayerNorms that hold the values of the task, image by image."""
    backbone = tiny_backbone(depth=3).double()
    norms = scrambled(TaskNorms(backbone).double(), backbone, 3)
    tasks, x = torch.tensor([2, 0, 1, 1, 2, 0, 2]), images()
    with torch.no_grad():
        together = norms(backbone, x, tasks)
        for image, task, features in zip(x, tasks.tolist(), together, strict=True):
            stock = copy.deepcopy(backbone)
            for site, name in enumerate(norms.names):
                norm = cast(nn.LayerNorm, stock.model.get_submodule(name))
                norm.weight.copy_(norms.weights[task][site])
                norm.bias.copy_(norms.biases[task][site])
            assert torch.allclose(stock(image[None])[0], features, atol=1e-10)
            assert torch.allclose(norms(backbone, image[None], task)[0], features, atol=1e-10)


def test_twelve_blocks_have_25_sites_with_their_shares() -> None:
    norms = TaskNorms(tiny_backbone(depth=12))
    assert norms.sites == 25 and norms.shares == pytest.approx([1 / 26] * 24 + [1 / 13])
    norms.grow(tiny_backbone(depth=12))
    assert sum(parameter.numel() for parameter in norms[-1]) == 25 * 2 * 16


class _Other(nn.Module):
    num_features = 4


def test_a_backbone_without_layernorms_is_refused() -> None:
    tiny = tiny_backbone()
    with pytest.raises(UsageError, match=r"tiny lacks LayerNorms .*; choose a timm Vision Transformer"):
        TaskNorms(Backbone(_Other(), tiny.transform, tiny.identity))
