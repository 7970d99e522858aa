"""Second moments of the inputs of layers."""

from __future__ import annotations

from typing import Any, cast

import torch

from cl.parts.statistics import InputMoments
from cl.testing import tiny_backbone
from tests.help.attached_parts import draw, images


def test_moments_are_means_over_the_tokens_of_all_images() -> None:
    backbone = tiny_backbone().double()
    blocks = [cast(Any, block) for block in cast(Any, backbone.model).blocks]
    seen: list[list[torch.Tensor]] = [[], []]
    hooks = [
        block.attn.register_forward_pre_hook(lambda _, given, number=number: seen[number].append(given[0]))
        for number, block in enumerate(blocks)
    ]
    moments = InputMoments([block.attn for block in blocks])
    with torch.no_grad(), moments.measuring():
        for part in images(7).split([4, 3]):
            backbone(part)
    for hook in hooks:
        hook.remove()
    for found, inputs in zip(moments.values(), seen, strict=True):
        rows = torch.cat([each.flatten(0, 1) for each in inputs])
        assert len(rows) == 7 * 5, "a class token and four patches"
        assert found.dtype == torch.float64
        assert torch.allclose(found, rows.T @ rows / len(rows), atol=1e-12)
    assert all("forward" not in vars(block.attn) for block in blocks)


def test_outputs_are_those_of_the_layer_and_later_passes_are_not_counted() -> None:
    layer, x = torch.nn.Linear(3, 2).double(), draw(4, 3)
    moments = InputMoments([layer])
    with moments.measuring():
        assert torch.equal(layer(x), x @ layer.weight.T + layer.bias)
    layer(100 * x)
    assert torch.allclose(moments.values()[0], x.T @ x / 4)


def test_products_are_formed_in_float32_under_bf16_autocast() -> None:
    layer, x = torch.nn.Linear(6, 2), draw(300, 6).float()
    x[:, 5] = x[:, :5].sum(1)  # so that the least eigenvalue is 0
    moments = InputMoments([layer])
    with moments.measuring(), torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    found, wide = moments.values()[0], x.double()
    assert torch.allclose(found, wide.T @ wide / 300, rtol=1e-5, atol=1e-6)
    assert torch.linalg.eigvalsh(found)[0] > -1e-6
