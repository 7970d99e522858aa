"""The facts of a backbone: measured once, kept by runs, and read by dry runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cl import registry
from cl.backbone import facts as module
from cl.backbone import load
from cl.backbone.facts import edge, facts, keep
from cl.backbone.options import BackboneOptions
from cl.cli import call
from cl.errors import DataError, UsageError
from cl.paths import look_only
from cl.plan.run_options import DEFAULT_BACKBONE

pytestmark = pytest.mark.usefixtures("isolated")

DRY = ["run", "-s", "slca", "--stream", "split-cifar100", "--dry-run"]
"""Without the images nothing else asks for timm."""


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "home").glob("backbones/*"))


@pytest.mark.parametrize("name", [DEFAULT_BACKBONE, "vit_tiny_patch16_224.augreg_in21k@random", "resnet18_32@random"])
def test_the_edge_is_the_size_that_the_transform_does_not_change(name: str) -> None:
    for options in (BackboneOptions(), BackboneOptions(image_size=64, crop_pct=0.5)):
        transform = load(name, options).transform
        assert edge(name, options) == round(transform.size / transform.crop_pct)
    assert edge("resnet50.a1_in1k@random", BackboneOptions()) == round(224 / 0.95), "of the tag"


def test_facts_are_those_of_the_backbone(tmp_path: Path) -> None:
    found = facts(DEFAULT_BACKBONE, BackboneOptions())
    assert found["parameters"] == load(DEFAULT_BACKBONE).identity["parameters"]
    assert found["forward_flops"] == 365_695_488
    assert found["weights"].endswith("vit_micro_patch4_32.safetensors") and not found["hub"]
    assert [json.loads(path.read_text())["parameters"] for path in kept(tmp_path)] == [found["parameters"]]
    larger = facts(DEFAULT_BACKBONE, BackboneOptions(image_size=64))
    assert larger["forward_flops"] > 3 * found["forward_flops"] and len(kept(tmp_path)) == 2
    untrained = facts(f"{DEFAULT_BACKBONE}@random", BackboneOptions())
    assert untrained == {**found, "name": f"{DEFAULT_BACKBONE}@random", "weights": "random"}
    with pytest.raises(DataError, match="There is no file"):
        facts(f"{DEFAULT_BACKBONE}@./none.pth", BackboneOptions())
    with pytest.raises(UsageError, match="unknown backbone"):
        facts("vit_micro_patch4_33", BackboneOptions())
    hub = facts("vit_tiny_patch16_224.augreg_in21k", BackboneOptions())
    assert hub["hub"] and "augreg_in21k" in hub["weights"]


def test_a_dry_run_reads_the_facts_and_writes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLBENCH_OFFLINE")  # so the run, of which the data is not here, could begin
    assert call(DRY) == 0
    measured = capsys.readouterr().out
    assert kept(tmp_path) == []
    keep(DEFAULT_BACKBONE, BackboneOptions())
    code = f"import sys; from cl.cli import call; assert call({DRY}) == 0; assert 'timm' not in sys.modules"
    found = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    assert found.stdout == measured


def test_a_run_keeps_the_facts_of_its_backbone(tmp_path: Path) -> None:
    command = ["run", "-s", "simplecil", "--stream", "split-digits", "--limit", "2", "--max-tasks", "1", "-q"]
    assert call(command) == 0
    (file,) = kept(tmp_path)
    before = file.stat().st_mtime_ns
    assert call([*command, "--seed", "7"]) == 0
    assert [path.stat().st_mtime_ns for path in kept(tmp_path)] == [before]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"parameters": 1}'])
def test_a_damaged_file_is_measured_again(content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = facts(DEFAULT_BACKBONE, BackboneOptions())
    (file,) = kept(tmp_path)
    whole = file.read_text()
    file.write_text(content)
    with look_only():
        assert facts(DEFAULT_BACKBONE, BackboneOptions()) == found
    assert file.read_text() == content and "is damaged" in caplog.text
    assert facts(DEFAULT_BACKBONE, BackboneOptions()) == found and file.read_text() == whole


def test_facts_of_other_code_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "timm" / "models" / "vit.py"
    source.parent.mkdir(parents=True)
    source.write_text("A = 1")
    spec: Any = type("Spec", (), {"submodule_search_locations": [str(tmp_path / "timm")]})
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: spec)
    before = module._path("vit_tiny_patch16_224", 0)
    assert module._path("vit_tiny_patch16_224", 0) == before
    source.write_text("A = 22")
    assert module._path("vit_tiny_patch16_224", 0) != before
    os.utime(source, ns=(0, 1))
    assert len({before, *(module._path("vit_tiny_patch16_224", size) for size in (0, 64))}) == 3


def test_the_backbone_of_a_plugin_is_measured_each_time(tmp_path: Path) -> None:
    import timm

    def mine(pretrained: bool = False, **arguments: Any) -> Any:
        return timm.create_model("test_vit", pretrained=pretrained, **arguments)

    registry.backbones.register("mine", mine)
    try:
        found = facts("mine@random", BackboneOptions())
        keep("mine@random", BackboneOptions())
    finally:
        registry.backbones.unregister("mine")
    assert found["parameters"] == facts("test_vit@random", BackboneOptions())["parameters"]
    assert len(kept(tmp_path)) == 1  # of test_vit, which is a model of timm
