"""EASE's presets against the configurations of sun-hailong/CVPR24-Ease, for both kinds of weights."""

from __future__ import annotations

import pytest

from cl.plan import presets
from cl.strategies.ease import EASE

IN21K = "vit_base_patch16_224.augreg_in21k"
IN1K = "vit_base_patch16_224.augreg_in21k_ft_in1k"
SHARED = {
    "split-cifar100": (20, 48, 0.025, 5e-4, 64, 0.1, 0.0, "sgd"),
    "imagenet-r": (20, 16, 0.05, 5e-3, 64, 0.1, 0.0, "sgd"),
    "imagenet-a": (20, 32, 0.05, 5e-3, 64, 0.1, 0.0, "sgd"),
    "vtab": (45, 16, 0.03, 5e-3, 16, 0.1, 0.0, "sgd"),
}
VALUES = {
    IN21K: SHARED
    | {
        "cub-200": (20, 32, 0.008, 5e-4, 64, 0.05, 0.0, "sgd"),
        "objectnet": (25, 48, 0.05, 5e-3, 64, 0.2, 0.0, "sgd"),
    },
    IN1K: SHARED
    | {
        "cub-200": (20, 16, 0.005, 5e-4, 64, 0.005, 1.0, "sgd"),
        "objectnet": (20, 48, 0.03, 5e-3, 64, 0.1, 0.0, "adam"),
    },
}
NAMES = ("epochs", "batch_size", "lr", "weight_decay", "rank", "alpha", "beta", "optimizer")
CASES = [(backbone, stream) for backbone, streams in VALUES.items() for stream in streams]


@pytest.mark.parametrize(("backbone", "stream"), CASES)
def test_presets_have_the_values_of_the_authors_files(backbone: str, stream: str) -> None:
    defaults = EASE.Options()
    found = {name: getattr(defaults, name) for name in NAMES}
    for preset in presets.choose("ease", stream, backbone):
        found |= {name: value for name, value in preset.options.items() if name in found}
    assert tuple(found.values()) == VALUES[backbone][stream]


def test_the_default_weights_of_the_architecture_are_those_of_imagenet_1k() -> None:
    chosen = presets.choose("ease", "cub-200", "vit_base_patch16_224")
    assert chosen[-1].options["beta"] == 1.0
