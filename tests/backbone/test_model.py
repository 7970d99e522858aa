"""Backbones: identity, transform from the weights, and which tensors belong to a learner's state."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from cl import registry
from cl.backbone import Backbone, load
from cl.backbone.options import BackboneOptions
from cl.errors import ContractError, DataError, UsageError
from tests.conftest import tiny_backbone

MICRO = "vit_micro_patch4_32.tinyimagenet_distill"


def test_an_untrained_backbone_depends_on_its_seed_only() -> None:
    torch.manual_seed(1)
    one, two, other = (load("test_vit@random", seed=seed) for seed in (0, 0, 1))
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(1)), "loading does not use the global generator"
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert one.key == two.key != other.key
    assert one.identity["weights_sha256"] == "random-0" and one.identity["pretraining"] == "none"


def test_local_file_and_normalisation_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    model = timm.create_model("test_vit", num_classes=0)
    save_file(timm.create_model("test_vit", num_classes=7).state_dict(), str(folder / "with_head.safetensors"))
    save_file(model.state_dict(), str(folder / "mine.safetensors"))
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(folder.parent))
    backbone = load("test_vit@mine.safetensors", BackboneOptions(normalize="none", crop_pct=0.5))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), backbone.parameters(), strict=True))
    assert backbone.transform.mean == (0, 0, 0) and backbone.transform.crop_pct == 0.5
    assert load("test_vit@with_head.safetensors").dim == backbone.dim, "a classifier in the file is skipped"
    with pytest.raises(DataError, match=r"cannot load the weights of backbone 'vit_tiny_patch16_224@mine"):
        load("vit_tiny_patch16_224@mine.safetensors")


def test_unknown_and_missing_backbones_name_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"unknown backbone 'vit_bse_patch16_224'.*Did you mean vit_base_patch16_224"):
        load("vit_bse_patch16_224")
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    with pytest.raises(DataError, match="CLBENCH_OFFLINE is set; unset it"):
        load("vit_tiny_patch16_224.augreg_in21k")
    with pytest.raises(DataError, match=r"'nowhere\.safetensors' was not found"):
        load("vit_tiny_patch16_224@nowhere.safetensors")


def test_state_holds_only_what_changed() -> None:
    backbone = tiny_backbone()
    assert backbone.is_pristine and backbone.get_state() == {}
    pristine = backbone.key
    weight = backbone.model.blocks[0].attn.qkv.weight  # type: ignore[index, union-attr]
    torch.optim.SGD([weight.requires_grad_(True)], lr=0.1).zero_grad()
    weight.grad = torch.ones_like(weight)
    torch.optim.SGD([weight], lr=0.1, foreach=True).step()
    assert list(backbone.get_state()) == ["blocks.0.attn.qkv.weight"]
    assert backbone.key != pristine and backbone.key == backbone.key
    fresh = tiny_backbone()
    fresh.set_state(backbone.get_state())
    assert fresh.key == backbone.key and list(fresh.get_state()) == list(backbone.get_state())
    with pytest.raises(ContractError, match="setup\\(\\) did not create"):
        fresh.set_state({"adapter.weight": torch.ones(1)})


def train(backbone: Backbone) -> None:
    """Take one step on every parameter, with batch statistics."""
    backbone.train().requires_grad_(True)
    optimizer = torch.optim.SGD(backbone.parameters(), lr=0.1)
    backbone(torch.randn(4, 3, backbone.transform.size, backbone.transform.size)).square().mean().backward()
    optimizer.step()
    backbone.eval().requires_grad_(False)


@pytest.mark.parametrize("name", ["test_vit@random", "test_resnet@random", MICRO])
def test_reset_undoes_training(name: str) -> None:
    backbone = load(name, seed=5)
    key, before = backbone.key, {k: v.clone() for k, v in backbone.model.state_dict().items()}
    backbone.reset()  # nothing is trained, so no kept weights are needed
    backbone.keep_pretrained()
    for _ in range(2):
        train(backbone)
        assert not backbone.is_pristine and backbone.key != key
        assert all(torch.equal(backbone.pretrained()[k], v) for k, v in before.items()), "for any trained tensor"
        backbone.reset()
        assert backbone.is_pristine and backbone.key == key and backbone.get_state() == {}
        assert all(torch.equal(backbone.model.state_dict()[k], v) for k, v in before.items())


def test_reset_restores_a_replaced_norm_also_after_a_move() -> None:
    backbone = tiny_backbone()
    backbone.replace_final_norm()
    backbone.keep_pretrained()
    before = {k: v.double() for k, v in backbone.model.state_dict().items()}
    train(backbone)
    changed = set(backbone.get_state())
    backbone.double()
    assert set(backbone.get_state()) == changed
    backbone.reset()
    assert all(torch.equal(backbone.model.state_dict()[k], v) for k, v in before.items())
    assert set(backbone.get_state()) == {"norm.weight", "norm.bias"}, "a fresh norm is not what was loaded"


def test_reset_needs_kept_weights() -> None:
    backbone = load("test_resnet@random")
    train(backbone)
    for call in (backbone.reset, backbone.keep_pretrained, backbone.pretrained):
        with pytest.raises(ContractError, match=r"call (backbone\.)?keep_pretrained\(\) in setup"):
            call()
    fresh = load("test_resnet@random")
    fresh.train()
    fresh(torch.randn(4, 3, 64, 64))
    with pytest.raises(ContractError, match="running_mean of the backbone was trained already"):
        fresh.keep_pretrained()


def test_moving_keeps_pristine_tensors_pristine() -> None:
    backbone = tiny_backbone()
    backbone.replace_final_norm()
    backbone.double()
    assert set(backbone.get_state()) == {"norm.weight", "norm.bias"}


def test_replacing_the_final_norm() -> None:
    backbone = tiny_backbone()
    backbone.replace_final_norm()
    norm = backbone.model.norm
    assert isinstance(norm, nn.LayerNorm) and norm.eps == 1e-5
    assert torch.equal(norm.weight, torch.ones(16)) and torch.equal(norm.bias, torch.zeros(16))
    with torch.no_grad():
        features = backbone(torch.randn(4, 3, 8, 8))
    assert torch.allclose(features.norm(dim=1), torch.full((4,), 4.0), atol=0.1)  # sqrt(dim), less eps
    with pytest.raises(UsageError, match="no final LayerNorm"):
        load("test_resnet@random").replace_final_norm()


def test_batch_norm_statistics_count_as_changed() -> None:
    backbone = load("test_resnet@random")
    backbone.train()
    backbone(torch.randn(4, 3, 64, 64))
    assert any("running_mean" in name for name in backbone.get_state())


def test_bf16_features_are_float32_and_have_their_own_key() -> None:
    full, half = load(MICRO), load(MICRO, precision="bf16")
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        a, b = full(images), half(images)
    assert b.dtype == torch.float32 and full.key != half.key
    assert torch.nn.functional.cosine_similarity(a, b).min() > 0.99


class Acme(nn.Module):
    """A network that timm does not know."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, width))
        self.pretrained_cfg = {"input_size": (3, 8, 8), "mean": (0.5,) * 3, "std": (0.5,) * 3}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.body(images))


def acme(pretrained: bool = False, **kwargs: Any) -> Acme:
    """Two widths, by tag; its pretrained weights are ones."""
    model = Acme(6 if kwargs.get("pretrained_cfg") == "wide" else 4)
    if pretrained:
        model.requires_grad_(False).body[1].weight.fill_(1)  # type: ignore[operator]
    return model


def weight(backbone: Backbone) -> torch.Tensor:
    return backbone.model.state_dict()["body.1.weight"]


def test_a_registered_factory_builds_the_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(registry.backbones, "_registered", {})
    registry.backbones.register("acme_net", acme)
    assert not timm.is_model("acme_net")
    backbone, wide, drawn = load("acme_net"), load("acme_net.wide"), load("acme_net@random", seed=3)
    assert (backbone.dim, wide.dim, drawn.dim) == (4, 6, 4) and backbone.transform.size == 8
    assert torch.equal(weight(backbone), torch.ones(4, 192)) and backbone(torch.rand(2, 3, 8, 8)).shape == (2, 4)
    assert torch.equal(weight(load("acme_net@random", seed=3)), weight(drawn))
    assert len(backbone.identity["weights_sha256"]) == 64 and drawn.identity["weights_sha256"] == "random-3"
    save_file(drawn.model.state_dict(), str(tmp_path / "mine.safetensors"))
    read = load(f"acme_net@{tmp_path / 'mine.safetensors'}")
    assert torch.equal(weight(read), weight(drawn))
    with pytest.raises(DataError, match=r"cannot load the weights of backbone 'acme_net\.wide@"):
        load(f"acme_net.wide@{tmp_path / 'mine.safetensors'}")
    with pytest.raises(UsageError, match="Did you mean acme_net"):
        load("acme_nett")


@pytest.mark.parametrize("name", ["test_vit@random", "test_resnet@random"])
def test_images_of_another_size_fit_every_architecture(name: str) -> None:
    backbone = load(name, BackboneOptions(image_size=64))
    assert backbone.transform.size == 64
    assert backbone(torch.rand(2, 3, 64, 64)).shape == (2, backbone.dim)


@pytest.mark.parametrize(
    ("name", "size", "least"),
    [
        ("resnet18_32@random", 0, 1),
        ("resnet18@random", 32, 2),
        ("test_resnet@random", 64, 1),
        ("test_vit@random", 0, 1),
        ("wsn_alexnet@random", 0, 2),
    ],
)
def test_the_least_batch_is_two_if_a_batch_norm_sees_one_value(name: str, size: int, least: int) -> None:
    backbone = load(name, BackboneOptions(image_size=size))
    assert backbone.least_batch == least
    assert backbone.is_pristine and not any(module._forward_pre_hooks for module in backbone.modules())
    one = torch.rand(1, 3, backbone.transform.size, backbone.transform.size)
    backbone.train()
    if least == 1:
        backbone(one)
    else:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            backbone(one)
