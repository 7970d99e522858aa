"""CLIPs of open_clip as backbones: names, weights of both towers, and what is refused."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cl import registry
from cl.backbone import clip, library, load
from cl.backbone.facts import facts
from cl.backbone.options import BackboneOptions
from cl.cli import call
from cl.errors import DataError, UsageError

pytestmark = pytest.mark.usefixtures("isolated")

TINY = "open_clip:tiny_clip"


def saved(path: Path, seed: int = 3) -> Path:
    """A file with the weights of both towers."""
    config = library.open_clip().get_model_config("tiny_clip")
    config.pop("custom_text")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = library.open_clip().CustomTextCLIP(**config)
    save_file({name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}, path)
    return path


def test_a_file_gives_both_towers_and_one_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "tiny_clip.safetensors")
    backbone = load(f"{TINY}@{path}")
    tensors = load_file(path)
    assert torch.equal(backbone.model.state_dict()["visual.proj"].half(), tensors["visual.proj"])
    assert backbone.text is not None
    assert torch.equal(backbone.text.embedding.weight.half(), tensors["text.token_embedding.weight"])
    assert backbone(torch.zeros(2, 3, 8, 8)).shape == (2, 24) and backbone.dim == 24
    tensors["text.token_embedding.weight"][0, 0] += 1
    save_file(tensors, other := tmp_path / "other.safetensors")
    changed = load(f"{TINY}@{other}")
    assert changed.identity["weights_sha256"] != backbone.identity["weights_sha256"], "the text tower counts"
    assert changed.key.split(":")[-4] != backbone.key.split(":")[-4]
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    found = load(TINY)
    assert found.identity["weights_sha256"] == backbone.identity["weights_sha256"] and found.identity["name"] == TINY


def test_the_image_tower_trains_and_resets_and_the_text_tower_is_no_state() -> None:
    backbone = load(f"{TINY}@random", seed=1)
    backbone.keep_pretrained()
    assert backbone.is_pristine and backbone.pretrained().keys() >= {"visual.proj"}
    key, before = backbone.key, backbone.model.visual.proj.clone()  # type: ignore[union-attr, operator]
    with torch.no_grad():
        backbone.model.visual.proj.add_(1)  # type: ignore[union-attr, operator]
    assert list(backbone.get_state()) == ["visual.proj"] and backbone.key != key
    backbone.reset()
    assert backbone.key == key and torch.equal(backbone.model.visual.proj, before)  # type: ignore[union-attr, arg-type]
    backbone.redraw(5)
    assert not torch.equal(backbone.model.visual.proj, before)  # type: ignore[union-attr, arg-type]


def test_random_weights_depend_on_the_seed_alone() -> None:
    one, same, other = (load(f"{TINY}@random", seed=seed) for seed in (0, 0, 1))
    x = torch.randn(1, 3, 8, 8)
    tokens = [each.text.tokens(["cat"]) for each in (one, same, other) if each.text is not None]
    assert torch.equal(one(x), same(x)) and not torch.equal(one(x), other(x))
    assert one.text is not None and same.text is not None and other.text is not None
    assert torch.equal(one.text(tokens[0]), same.text(tokens[1]))
    assert not torch.equal(one.text(tokens[0]), other.text(tokens[2]))
    assert load("vit_micro_patch4_32@random").text is None


def test_a_timm_tower_takes_another_size_and_its_own_statistics() -> None:
    micro = load("open_clip:micro_clip@random")
    assert micro.identity["input"]["mean"] == [0.485, 0.456, 0.406] and micro.transform.size == 32
    larger = load("open_clip:micro_clip@random", BackboneOptions(image_size=64))
    assert larger.transform.size == 64 and larger(torch.zeros(1, 3, 64, 64)).shape == (1, 128)
    own = load(f"{TINY}@random", BackboneOptions(image_size=16))
    assert own(torch.zeros(1, 3, 16, 16)).shape == (1, 24)


def test_the_facts_count_both_towers() -> None:
    found = facts(f"{TINY}@random", BackboneOptions())
    assert found["parameters"] == load(f"{TINY}@random").identity["parameters"] and found["text"]
    assert found["forward_flops"] > 0 and not found["hub"]
    remote = facts("open_clip:ViT-B-32.openai", BackboneOptions())
    assert remote["hub"] and "clip" in remote["weights"]


def test_a_tag_gives_statistics_and_activation() -> None:
    network = clip._network(clip.Name.of("open_clip:ViT-B-32.openai"), 0)
    assert type(network.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"
    plain = clip._network(clip.Name.of("open_clip:ViT-B-32.laion2b_s34b_b79k"), 0)
    assert type(plain.transformer.resblocks[0].mlp.gelu).__name__ == "GELU"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("open_clip:", "open_clip has no architecture ''"),
        ("open_clip:ViT-B-61@random", "Did you mean"),
        ("open_clip:ViT-B-32.opnai", "open_clip has no weights 'opnai' for ViT-B-32; it has: openai"),
        ("open_clip:coca_ViT-B-32@random", "it is a captioner"),
        ("open_clip:ViT-B-16-SigLIP@random", "of the package transformers"),
    ],
)
def test_names_that_cannot_be_used(name: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(name)
    assert says in str(caught.value)


def test_weights_that_are_missing_or_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    with pytest.raises(DataError, match=r"put ViT-B-32.openai.safetensors in a folder of CLBENCH_DATA_PATH, or use"):
        load("open_clip:ViT-B-32.openai")
    with pytest.raises(
        DataError, match=r"'tiny_clip.safetensors' was not found in .*, or use open_clip:tiny_clip@FILE"
    ):
        load(TINY)
    with pytest.raises(DataError, match=r"'ViT-B-32.safetensors' was not found in .* with TAG one of openai"):
        load("open_clip:ViT-B-32")
    with pytest.raises(DataError, match="There is no file"):
        load(f"{TINY}@/none.safetensors")
    path = saved(tmp_path / "some.safetensors")
    with pytest.raises(DataError, match="give a file of both towers of this architecture"):
        load(f"open_clip:micro_clip@{path}")
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        load(f"{TINY}@{path}")


def test_a_failed_download_is_a_data_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **kwargs: Any) -> str:
        raise ConnectionError("no route")

    monkeypatch.delenv("CLBENCH_OFFLINE", raising=False)
    monkeypatch.setattr(library.open_clip(), "download_pretrained", fails)
    with pytest.raises(DataError, match=r"cannot get the weights .* from timm/.* \(no route\); check the network"):
        load("open_clip:ViT-B-32.openai")


def test_without_the_extra_the_fix_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    library.open_clip.cache_clear()
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(UsageError, match=r"pip install 'clbench\[clip\]'"):
        load(f"{TINY}@random")
    command = ["-s", "cpe-clip", "--stream", "split-digits", "-b", f"{TINY}@random"]
    assert call(["run", *command]) == 2 and "pip install 'clbench[clip]'" in capsys.readouterr().err
    assert call(["run", *command, "--dry-run"]) == 2
    assert call(["check", "cpe-clip"]) == 2
    said = capsys.readouterr().err
    assert "cpe-clip needs a text tower, so it is checked on a tiny CLIP" in said and "pip install" in said
    library.open_clip.cache_clear()


def test_the_family_is_listed_and_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["info", "open_clip:ViT-B-32.openai"]) == 0
    said = capsys.readouterr().out
    assert "laion2b_s34b_b79k" in said and "3x224x224" in said and "timm/vit_base_patch32_clip_224.openai" in said
    assert call(["list", "backbones"]) == 0 and "open_clip:ARCH " in capsys.readouterr().out
    assert "open_clip:" in registry.backbones and registry.backbones.summary("open_clip:").startswith("A CLIP of the")
    with pytest.raises(UsageError, match="name an architecture after open_clip:"):
        clip.family()


def test_the_statistics_of_an_image_tower_are_known_before_it_is_built() -> None:
    """In a new process, where no other module has registered the network of the tower with timm."""
    code = "from cl.backbone import clip; print(clip.facts('open_clip:micro_clip')['Mean'])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[0.485, 0.456, 0.406]"


def test_weights_of_the_text_tower_are_no_parameters_but_move_with_the_backbone() -> None:
    backbone = load(f"{TINY}@random")
    assert backbone.text is not None
    assert {id(p) for p in backbone.parameters()} == {id(p) for p in backbone.model.parameters()}
    backbone.train()
    assert not backbone.text.training
    backbone.double()
    assert all(p.dtype == torch.float64 for p in backbone.text.parameters())
    twin = copy.deepcopy(backbone)
    assert twin.text is not None and twin.text is not backbone.text
