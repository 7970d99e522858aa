"""Forward passes without gradients on a CPU equal PyTorch's own kernels."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cl.backbone import Backbone, inference, load
from cl.backbone import model as backbone_model
from cl.parts.weights.lend import Lent
from cl.plan.run_options import DEFAULT_BACKBONE
from cl.training.cost import count_flops

pytestmark = pytest.mark.skipif(not inference.available(), reason="PyTorch has no packed layers on this machine")


@pytest.fixture(scope="module")
def micro() -> Backbone:
    return load(DEFAULT_BACKBONE)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def plain(backbone: Backbone, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """Features by PyTorch's own kernels."""
    with monkeypatch.context() as patch, torch.no_grad():
        patch.setattr(backbone_model, "_infers", lambda images: False)
        features: torch.Tensor = backbone(images)
    return features


def counted_packings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that gets an entry for each weight that is packed."""
    calls: list[int] = []
    pack = torch.ops.mkldnn._reorder_linear_weight

    def counting(weight: torch.Tensor, rows: int) -> torch.Tensor:
        calls.append(rows)
        packed: torch.Tensor = pack(weight, rows)
        return packed

    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", counting)
    return calls


def test_features_in_fp32_equal_those_of_the_plain_kernels(
    micro: Backbone, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    packings = counted_packings(monkeypatch)
    micro._inference._packed.clear()
    with torch.no_grad():
        features = micro(images)
        assert len(packings) == 24  # four linear layers in each of six blocks
        assert torch.equal(features, micro(images)) and len(packings) == 24
        assert torch.equal(features[:4], micro(images[:4]))  # does not depend on the other images of a batch
    assert torch.allclose(features, plain(micro, images, monkeypatch), atol=1e-5)
    trained = micro(images)
    assert trained.grad_fn is None and len(packings) == 24  # with gradients enabled: the plain kernels


def test_features_in_bf16_differ_by_its_rounding(images: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    exact, half = load(DEFAULT_BACKBONE), load(DEFAULT_BACKBONE, precision="bf16")
    with torch.no_grad():
        features, truth = half(images), exact(images)
    before = plain(half, images, monkeypatch)
    assert not torch.equal(features, before)
    error, error_before = ((each - truth).abs().mean() for each in (features, before))
    assert error < 1.1 * error_before < 0.01


def test_a_changed_weight_is_packed_again(images: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = load(DEFAULT_BACKBONE)
    with torch.no_grad():
        before = backbone(images)
        weight = dict(backbone.model.named_parameters())["blocks.2.mlp.fc1.weight"]
        packings = counted_packings(monkeypatch)
        weight.mul_(0.5)
        changed = backbone(images)
        assert len(packings) == 1
    assert not torch.allclose(changed, before, atol=1e-3)
    assert torch.allclose(changed, plain(backbone, images, monkeypatch), atol=1e-5)
    weight.data = 2 * weight.data  # another tensor under the same parameter
    with torch.no_grad():
        assert torch.allclose(backbone(images), before, atol=1e-5)


def test_a_copy_packs_its_own_weights(micro: Backbone, images: torch.Tensor) -> None:
    with torch.no_grad():
        before = micro(images)
        other = copy.deepcopy(micro)
        dict(other.model.named_parameters())["blocks.0.mlp.fc1.weight"].zero_()
        assert not other._inference._packed and micro._inference._packed
        assert not torch.allclose(other(images), before, atol=1e-3)
        assert torch.equal(micro(images), before)


def test_lent_weights_have_the_kernel_of_parameters(
    micro: Backbone, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent = {name: value.detach().clone() for name, value in micro.model.named_parameters()}
    assert torch.equal(Lent(micro, lent, "lent")(images), Lent(micro, key="lent")(images))
    packings = counted_packings(monkeypatch)
    Lent(micro, lent, "lent")(images)
    assert not packings  # they are packed already


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_features_do_not_depend_on_the_size_of_the_batch(precision: str, images: torch.Tensor) -> None:
    backbone = load(DEFAULT_BACKBONE, precision=precision)
    with torch.no_grad():
        whole = backbone(images)
        for size in (1, 3, 4):
            assert torch.equal(backbone(images[:size]), whole[:size])


def test_other_types_and_inputs_under_vmap_take_the_plain_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    packings = counted_packings(monkeypatch)
    layer, x = nn.Linear(16, 4), torch.randn(5, 3, 16)
    with torch.no_grad(), inference.CpuInference():
        nn.Linear(16, 4).double()(x.double())
        layer(x[:0])
        mapped = torch.func.vmap(layer)(x)
        assert not packings
        assert torch.allclose(layer(x), mapped, atol=1e-6) and len(packings) == 1


def test_packed_weights_do_not_keep_a_dropped_layer() -> None:
    mode, x, layer = inference.CpuInference(), torch.randn(5, 8), nn.Linear(8, 8)
    with torch.no_grad(), mode:
        layer(x)
    dropped = weakref.ref(layer.weight)
    assert len(mode._packed) == 1
    del layer
    gc.collect()
    assert dropped() is None and len(mode._packed) == 0


def test_flops_do_not_depend_on_the_kernel(
    micro: Backbone, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.no_grad():
        fast = count_flops(lambda: micro(images))[1]
    assert fast == count_flops(lambda: plain(micro, images, monkeypatch))[1] > 1e9


def test_attention_with_a_mask_dropout_or_in_fp32_takes_the_plain_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(inference, "_attend", lambda q, k, v: calls.append("plain products"))
    q = torch.randn(2, 1, 3, 4)
    with torch.no_grad(), inference.CpuInference():
        F.scaled_dot_product_attention(q, q, q)
        half = q.bfloat16()
        F.scaled_dot_product_attention(half, half, half, attn_mask=torch.zeros(3, 3, dtype=torch.bfloat16))
        F.scaled_dot_product_attention(half, half, half, is_causal=True)
        assert not calls
        F.scaled_dot_product_attention(half, half, half, dropout_p=0.0)
    assert calls == ["plain products"]
