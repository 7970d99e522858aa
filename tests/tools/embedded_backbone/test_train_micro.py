"""The script that trains the embedded backbone: the recipe, the file it writes, and what `evaluate` measures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from cl.backbone import load
from cl.data.store import ImageStore
from cl.files import sha256_of
from cl.training.encodings import Encodings
from tools.embedded_backbone.distil import Settings, View, distil, initialise, teacher_targets
from tools.embedded_backbone.train_micro import limited, main, probe, read

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Noise around one colour per class: 3 classes, 8 training and 4 test images of 16 px each."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3, dtype=np.int16), 12)
    colours = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200]])
    images = (colours[labels][:, None, None] + rng.integers(-40, 40, (36, 16, 16, 3))).astype(np.uint8)
    path = tmp_path / "colours.npz"
    split = np.tile(np.arange(12) >= 8, 3).astype(np.uint8)
    np.savez(path, images=images, labels=labels, split=split, classes=["r", "g", "b"], meta=json.dumps({}))
    return path


def test_train_writes_weights_that_load(pack: Path, tmp_path: Path) -> None:
    output = tmp_path / "micro.safetensors"
    arguments = ["train", str(pack), "--teacher", "test_vit@random", "--teacher-size", "0", "--views", "2"]
    run = CliRunner().invoke(main, [*arguments, "--passes", "3", "--batch-size", "12", "-o", str(output)])
    assert run.exit_code == 0, run.output
    digest = sha256_of(output)
    assert digest in run.stdout and output.stat().st_size <= 6_000_000
    card = output.with_suffix(".card.md").read_text()
    assert digest in card and "24 images of 3 classes" in card and "Initialisation: random" in card
    assert "6 steps" in card and "Held-out accuracy" in card and str(tmp_path) not in card
    trained = load(f"vit_micro_patch4_32@{output}")
    start = load("vit_micro_patch4_32@random")
    assert trained.dim == 192 and all(torch.isfinite(p).all() for p in trained.parameters())
    pairs = zip(trained.parameters(), start.parameters(), strict=True)
    assert not all(torch.equal(a, b.half().float()) for a, b in pairs), "trained, and not only rounded"
    assert not list(tmp_path.glob(".*.tmp"))


def _training(seed: int = 0, passes: int = 20, patch_dropout: float = 0.0) -> tuple[list[float], Tensor]:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8, generator=generator)
    targets, labels = torch.randn(16, 8, generator=generator), torch.arange(16) % 4
    student = load("vit_micro_patch4_32@random")
    settings = Settings(passes=passes, batch_size=16, warmup=1, area=(0.9, 1.0), seed=seed, patch_dropout=patch_dropout)
    classifier, losses = distil(student, pixels, labels, targets, 4, settings)
    assert not any(p.requires_grad for p in [*student.parameters(), *classifier.parameters()]) and not student.training
    return losses, next(student.parameters()).detach().clone()


def test_loss_falls_on_fixed_data() -> None:
    losses, _ = _training()
    assert len(losses) == 20 and np.mean(losses[-3:]) < 0.85 * losses[0]


def test_a_seed_gives_the_same_weights_and_leaves_global_draws_alone() -> None:
    torch.manual_seed(1)
    (one, first), (two, second), (other, _) = (_training(seed, 2, 0.5) for seed in (0, 0, 1))
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(1))
    assert one == two and torch.equal(first, second) and one != other


def test_initialisation_from_a_deeper_teacher() -> None:
    student, teacher = load("vit_micro_patch4_32@random").model, load("deit_tiny_patch16_224@random").model
    assert initialise(student, teacher)
    own, other = student.state_dict(), teacher.state_dict()
    for mine, theirs in enumerate((0, 2, 4, 6, 8, 11)):
        name = "blocks.{}.attn.qkv.weight"
        assert torch.equal(own[name.format(mine)], other[name.format(theirs)])
    assert torch.equal(own["norm.weight"], other["norm.weight"]) and torch.equal(own["cls_token"], other["cls_token"])
    flat = [model.patch_embed.proj(torch.ones(1, 3, s, s)) for model, s in ((student, 4), (teacher, 16))]  # type: ignore[operator, union-attr]
    assert torch.allclose(flat[0], flat[1], atol=1e-5), "a flat patch is embedded as before"


def test_a_teacher_that_does_not_fit_leaves_the_student_alone() -> None:
    student = load("vit_micro_patch4_32@random").model
    before = {name: value.clone() for name, value in student.state_dict().items()}
    assert not initialise(student, load("test_vit@random").model)
    assert not initialise(student, nn.Linear(2, 2))
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())


def test_views_are_computed_once_and_differ(pack: Path, tmp_path: Path) -> None:
    teacher = load("vit_micro_patch4_32@random")
    images, _, _ = read((str(pack),))
    views = [View(teacher, number) for number in range(4)]
    assert len({view.key for view in views}) == 4 and views[0].transform.crop_pct == 1.0
    first = teacher_targets(teacher, images.stores, 2, Encodings(tmp_path / "features"), CPU)
    kept = Encodings(tmp_path / "features")
    again = teacher_targets(teacher, images.stores, 2, kept, CPU)
    assert torch.equal(first, again) and kept.cost.flops["executed"] == 0
    assert first.mean(0).abs().max() < 1e-4 and torch.allclose(first.std(0), torch.ones(teacher.dim), atol=1e-3)
    assert not torch.equal(first, teacher_targets(teacher, images.stores, 1, kept, CPU))


def test_sources_are_numbered_through_and_limited(pack: Path) -> None:
    train, test, classes = read((str(pack), str(pack)), limit=2)
    assert classes == 6 and train.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5] and len(test.labels) == 24
    small = train.resized(load("vit_micro_patch4_32@random").transform)
    assert small.shape == (12, 3, 32, 32) and small.dtype == torch.uint8
    assert small[0, 0].float().mean() > 150 > small[0, 1].float().mean(), "red stays red"


def test_missing_data_is_one_sentence() -> None:
    run = CliRunner().invoke(main, ["train", "nowhere.npz"])
    assert run.exit_code == 3 and "nowhere.npz" in run.stderr and "Traceback" not in run.output


def test_probe_is_better_than_chance_and_scales_features() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 10
    centres = torch.randn(10, 32, generator=generator)
    features = (centres[labels] + torch.randn(400, 32, generator=generator)) * torch.logspace(-3, 3, 32) + 5
    found = probe(features[:300], labels[:300], features[300:], labels[300:])
    assert found["linear_probe"] > 0.8 and found["nearest_class_mean"] > 0.8


def test_limit_keeps_the_first_of_every_class() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 2, 2, 1), dtype=np.uint8)
    store = ImageStore.from_arrays(pixels, np.repeat([0, 1, 2], 3))
    kept = limited(store, 2)
    assert kept.labels.tolist() == [0, 0, 1, 1, 2, 2] and np.array_equal(kept.pixels[2:4], store.pixels[3:5])
    assert limited(store, None) is store


def test_evaluate_compares_with_an_untrained_twin() -> None:
    run = CliRunner().invoke(main, ["evaluate", "--stream", "split-digits", "--limit", "10"])
    assert run.exit_code == 0, run.output
    assert "100 training and 100 test images" in run.stdout
    trained, twin = run.stdout.splitlines()[1:]
    assert trained.startswith("vit_micro_patch4_32.tinyimagenet_distill") and twin.startswith(
        "vit_micro_patch4_32@random"
    )
    assert float(trained.split("linear_probe")[1].split()[0]) > 50
