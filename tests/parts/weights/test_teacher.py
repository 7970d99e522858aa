"""The teacher of distillation: a copy of the model as it was before the task."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor

from cl.backbone import Backbone
from cl.backbone.transform import Transform
from cl.parts.heads.growing import GrowingHead
from cl.parts.losses import feature_distance, softened_cross_entropy
from cl.parts.weights.teacher import Teacher
from cl.testing import tiny_backbone
from cl.training import state


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def images(count: int = 4) -> Tensor:
    return drawn(count, 3, 8, 8)


def head(classes: int = 3) -> GrowingHead:
    made = GrowingHead(16)
    made.grow_to(classes, torch.Generator().manual_seed(0))
    return made


def shaken(backbone: Backbone, amount: float = 0.1) -> Backbone:
    """Change the parameters, as training would."""
    with torch.no_grad():
        for i, parameter in enumerate(backbone.model.parameters()):
            parameter.add_(amount * drawn(*parameter.shape, seed=i))
    return backbone


def batch_normed(size: int = 32) -> Backbone:
    """timm's smallest ResNet, untrained."""
    torch.manual_seed(0)
    model = timm.create_model("resnet10t", num_classes=0)
    identity = {"name": "bn", "weights_sha256": "random", "dim": 512}
    return Backbone(model, Transform(size, (0.5,) * 3, (0.5,) * 3), identity)


def test_before_the_first_task_there_is_no_teacher() -> None:
    assert Teacher(16).classes == 0


def test_the_teacher_keeps_the_outputs_of_the_model_that_it_copied() -> None:
    backbone, classifier, teacher = shaken(tiny_backbone()), head(), Teacher(16)
    with torch.no_grad():
        features = backbone(images())
        logits = classifier(features)
    teacher.copy_from(backbone, classifier)
    before = state.clone(teacher.get_state())
    assert teacher.classes == 3
    shaken(backbone)
    classifier.grow_to(5, torch.Generator().manual_seed(1))
    with torch.no_grad():
        classifier.blocks[0].weight.add_(1.0)
        assert not torch.allclose(backbone(images()), features)
    found = teacher(backbone, images())
    assert torch.equal(found[0], features) and torch.equal(found[1], logits), "and only the classes that it knew"
    after = teacher.get_state()
    assert all(torch.equal(before["tensors"][name], after["tensors"][name]) for name in before["tensors"])
    assert torch.equal(before["head"]["weights"][0], after["head"]["weights"][0])


def test_the_teacher_is_in_evaluation_mode_and_restores_the_mode_of_every_module() -> None:
    backbone, teacher = shaken(tiny_backbone()), Teacher(16)
    teacher.copy_from(backbone, head())
    with torch.no_grad():
        expected = backbone.eval()(images())
    backbone.train()
    frozen = backbone.model.get_submodule("blocks.1.mlp").eval()
    modes = {name: module.training for name, module in backbone.named_modules()}
    torch.manual_seed(0)
    first, second = teacher(backbone, images())[0], teacher(backbone, images())[0]
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(0))), "it drew nothing"
    assert torch.equal(first, expected) and torch.equal(second, expected)
    assert modes == {name: module.training for name, module in backbone.named_modules()}
    assert backbone.training and not frozen.training
    assert not torch.equal(backbone(images()), expected), "the student has dropout"


def test_modes_are_restored_if_the_forward_fails() -> None:
    backbone, teacher = tiny_backbone().train(), Teacher(16)
    teacher.copy_from(backbone, head())
    with pytest.raises(AssertionError):
        teacher(backbone, drawn(4, 3, 9, 9))
    assert all(module.training for module in backbone.modules())


def test_the_teacher_carries_no_gradient() -> None:
    backbone, teacher = shaken(tiny_backbone()).requires_grad_(True), Teacher(16)
    teacher.copy_from(backbone, head().requires_grad_(True))
    features, logits = teacher(backbone, images().requires_grad_(True))
    assert not features.requires_grad and not logits.requires_grad
    assert not any(tensor.requires_grad for tensor in teacher.tensors.values())
    assert not any(parameter.requires_grad for parameter in teacher.head.parameters())
    backbone(images()).sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.model.parameters())


def test_parameters_to_be_tuned_are_copied_while_they_are_still_pretrained() -> None:
    backbone, teacher = tiny_backbone(), Teacher(16)
    with torch.no_grad():
        expected = backbone(images())
    teacher.copy_from(backbone, head(), dict(backbone.model.named_parameters()))
    shaken(backbone)
    assert torch.equal(teacher(backbone, images())[0], expected)


def test_the_teacher_stores_the_tuned_parameters_only() -> None:
    backbone, teacher = tiny_backbone(), Teacher(16)
    teacher.copy_from(backbone, head())
    assert not teacher.tensors
    tuned = {n: p for n, p in backbone.model.named_parameters() if ".attn.qkv." in n}
    teacher.copy_from(backbone, head(), tuned)
    assert set(teacher.tensors) == set(tuned) and teacher.stores == "parameters"
    sizes = sum(p.numel() for p in tuned.values()) + sum(p.numel() for p in head().parameters())
    assert state.nbytes(teacher.get_state()) == 4 * sizes


def test_a_pass_leaves_the_key_and_the_parameters_of_the_backbone() -> None:
    backbone, teacher = shaken(tiny_backbone()), Teacher(16)
    teacher.copy_from(backbone, head())
    shaken(backbone)
    key, identities = backbone.key, [id(p) for p in backbone.model.parameters()]
    teacher(backbone, images())
    assert backbone.key == key and [id(p) for p in backbone.model.parameters()] == identities
    pristine, empty = tiny_backbone(), Teacher(16)
    empty.copy_from(pristine, head())
    empty(pristine, images())
    assert pristine.is_pristine


def test_batch_norms_of_the_teacher_have_separate_statistics() -> None:
    backbone, teacher = batch_normed(), Teacher(512)
    classifier = GrowingHead(512)
    classifier.grow_to(2, torch.Generator().manual_seed(0))
    x = 3 + drawn(4, 3, 32, 32)
    backbone.train()(x)  # statistics change in a first task
    with torch.no_grad():
        expected = backbone.eval()(x)
    teacher.copy_from(backbone, classifier, dict(backbone.model.named_parameters()))
    backbone.train()(-x)  # and in a second
    kept = {name: buffer.clone() for name, buffer in backbone.model.named_buffers()}
    assert torch.equal(teacher(backbone, x)[0], expected)
    assert all(torch.equal(kept[name], buffer) for name, buffer in backbone.model.named_buffers()), (
        "nor does it move them"
    )
    with torch.no_grad():
        assert not torch.allclose(backbone.eval()(x), expected)


def test_a_new_teacher_restores_a_state(tmp_path: Path) -> None:
    backbone, teacher, fresh = shaken(tiny_backbone()), Teacher(16), Teacher(16)
    teacher.copy_from(backbone, head())
    state.save(tmp_path / "teacher.safetensors", teacher.get_state())
    fresh.set_state(state.load(tmp_path / "teacher.safetensors"))
    other = shaken(tiny_backbone(), 0.3)
    assert fresh.classes == 3
    for mine, theirs in zip(fresh(other, images()), teacher(backbone, images()), strict=True):
        assert torch.equal(mine, theirs)
    assert not any(parameter.requires_grad for parameter in fresh.head.parameters())


def test_under_bf16_the_teacher_equals_the_student_that_it_copied() -> None:
    backbone, classifier, teacher = shaken(tiny_backbone()), head(), Teacher(16)
    backbone.precision = torch.bfloat16
    teacher.copy_from(backbone, classifier, dict(backbone.model.named_parameters()))
    student = backbone.requires_grad_(True)(images())
    features, logits = teacher(backbone, images())
    assert features.dtype == logits.dtype == torch.float32
    assert torch.equal(features, student.detach()) and torch.equal(logits, classifier(features))
    loss = feature_distance(student, features + 1) + softened_cross_entropy(
        classifier(student), logits + drawn(4, 3), 2.0
    )
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in backbone.model.parameters())
    backbone.precision = torch.float32
    assert not torch.equal(teacher(backbone, images())[0], features), "the autocast was active"


def test_an_empty_head_and_its_teacher_keep_their_device() -> None:
    """Blocks are created on the device of the head, also the first block; `meta` represents an accelerator."""
    made, place = GrowingHead(16).to("meta"), torch.device("meta")
    made.grow_to(2, torch.Generator().manual_seed(0))
    made.grow_to(3, torch.Generator().manual_seed(0))
    assert [block.weight.device for block in made.blocks] == [place, place]
    source = Teacher(16)
    source.copy_from(shaken(tiny_backbone()), head())
    fresh = Teacher(16).to(place)
    fresh.set_state(source.get_state())
    assert {tensor.device for tensor in [*fresh.tensors.values(), *fresh.head.parameters()]} == {place}
    assert "place" not in made.state_dict()
