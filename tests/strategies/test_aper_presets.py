"""APER's presets against the 35 configurations for ViT-B/16 in zhoudw-zdw/RevisitingCIL, and those of LAMDA-PILOT."""

from __future__ import annotations

import pytest

from cl.plan import presets
from cl.strategies.aper import APER

IN21K = "vit_base_patch16_224.augreg_in21k"
STREAMS = ("split-cifar100", "cub-200", "imagenet-a", "imagenet-r", "objectnet", "omnibenchmark", "vtab")
USUAL = {
    None: ("adapter", 20, 48, 0.01, 5e-4),
    "ssf": ("ssf", 20, 48, 0.01, 5e-4),
    "vpt-shallow": ("vpt-shallow", 20, 48, 0.01, 5e-4),
    "vpt-deep": ("vpt-deep", 5, 16, 0.05, 5e-4),
    "finetune": ("finetune", 5, 128, 0.01, 5e-4),
}
EXCEPTIONS = {
    (None, "imagenet-r"): ("adapter", 20, 24, 0.05, 5e-3),
    ("vpt-deep", "objectnet"): ("vpt-deep", 20, 128, 0.01, 5e-4),
    ("vpt-deep", "omnibenchmark"): ("vpt-deep", 20, 48, 0.01, 5e-4),
}
PILOT = {
    ("pilot", "split-cifar100"): ("adapter", 20, 48, 0.01, 5e-4),
    ("pilot", "imagenet-r"): ("adapter", 10, 16, 0.05, 5e-3),
}
CASES = {(name, stream): values for name, values in USUAL.items() for stream in STREAMS} | EXCEPTIONS | PILOT
NAMES = ("tuning", "epochs", "batch_size", "lr", "weight_decay")


@pytest.mark.parametrize(("name", "stream"), list(CASES))
def test_presets_have_the_values_of_the_authors_files(name: str | None, stream: str) -> None:
    defaults = APER.Options()
    found = {key: getattr(defaults, key) for key in [*NAMES, "rank", "prompts", "adapter_scale", "dropout"]}
    for preset in presets.choose("aper", stream, IN21K, name):
        found |= {key: value for key, value in preset.options.items() if key in found}
    assert tuple(found[key] for key in NAMES) == CASES[name, stream]
    assert (found["rank"], found["prompts"], found["adapter_scale"], found["dropout"]) == (64, 5, 0.1, 0.1)
