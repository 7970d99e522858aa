"""RanPAC's presets against the configurations of LAMDA-PILOT."""

from __future__ import annotations

import pytest

from cl.plan.plan import make_plan

BACKBONE = "vit_base_patch16_224.augreg_in21k_ft_in1k"


@pytest.mark.parametrize(
    ("stream", "values"), [("split-cifar100", (20, 48, 0.01, 5e-4)), ("imagenet-r", (10, 16, 0.05, 5e-3))]
)
def test_the_preset_pilot_has_the_values_of_pilot(stream: str, values: tuple[int, int, float, float]) -> None:
    plan = make_plan("ranpac", stream, BACKBONE, preset="pilot")
    options = plan.options
    assert (options.epochs, options.batch_size, options.lr, options.weight_decay) == values
    assert options.tuning == "adapter" and options.legacy_cosine and options.width == 10_000
    assert plan.backbone_options.crop_pct == 0.875, "PILOT resizes test images to 256 and crops them to 224"


def test_the_authors_code_does_not_crop_test_images_of_cifar() -> None:
    assert make_plan("ranpac", "split-cifar100", BACKBONE).backbone_options.crop_pct == 1.0
    assert make_plan("joint", "split-cifar100", BACKBONE).backbone_options.crop_pct == 1.0


@pytest.mark.parametrize("method", ["ranpac", "aper", "mos", "ease", "layernorm", "joint"])
def test_training_crops_of_the_papers_presets_are_bilinear_and_test_images_keep_the_weights_filter(
    method: str,
) -> None:
    plan = make_plan(method, "split-cifar100", BACKBONE)
    assert plan.options.augment == "rrc05-flip-bilinear"
    assert plan.backbone_options.interpolation == "weights"
