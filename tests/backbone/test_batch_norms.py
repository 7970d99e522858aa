"""Batch norms of a network, and the images that a training batch needs for them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl.backbone.batch_norms import has_batch_norms, least_batch


def test_a_batch_norm_is_found_at_any_depth() -> None:
    assert has_batch_norms([nn.Linear(2, 2), nn.Sequential(nn.Sequential(nn.BatchNorm1d(2)))])
    assert not has_batch_norms([nn.Linear(2, 2), nn.LayerNorm(2)]) and not has_batch_norms([])


@pytest.mark.parametrize(
    ("model", "least"),
    [
        (nn.BatchNorm2d(3), 1),  # 16 values per channel
        (nn.Sequential(nn.AvgPool2d(4), nn.BatchNorm2d(3)), 2),
        (nn.Sequential(nn.Flatten(), nn.BatchNorm1d(48)), 2),
        (nn.Flatten(), 1),
    ],
)
def test_one_value_per_channel_needs_two_images(model: nn.Module, least: int) -> None:
    assert least_batch(model.eval(), torch.zeros(1, 3, 4, 4)) == least
    if least == 2:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            model.train()(torch.zeros(1, 3, 4, 4))


def test_a_network_is_left_without_hooks() -> None:
    model = nn.BatchNorm2d(3).eval()
    least_batch(model, torch.zeros(1, 3, 4, 4))
    assert not model._forward_pre_hooks
