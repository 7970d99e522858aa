"""Factors by depth: the blocks of networks, LiNeS, and groups of blocks."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch

from cl.parts.merging import depths, group_factors, lines_factors, scaled
from tests.help.merging import close, refused, times, vectors

VIT = ["cls_token", "patch_embed.proj.weight", *(f"blocks.{n}.mlp.fc1.weight" for n in range(4)), "norm.weight"]


def blocks_of(name: str) -> dict[str, int | None]:
    model: Any = timm.create_model(name, num_classes=0)
    return depths(list(model.state_dict()))


@pytest.mark.parametrize(
    ("name", "count", "outside"),
    [
        ("test_vit", 6, {"cls_token", "pos_embed", "patch_embed.proj.weight", "norm.weight"}),
        ("test_resnet", 4, {"conv1.0.weight"}),
        ("test_convnext", 9, {"stem.0.weight"}),
        ("test_efficientnet", 5, {"conv_stem.weight", "conv_head.weight"}),
    ],
)
def test_networks_have_blocks_from_input_to_output(name: str, count: int, outside: set[str]) -> None:
    found = blocks_of(name)
    inside = [depth for depth in found.values() if depth is not None]
    assert inside == sorted(inside) and set(inside) == set(range(count))
    assert outside <= {tensor for tensor, depth in found.items() if depth is None}


def test_numbers_of_other_modules_are_no_blocks() -> None:
    found = depths(["blocks.2.mlp.0.weight", "blocks.10.attn.qkv.weight", "head.3.weight", "myblocks.4.weight"])
    assert list(found.values()) == [0, 1, None, None]


def test_factors_grow_from_alpha_to_alpha_plus_beta() -> None:
    factors = lines_factors(VIT, 0.25, 0.75)
    assert [factors[name] for name in VIT[2:-1]] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert factors["cls_token"] == factors["norm.weight"] == 0.25, "outside of blocks: alpha"
    assert set(lines_factors(VIT, 1.0, 0.0).values()) == {1.0}, "the identity"
    assert set(lines_factors(VIT, 0.0, 0.0).values()) == {0.0}, "the pretrained weights"
    assert lines_factors(["blocks.0.weight"], 0.5, 1.0) == {"blocks.0.weight": 0.5}


def test_scaling_is_linear_in_the_vector() -> None:
    one, two = vectors(2)
    factors = lines_factors(list(one), 0.2, 0.3)
    both = scaled({name: 2 * one[name] + two[name] for name in one}, factors)
    close(both, {name: 2 * scaled(one, factors)[name] + scaled(two, factors)[name] for name in one})
    close(scaled(one, dict.fromkeys(one, 1.0)), one, atol=0)
    close(scaled(one, dict.fromkeys(one, 0.0)), times(0.0, one), atol=0)


def test_groups_of_blocks_have_their_coefficients() -> None:
    factors = group_factors(VIT, [0.1, 0.9])
    assert [factors[name] for name in VIT] == [0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9]
    assert set(group_factors(VIT, [0.4]).values()) == {0.4}
    four = group_factors(VIT, [0.1, 0.2, 0.3, 0.4])
    assert [four[name] for name in VIT[2:]] == [0.1, 0.2, 0.3, 0.4, 0.4]


def test_what_has_no_depth_is_refused() -> None:
    refused(lambda: depths(["fc.weight", "fc.bias"]), "no numbered blocks to scale by depth")
    refused(lambda: group_factors(VIT, []), "0 coefficients cannot be spread over 4 blocks; give 1 to 4")
    refused(lambda: group_factors(VIT, [1.0] * 5), "5 coefficients cannot be spread over 4 blocks")


def test_factors_are_applied_by_name() -> None:
    assert torch.equal(scaled({"a": torch.ones(2)}, {"a": 0.5})["a"], torch.full((2,), 0.5))
