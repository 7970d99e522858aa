"""Backbones of the Hugging Face hub, from local copies in its layouts; nothing is downloaded."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

import cl
from cl.backbone import hub, load
from cl.backbone.facts import edge, facts
from cl.backbone.options import BackboneOptions
from cl.backbone.stand_in import load_here
from cl.cli.app import cli
from cl.errors import DataError, MissingData, UsageError
from cl.files import sha256_of

pytestmark = pytest.mark.usefixtures("isolated")

NAME = "hf-hub:zoo/tiny.digits_v1"
INPUTS = {
    "tag": "digits_v1", "input_size": [3, 32, 32], "fixed_input_size": True, "interpolation": "bilinear",
    "crop_pct": 0.8, "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "num_classes": 7, "classifier": "head",
    "custom": "left out",
}  # fmt: skip
ARGUMENTS: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3}


def network() -> torch.nn.Module:
    torch.manual_seed(3)
    return timm.create_model("vit_tiny_patch16_224", num_classes=7, **ARGUMENTS)


def write(folder: Path, weights: str = "model.safetensors", *, flat: bool = False, **changed: Any) -> Path:
    """A repository as timm pushes it, or as old versions did (`flat`)."""
    folder.mkdir(parents=True)
    content: dict[str, Any] = {"architecture": "vit_tiny_patch16_224", "num_classes": 7}
    content |= INPUTS if flat else {"pretrained_cfg": INPUTS}
    content |= {"model_args": ARGUMENTS | {"num_classes": 7, "checkpoint_path": "/none"}, **changed}
    (folder / "config.json").write_text(json.dumps(content))
    state = network().state_dict()
    if weights.endswith(".safetensors"):
        save_file(state, folder / weights)
    else:
        torch.save(state, folder / weights)
    return folder


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of CLBENCH_DATA_PATH; the cache of the library is empty."""
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def features(images: torch.Tensor) -> torch.Tensor:
    """Those of the network that was written."""
    model: Any = network().eval()
    with torch.no_grad():
        features: torch.Tensor = model.forward_head(model.forward_features(images), pre_logits=True)
    return features


@pytest.mark.parametrize(
    ("where", "options"),
    [
        ("zoo/tiny.digits_v1", {}), ("weights/zoo/tiny.digits_v1", {"weights": "pytorch_model.bin"}),
        ("tiny.digits_v1", {"flat": True}),
    ],
)  # fmt: skip
def test_a_local_copy_gives_the_network_with_its_inputs(where: str, options: dict[str, Any], data: Path) -> None:
    folder = write(data / where, **options)
    backbone = load(NAME)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), features(images))
    assert backbone.dim == 48 and backbone.transform.size == 32 and backbone.transform.mean == (0.1, 0.2, 0.3)
    assert backbone.transform.crop_pct == 0.8 and backbone.transform.interpolation == "bilinear"
    file = next(folder / each for each in hub.WEIGHTS if (folder / each).is_file())
    assert backbone.identity["name"] == NAME and backbone.identity["weights_sha256"] == sha256_of(file)
    larger = load(NAME, BackboneOptions(image_size=48))
    assert larger.transform.size == 48
    with torch.no_grad():
        assert larger(torch.zeros(1, 3, 48, 48)).shape == (1, 48)


def test_the_cache_of_the_library_is_read(data: Path, tmp_path: Path) -> None:
    commit = "a" * 40
    cached = tmp_path / "hf" / "models--zoo--tiny.digits_v1"
    write(cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    assert hub.is_here(NAME) and load(NAME).dim == 48


def test_facts_and_untrained_weights(data: Path) -> None:
    folder = write(data / "zoo" / "tiny.digits_v1")
    known = facts(NAME, BackboneOptions())
    assert known["parameters"] == load(NAME).identity["parameters"] and known["dim"] == 48 and not known["hub"]
    assert known["weights"] == "zoo/tiny.digits_v1" and edge(NAME, BackboneOptions()) == 40
    drawn = load(f"{NAME}@random", seed=4)
    assert drawn.identity["weights_sha256"] == "random-4" and drawn.transform.mean == (0.1, 0.2, 0.3)
    (folder / "model.safetensors").unlink()
    assert load_here(NAME).identity["weights_sha256"].startswith("random"), "a dry run downloads nothing"


def test_a_run_and_its_description(data: Path) -> None:
    write(data / "zoo" / "tiny.digits_v1")
    result = cl.run("simplecil", "split-digits", NAME, limit=3).record["result"]
    assert result["backbone"]["name"] == NAME and result["backbone"]["input"]["crop_pct"] == 0.8
    shown = CliRunner().invoke(cli, ["info", NAME])
    assert shown.exit_code == 0 and "vit_tiny_patch16_224" in shown.output and "embed_dim=48" in shown.output


def test_what_cannot_be_read_is_one_sentence(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hf-hub:tiny", "hf-hub:a/b/c", "hf-hub:zoo/tiny@weights.pth"):
        with pytest.raises(UsageError, match="A backbone of the hub is hf-hub:ORG/NAME"):
            load(name)
    with pytest.raises(MissingData, match=r"The backbone hf-hub:zoo/none \(zoo/none/config.json\) was not found in .*"):
        load("hf-hub:zoo/none")
    write(data / "zoo" / "clip", architecture="clip_large")
    with pytest.raises(UsageError, match=r"hf-hub:zoo/clip has the architecture 'clip_large', which timm .* does not"):
        load("hf-hub:zoo/clip")
    write(data / "zoo" / "broken")
    (data / "zoo" / "broken" / "config.json").write_text("{")
    with pytest.raises(DataError, match=r"Cannot read .*config.json \(.*\); get the repository again"):
        load("hf-hub:zoo/broken")
    write(data / "zoo" / "other", model_args={**ARGUMENTS, "depth": 3})
    with pytest.raises(DataError, match=r"cannot load the weights of backbone 'hf-hub:zoo/other' from .*missing"):
        load("hf-hub:zoo/other")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"need the package huggingface_hub, .*; run: pip install huggingface_hub"):
        load("hf-hub:zoo/none")


def test_a_download_that_fails_is_one_sentence(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLBENCH_OFFLINE")

    def refused(*given: Any, local_files_only: bool = False, **more: Any) -> str:
        raise ConnectionError("the name cannot be resolved\nmore")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refused)
    sentence = r"Cannot download config.json of hf-hub:zoo/none \(the name cannot be resolved\); check the name"
    with pytest.raises(MissingData, match=sentence):
        load("hf-hub:zoo/none")
