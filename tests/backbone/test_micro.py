"""The embedded backbone."""

from __future__ import annotations

import timm
import torch

from cl.backbone import load

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
        assert torch.equal(backbone(images), twin(images))
