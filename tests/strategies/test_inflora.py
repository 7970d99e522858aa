"""InfLoRA: the directions of A, what trains, and what the memory holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from cl.errors import UsageError
from cl.parts.statistics import DualGPM, InputMoments
from cl.plan.plan import make_plan
from cl.strategies.inflora import InfLoRA, _root, late
from cl.strategy import When
from cl.training import state
from tests.conftest import make, tiny_stream

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 8, "lr": 0.02, "augment": "none", "rank": 2}


def moments_of(learner: Any, view: Any) -> list[Tensor]:
    """The moments of a task's images with the additions so far, by hand."""
    images = learner.backbone.transform(view.train.pixels(torch.arange(len(view.train))))
    moments = InputMoments([cast(Any, block).attn for block in learner.backbone.model.blocks])
    with torch.no_grad(), moments.measuring():
        learner.lora(learner.backbone, images)
    return moments.values()


@pytest.mark.parametrize(("directions", "more", "length"), [("moments", {}, 3**-0.5), ("inputs", {"length": 1.0}, 1.0)])
def test_a_is_the_leading_directions_of_the_inputs_of_the_first_task(
    learn: Learn, directions: str, more: dict[str, Any], length: float
) -> None:
    learner, stream = make(InfLoRA, **FAST, directions=directions, **more), tiny_stream()
    learner.info = stream.info
    learner.setup(stream.info)
    expected = moments_of(learner, stream.view(0))
    learn(learner, stream, 1)
    for block, moment in enumerate(expected):
        leading = torch.linalg.eigh(moment)[1][:, -2:].flip(1).float()
        for a in (learner.lora.a[0][2 * block], learner.lora.a[0][2 * block + 1]):
            assert torch.allclose(a.norm(dim=1), torch.full((2,), length), atol=1e-5)
            assert torch.allclose((a @ leading / length).abs(), torch.eye(2), atol=1e-3)


def test_directions_are_free_of_what_earlier_tasks_occupy(learn: Learn) -> None:
    found: list[Any] = []

    def after(learner: Any, view: Any) -> None:
        found.append(state.clone([learner.memory.get_state(), learner.lora.get_state()["a"]]))

    learner = make(InfLoRA, **FAST, threshold=0.999)
    learn(learner, tiny_stream(), 3, after)
    for task in (1, 2):
        memory, a = found[task - 1][0], found[task][1][task]
        for block, basis in enumerate(memory["bases"]):
            rows = a[2 * block]
            inside = rows @ basis
            occupied = (rows - inside @ basis.T) if memory["free"][block] else inside
            assert occupied.abs().max() < 1e-5
            assert torch.equal(rows, a[2 * block + 1]), "keys and values have the same A"


def test_only_b_of_keys_and_values_and_the_newest_head_train(learn: Learn, fits: list[dict[str, Any]]) -> None:
    learner = make(InfLoRA, **FAST)
    learn(learner, tiny_stream(), 2)
    before, after = fits[1]["before"], fits[1]["after"]
    for one, two in zip(before["lora"]["a"], after["lora"]["a"], strict=True):
        assert all(torch.equal(x, y) for x, y in zip(one, two, strict=True))
    assert all(torch.equal(x, y) for x, y in zip(before["lora"]["b"][0], after["lora"]["b"][0], strict=True))
    assert not any(b.any() for b in before["lora"]["b"][1]) and all(b.any() for b in after["lora"]["b"][1])
    assert torch.equal(before["head"]["weights"][0], after["head"]["weights"][0])
    assert not torch.equal(before["head"]["weights"][1], after["head"]["weights"][1])
    assert learner.backbone.is_pristine
    assert {site.start // 16 for site in learner.lora.sites} == {1, 2}, "keys and values"


def test_the_memory_is_updated_with_the_network_after_the_task(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []
    seen: list[list[Tensor]] = []

    def update(self: DualGPM, moments: list[Tensor], share: float) -> None:
        shares.append(share)
        seen.append(moments)

    monkeypatch.setattr(DualGPM, "update", update)
    learner = make(InfLoRA, **{**FAST, "lr": 0.1}, threshold=0.8, threshold_end=0.9)
    expected = learn(learner, tiny_stream(), 2, moments_of)
    assert shares == [pytest.approx(0.8), pytest.approx(0.8 + 0.1 / 5)], "five tasks"
    for one, two in zip(seen, expected, strict=True):
        assert all(torch.allclose(x, y, atol=1e-4) for x, y in zip(one, two, strict=True))
    assert not torch.allclose(seen[0][1], seen[1][1], atol=1e-2)


def test_the_second_epoch_has_the_rate_of_the_first() -> None:
    found = [late(When(epoch, 0, 5, 1)) for epoch in range(5)]
    assert found == pytest.approx([1.0, *(math.cos(99 * math.pi * epoch / 800) for epoch in range(4))])


def test_roots_have_the_singular_vectors_of_the_inputs() -> None:
    rows = torch.randn(30, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    root = _root(rows.T @ rows / 30)
    assert torch.allclose(torch.linalg.svdvals(root), torch.linalg.svdvals(rows) / math.sqrt(30))
    u, v = torch.linalg.svd(root)[0], torch.linalg.svd(rows)[2].T
    assert torch.allclose((u.T @ v).abs(), torch.eye(6, dtype=torch.float64), atol=1e-8)


def test_the_presets_have_the_values_of_the_authors_files() -> None:
    cifar = make_plan("inflora", "split-cifar100", "vit_base_patch16_224.augreg_in21k").options
    assert (cifar.epochs, cifar.batch_size, cifar.lr, cifar.rank) == (20, 128, 5e-4, 10)
    assert (cifar.threshold, cifar.threshold_end) == (0.95, 1.0)
    renditions = make_plan("inflora", "imagenet-r", "vit_base_patch16_224.augreg_in21k").options
    assert (renditions.epochs, renditions.threshold) == (50, 0.98)


@pytest.mark.parametrize("share", ["0", "-1"])
def test_a_share_that_holds_no_direction_is_refused(share: str) -> None:
    with pytest.raises(UsageError, match="threshold_end"):
        make_plan("inflora", "split-digits", options={"threshold_end": share})
