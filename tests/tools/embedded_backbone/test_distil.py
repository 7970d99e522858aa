"""Distillation of the embedded backbone: its loss, its initialisation and the features of its teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cl.backbone import load
from cl.training.encodings import Encodings
from tools.embedded_backbone.distil import Settings, View, distil, initialise, teacher_targets
from tools.embedded_backbone.train_micro import read

CPU = torch.device("cpu")


def _training(seed: int = 0, passes: int = 20, patch_dropout: float = 0.0) -> tuple[list[float], Tensor]:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8, generator=generator)
    targets, labels = torch.randn(16, 8, generator=generator), torch.arange(16) % 4
    student = load("vit_micro_patch4_32@random")
    settings = Settings(passes=passes, batch_size=16, warmup=1, area=(0.9, 1.0), seed=seed, patch_dropout=patch_dropout)
    classifier, losses = distil(student, pixels, labels, targets, 4, settings)
    assert not any(p.requires_grad for p in [*student.parameters(), *classifier.parameters()]) and not student.training
    return losses, next(student.parameters()).detach().clone()


def test_the_loss_falls_on_fixed_data() -> None:
    losses, _ = _training()
    assert len(losses) == 20 and np.mean(losses[-3:]) < 0.85 * losses[0]


def test_weights_depend_on_the_seed_and_global_generators_are_untouched() -> None:
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


def test_a_teacher_of_other_shapes_leaves_the_student_unchanged() -> None:
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
