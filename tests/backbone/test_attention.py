"""Attention as plain products instead of the fused kernel."""

from __future__ import annotations

import pytest
import torch

from cl.backbone.attention import explicit, slow_to_differentiate, without_fast_path
from tests.conftest import tiny_backbone


def test_explicit_attention_equals_fused_attention_and_is_undone() -> None:
    backbone, images = tiny_backbone(depth=2).double(), torch.randn(4, 3, 8, 8, dtype=torch.float64)
    backbone.requires_grad_(True)
    attention = slow_to_differentiate([backbone], torch.device("cpu"))
    assert len(attention) == 2 and not slow_to_differentiate([backbone], torch.device("cuda"))
    fused = backbone(images)
    with pytest.raises(ZeroDivisionError), explicit(attention):
        assert not any(part.fused_attn for part in attention)
        plain = backbone(images)
        raise ZeroDivisionError
    assert all(part.fused_attn for part in attention)
    assert torch.allclose(plain, fused, atol=1e-10) and not torch.equal(plain, fused)
    for one, two in zip(
        torch.autograd.grad(plain.square().sum(), list(backbone.parameters())),
        torch.autograd.grad(fused.square().sum(), list(backbone.parameters())),
        strict=True,
    ):
        assert torch.allclose(one, two, atol=1e-8)


@pytest.mark.parametrize(("precision", "plain"), [("bf16", True), ("fp32", False)])
def test_training_in_bf16_takes_plain_attention(precision: str, plain: bool) -> None:
    backbone, seen = tiny_backbone(depth=2), list[bool]()
    backbone.precision = torch.bfloat16 if precision == "bf16" else torch.float32
    attention = slow_to_differentiate([backbone], torch.device("cpu"))
    for part in attention:
        part.register_forward_pre_hook(lambda module, _: seen.append(not module.fused_attn))
    backbone(torch.randn(2, 3, 8, 8))
    assert seen == [plain, plain] and all(part.fused_attn for part in attention)


def test_the_fast_path_of_multi_head_attention_is_left_and_comes_back() -> None:
    before = torch.backends.mha.get_fastpath_enabled()
    with pytest.raises(ZeroDivisionError), without_fast_path():
        assert not torch.backends.mha.get_fastpath_enabled()
        raise ZeroDivisionError
    assert torch.backends.mha.get_fastpath_enabled() == before
