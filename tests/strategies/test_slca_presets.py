"""SLCA's presets against the configurations of GengDavid/SLCA and of LAMDA-PILOT."""

from __future__ import annotations

from typing import Any

import pytest

from cl.plan.plan import Plan, make_plan
from cl.strategies.slca import SLCA

IN21K = "vit_base_patch16_224.augreg_in21k"
MOCO = "vit_base_patch16_224@moco_v3.pth"
STREAMS = ("split-cifar100", "imagenet-r", "cub-200", "stanford-cars")


def resolved(stream: str, backbone: str = IN21K, preset: str | None = None) -> Plan:
    return make_plan("slca", stream, backbone, preset=preset)


@pytest.mark.parametrize("stream", STREAMS)
def test_moco_weights_train_for_90_epochs_on_every_benchmark(stream: str) -> None:
    options = resolved(stream, MOCO).options
    assert (options.epochs, options.milestones) == (90, (80,))
    other = resolved(stream, IN21K).options
    assert (other.epochs, other.milestones) == ((20, (18,)) if stream == "split-cifar100" else (50, (40,)))
    assert options.logit_norm == other.logit_norm == (0.05 if stream == "stanford-cars" else 0.1)


@pytest.mark.parametrize("backbone", [IN21K, MOCO])
@pytest.mark.parametrize(
    ("stream", "recipe"),
    [
        ("split-cifar100", "rrc-flip-jitter"),
        ("imagenet-r", "rrc-flip"),
        ("cub-200", "resize-crop-flip"),
        ("stanford-cars", "resize-crop-flip"),
    ],
)
def test_training_images_are_cropped_as_in_the_authors_code(stream: str, recipe: str, backbone: str) -> None:
    assert resolved(stream, backbone).options.augment == recipe


@pytest.mark.parametrize(("stream", "epochs", "milestones"), [("split-cifar100", 20, 18), ("imagenet-r", 5, 40)])
def test_the_preset_pilot_has_the_values_of_pilot(stream: str, epochs: int, milestones: int) -> None:
    plan = resolved(stream, "vit_base_patch16_224", "pilot")
    expected: dict[str, Any] = {
        **{"epochs": epochs, "milestones": (milestones,), "batch_size": 64, "lr": 0.01, "backbone_lr_scale": 0.01},
        **{"weight_decay": 5e-4, "ca_epochs": 3, "logit_norm": 0.1, "fresh_norm": False},
        **{"augment": "rrc05-flip-bilinear"},
    }
    assert {name: getattr(plan.options, name) for name in expected} == expected
    assert (plan.backbone_options.normalize, plan.backbone_options.crop_pct) == ("none", 0.875)


def test_the_defaults_are_those_of_cifar_100() -> None:
    """Published presets name a part of these options and leave momentum, gamma and the alignment to the defaults."""
    expected: dict[str, Any] = {
        **{"epochs": 20, "milestones": (18,), "gamma": 0.1, "batch_size": 128, "lr": 0.01, "backbone_lr_scale": 0.01},
        **{"momentum": 0.9, "weight_decay": 5e-4, "mean_shrink": 0.1, "logit_norm": 0.1, "fresh_norm": True},
        **{"ca_epochs": 5, "ca_samples": 256, "ca_lr": 0.01},
    }
    for options in (SLCA.Options(), resolved("split-cifar100").options):
        assert {name: getattr(options, name) for name in expected} == expected
