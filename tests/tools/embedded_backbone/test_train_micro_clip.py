"""The script that trains a micro CLIP: captions, loss, a few steps on made-up packs, and the file it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.nn import functional as F

from cl.backbone import load
from tools.embedded_backbone import train_micro_clip as module
from tools.embedded_backbone.train_micro_clip import Recipe, contrastive, main, names_of, new_network, spoken_as, train

pytestmark = pytest.mark.usefixtures("isolated")


def pack(folder: Path, name: str, classes: tuple[str, ...], seed: int = 0) -> Path:
    """Six training and two test images per class, of one colour each."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(classes)), 8).astype(np.int16)
    colours = rng.integers(0, 200, (len(classes), 1, 1, 3))
    images = colours[labels] + rng.integers(0, 50, (len(labels), 16, 16, 3))
    split = np.tile(np.array([0] * 6 + [1] * 2, np.uint8), len(classes))
    path = folder / f"{name}.npz"
    np.savez(path, images=images.astype(np.uint8), labels=labels, split=split, classes=np.array(classes), meta="{}")
    return path


def test_names_are_words_and_synonyms() -> None:
    assert names_of("n02099601 golden retriever") == ["golden retriever"]
    assert names_of("n01443537 goldfish, Carassius auratus") == ["goldfish"]
    assert names_of("LivingRoom") == ["Living Room"] and names_of("T-shirt/top") == ["T-shirt", "top"]
    assert len(names_of("a, b, c, d")) == module.SYNONYMS
    rng = np.random.default_rng(0)
    said = {spoken_as(["sports car", "racer"], rng) for _ in range(100)}
    assert said == {"sports car", "car", "racer"}


def test_equal_captions_share_the_target() -> None:
    rng = torch.Generator().manual_seed(0)
    images = F.normalize(torch.randn(3, 4, generator=rng), dim=1)
    texts = F.normalize(torch.randn(2, 4, generator=rng), dim=1)
    logits = 5 * images @ texts.T
    to_text = -(logits.log_softmax(1)[[0, 1, 2], [0, 1, 0]]).mean()
    columns = logits.log_softmax(0)
    to_image = -((columns[0, 0] + columns[2, 0]) / 2 + columns[1, 1]) / 2
    found = contrastive(images, texts, torch.tensor([0, 1, 0]), torch.tensor(5.0))
    assert torch.allclose(found, (to_text + to_image) / 2)


def test_a_few_steps_learn_captions_and_leave_the_image_tower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(tmp_path, "colours", ("red ball", "blue sky", "green leaf"))
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    backbone = load("vit_micro_patch4_32.tinyimagenet_distill")
    packs = module.read(("colours",), backbone)
    assert packs[0].train.shape == (18, 192) and packs[0].main == ["red ball", "blue sky", "green leaf"]
    losses = []
    for steps in (1, 12):
        torch.manual_seed(0)
        network = new_network(backbone)
        text, done, loss = train(network, packs, Recipe(steps=steps, batch_size=12, warmup=2))
        assert done == steps
        losses.append(loss)
    assert losses[1] < losses[0]
    for name, tensor in backbone.model.state_dict().items():
        assert torch.equal(network.visual.trunk.state_dict()[name], tensor), name
    assert 0 <= module.accuracy(network, text, packs[0].test, packs[0].test_labels, packs[0].main) <= 1


def test_the_command_writes_a_file_that_is_a_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(tmp_path, "colours", ("red ball", "blue sky"))
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    output = tmp_path / "micro_clip.safetensors"
    arguments = ["colours", "nowhere", "--steps", "2", "--batch-size", "4", "--no-test", "-o", str(output)]
    outcome = CliRunner().invoke(main, arguments)
    assert (
        outcome.exit_code == 0
        and "% of 4 held-out images" in outcome.output
        and "nowhere is left out" in outcome.output
    )
    backbone = load("open_clip:micro_clip")
    assert backbone.text is not None and "captions: class names" in backbone.identity["pretraining"]
    embedded: Any = load("vit_micro_patch4_32.tinyimagenet_distill").model
    trunk: Any = backbone.model.visual.trunk  # type: ignore[union-attr]
    assert torch.equal(
        trunk.state_dict()["blocks.0.attn.qkv.weight"], embedded.state_dict()["blocks.0.attn.qkv.weight"]
    )


@pytest.mark.parametrize(
    ("names", "code", "says"),
    [
        (["cifar100_train"], 2, "may not be trained on"),
        (["nowhere"], 3, "no pack of images was found"),
        (["numbers"], 2, "its class '0' has no name"),
    ],
)
def test_packs_that_cannot_be_used(
    names: list[str], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(tmp_path, "numbers", ("0", "1"))
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    outcome = CliRunner().invoke(main, [*names, "-o", str(tmp_path / "none")])
    assert outcome.exit_code == code and says in outcome.output and not (tmp_path / "none").exists()


def test_the_help_has_an_example() -> None:
    assert "Example:" in CliRunner().invoke(main, ["--help"]).output
