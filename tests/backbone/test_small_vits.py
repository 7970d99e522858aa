"""Small Vision Transformers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cl.backbone import load, small_vits


@pytest.mark.parametrize(("width", "hidden", "parameters"), [(128, 256, 544_896), (512, 1024, 8_471_040)])
def test_a_name_gives_width_and_hidden_units(width: int, hidden: int, parameters: int) -> None:
    backbone = load(f"vit_{width}_{hidden}_patch4_32@random", seed=1)
    model: Any = backbone.model
    assert backbone.identity["parameters"] == parameters and backbone.dim == width and len(model.blocks) == 4
    assert model.blocks[0].mlp.fc1.out_features == hidden and model.blocks[0].attn.num_heads == 4
    with torch.no_grad():
        assert backbone(torch.zeros(2, 3, 32, 32)).shape == (2, width)


def test_the_wider_one() -> None:
    with torch.device("meta"):
        model: Any = small_vits.vit_1024_1546_patch4_32()
    assert model.blocks[0].mlp.fc1.out_features == 1546 and sum(p.numel() for p in model.parameters()) == 29_604_904
