"""The embedded backbone."""

from __future__ import annotations

from typing import cast

import pytest
import timm
import torch
from timm.layers import resample_abs_pos_embed

from cl.backbone import load
from cl.backbone.options import BackboneOptions

MICRO = "vit_micro_patch4_32.tinyimagenet_distill"


def test_the_embedded_backbone_matches_its_model_card() -> None:
    backbone = load(MICRO)
    assert backbone.identity["weights_sha256"] == "4578324665dfbba0719ab7fe49420ad88c2d243864d672884975ab9a233f5a33"
    assert backbone.identity["parameters"] == 2_691_648 and backbone.dim == 192
    assert backbone.transform.size == 32 and backbone.transform.mean == (0.485, 0.456, 0.406)
    assert "overlaps with CIFAR-100" in backbone.identity["pretraining"]
    assert all(p.dtype == torch.float32 for p in backbone.parameters())
    twin = timm.create_model(MICRO, pretrained=True, num_classes=0).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(backbone(images), twin(images), atol=1e-5)


@pytest.mark.parametrize(("size", "grid"), [(48, 12), (64, 16)])
def test_another_image_size_resamples_the_position_embedding_as_timm_does(size: int, grid: int) -> None:
    native, larger = load(MICRO), load(MICRO, BackboneOptions(image_size=size))
    before, after = (cast(torch.Tensor, each.model.pos_embed) for each in (native, larger))
    stored = before.half()  # the file holds half precision
    assert torch.equal(stored.float(), before)
    assert torch.equal(after, resample_abs_pos_embed(stored, new_size=[grid, grid]).float())
    assert larger.transform.size == size and larger(torch.rand(2, 3, size, size)).shape == (2, 192)
    own, theirs = native.model.state_dict(), larger.model.state_dict()
    assert all(torch.equal(own[name], theirs[name]) for name in own if name != "pos_embed")
