"""Batch norms by the statistics of one batch or of one task."""

from __future__ import annotations

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor
from torch.nn import functional as F

from cl.parts.statistics.batch_norms import TaskStatistics, batch_statistics
from cl.parts.weights.lend import under
from cl.testing import tiny_backbone
from tests.help.backbones import conv_backbone


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 6, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=generator(seed))


def test_batch_statistics_normalise_by_the_batch_and_change_no_buffer() -> None:
    backbone, reference = conv_backbone(), conv_backbone()
    for name in ("bn1", "bn2"):
        reference.model.get_submodule(name).train()
    x = images()
    with batch_statistics(backbone):
        assert torch.equal(backbone(x), reference(x))
        assert torch.isfinite(backbone(x[:1])).all(), "one image has no variance"
        backbone.train()
        backbone(x)
    assert backbone.is_pristine


def test_statistics_of_a_task_are_measured_on_its_images_without_dropout() -> None:
    backbone, reference = conv_backbone(), conv_backbone()
    statistics, x = TaskStatistics(backbone), images(8)
    statistics.add(backbone, [x], backbone)
    statistics.add(backbone, [2 * x, -x], backbone)
    for name in ("bn1", "bn2"):
        reference.model.get_submodule(name).train()
    assert torch.allclose(under(backbone, statistics.of(0), x), reference(x), atol=1e-5)
    assert not torch.allclose(under(backbone, statistics.of(1), x), reference(x), atol=1e-2)
    first = F.conv2d(torch.cat([2 * x, -x]), backbone.model.get_parameter("conv1.weight"))
    mean = statistics.of(1)["bn1.running_mean"]
    assert torch.allclose(mean, first.mean((0, 2, 3)), atol=1e-6)
    other = TaskStatistics(backbone)
    other.set_state(statistics.get_state())
    assert torch.equal(other.of(1)["bn2.running_var"], statistics.of(1)["bn2.running_var"])
    assert backbone.is_pristine


def test_a_vision_transformer_has_no_statistics() -> None:
    backbone = tiny_backbone()
    statistics = TaskStatistics(backbone)
    statistics.add(backbone, [images()], lambda x: pytest.fail("no pass is needed"))
    assert statistics.of(0) == {} and isinstance(backbone.model, VisionTransformer)
