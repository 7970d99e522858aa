"""A backbone whose weights are not here is the same network with other weights, and nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cl.backbone import load
from cl.backbone import stand_in as module
from cl.backbone.options import BackboneOptions
from cl.backbone.stand_in import load_here
from cl.errors import DataError
from cl.plan.run_options import DEFAULT_BACKBONE

pytestmark = pytest.mark.usefixtures("isolated")


def test_weights_of_the_hub_are_drawn_and_the_network_is_the_same() -> None:
    name = "vit_tiny_patch16_224.augreg_in21k"
    found = load_here(name, BackboneOptions(image_size=64), seed=3)
    drawn = load(f"{name}@random", BackboneOptions(image_size=64), seed=3)
    assert found.identity["name"] == name and found.transform == drawn.transform
    for (key, tensor), (other, same) in zip(
        found.model.state_dict().items(), drawn.model.state_dict().items(), strict=True
    ):
        assert key == other and torch.equal(tensor, same)


def test_weights_that_are_here_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_here(DEFAULT_BACKBONE).identity == load(DEFAULT_BACKBONE).identity
    assert load_here("test_vit@random", seed=5).identity == load("test_vit@random", seed=5).identity
    with pytest.raises(DataError, match="There is no file"):
        load_here("test_vit@./none.pth")
    weights = load("test_vit@random", seed=1).model.state_dict()
    save_file({key: value.contiguous() for key, value in weights.items()}, tmp_path / "test_vit.r160_in1k.safetensors")
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    monkeypatch.setattr(module, "load", lambda name, *_, **__: name)
    assert load_here("test_vit.r160_in1k") == "test_vit.r160_in1k"  # type: ignore[comparison-overlap]


def test_a_clip_has_drawn_weights_in_both_towers() -> None:
    pytest.importorskip("open_clip")
    found = load_here("open_clip:ViT-B-32.openai")
    assert found.identity["name"] == "open_clip:ViT-B-32.openai" and found.text is not None
    assert found.identity["weights_sha256"] == "random-0"
    with pytest.raises(DataError, match="name weights of the hub"):  # nothing to download: as in a run
        load_here("open_clip:ViT-B-32")
