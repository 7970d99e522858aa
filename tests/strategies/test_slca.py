"""SLCA: the invariants of the paper: slow learning, class statistics and classifier alignment."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from cl.strategies.finetune import Finetune
from cl.strategies.slca import SLCA
from cl.strategy import Inputs
from cl.training import state
from cl.training.batches import Batch
from tests.conftest import make, tiny_stream
from tests.help.compare import same

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {
    **{"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"},
    **{"ca_epochs": 2, "ca_samples": 16, "milestones": ()},
}
Calls = list[tuple[str, Any, Any]]


def slca(**options: Any) -> SLCA:
    learner = make(SLCA, **{**FAST, **options})
    assert isinstance(learner, SLCA)
    return learner


def watch_phases(learner: SLCA, calls: list[tuple[str, Any, Any]], look: Callable[[], Any]) -> None:
    """Record `look()` before and after each fit."""
    fit = learner.fit

    def watched(phase: str, *args: Any, **kwargs: Any) -> Any:
        before = look()
        result = fit(phase, *args, **kwargs)
        calls.append((phase, before, look()))
        return result

    learner.fit = watched  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _hide_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    # the watched method is an instance attribute, which is not state
    monkeypatch.setattr(SLCA, "_NOT_STATE", SLCA._NOT_STATE | {"fit"})


def test_alignment_leaves_the_backbone_and_the_working_heads_bit_identical(learn: Learn) -> None:
    learner = slca()
    calls: Calls = []

    def look() -> Any:
        return state.clone([dict(learner.backbone.model.state_dict()), learner.heads.get_state()])

    watch_phases(learner, calls, look)
    learn(learner, tiny_stream(), 3)
    aligned = [(before, after) for phase, before, after in calls if phase == "classifier alignment"]
    assert len(aligned) == 2, "there is none after the first task"
    for before, after in aligned:
        assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
        assert same(before[1], after[1])
    slow = [(before, after) for phase, before, after in calls if phase == "slow learning"]
    assert any(not torch.equal(slow[0][0][0][name], slow[0][1][0][name]) for name in slow[0][0][0])


def test_slow_learning_does_not_touch_old_heads(learn: Learn) -> None:
    learner = slca(weight_decay=0.1)
    calls: Calls = []
    watch_phases(learner, calls, lambda: state.clone(learner.heads.get_state()))
    learn(learner, tiny_stream(), 3)
    _, before, after = [call for call in calls if call[0] == "slow learning"][2]
    for task in (0, 1):
        assert torch.equal(before["weights"][task], after["weights"][task])
        assert torch.equal(before["biases"][task], after["biases"][task])
    assert not torch.equal(before["weights"][2], after["weights"][2])


def test_alignment_never_accumulates(learn: Learn) -> None:
    """Each alignment starts from the heads as trained, whatever the alignments before did."""
    starts = []
    learner = slca()
    calls: Calls = []
    watch_phases(learner, calls, lambda: state.clone(learner.aligned.get_state()))
    learn(learner, tiny_stream(), 3, lambda s, v: starts.append(state.clone(s.heads.get_state())))
    alignments = [call for call in calls if call[0] == "classifier alignment"]
    for (_, before, after), heads in zip(alignments, starts[1:], strict=True):
        assert same(before, heads) and not same(after, heads)
    without = slca(ca_epochs=0)
    learn(without, tiny_stream(), 3)
    assert same(without.heads.get_state(), learner.heads.get_state()), "learning does not see the alignment"


def test_the_first_task_is_not_aligned(learn: Learn) -> None:
    learner = slca()
    learn(learner, tiny_stream(), 1)
    assert same(learner.aligned.get_state(), learner.heads.get_state())


def test_prediction_uses_aligned_heads_and_raw_logits(learn: Learn) -> None:
    learner, stream = slca(), tiny_stream()
    learn(learner, stream, 3)
    rows, _, _ = stream.test_rows([0, 1, 2])
    inputs = Inputs(torch.from_numpy(stream.dataset.test.pixels[rows]).permute(0, 3, 1, 2))
    with torch.no_grad():
        features = learner.backbone(inputs.images(learner.backbone.transform))
        assert torch.equal(learner.predict(inputs), learner.aligned(features))


def test_statistics_match_numpy_and_old_ones_never_change(learn: Learn) -> None:
    learner, stream, kept = slca(), tiny_stream(), []

    def check(strategy: SLCA, view: Any) -> None:
        images = view.train.pixels(slice(None))
        with torch.no_grad():
            features = strategy.backbone(strategy.backbone.transform(images)).double().numpy()
        for position in view.classes:
            x = features[view.train.labels.numpy() == position]
            covariance = np.cov(x, rowvar=False) + 1e-4 * np.eye(16)
            assert np.allclose(strategy.gaussians.mean[position], x.mean(0), atol=1e-5)
            assert np.allclose(strategy.gaussians.covariance[position], covariance, atol=1e-5)
        kept.append(state.clone(strategy.gaussians.get_state()))

    learn(learner, stream, 3, check)
    assert learner.gaussians.mean.dtype == torch.float32
    for earlier, later in pairwise(kept):
        count = len(earlier["mean"])
        assert torch.equal(earlier["mean"], later["mean"][:count])
        assert torch.equal(earlier["covariance"], later["covariance"][:count])


def test_mean_scale_is_one_for_the_newest_task_also_when_tasks_are_unequal(learn: Learn) -> None:
    learner = slca()
    learner.setup(tiny_stream().info)
    for classes in (4, 8, 10):
        learner.heads.grow_to(classes, torch.Generator().manual_seed(0))
    scale = learner.mean_scale(newest=2)
    expected = [0.9 + 0.1 / 3] * 4 + [0.9 + 0.2 / 3] * 4 + [1.0] * 2
    assert scale.tolist() == pytest.approx(expected)
    legacy = slca(legacy_task_index=True)
    legacy.setup(tiny_stream().info)
    for classes in (4, 8, 10):
        legacy.heads.grow_to(classes, torch.Generator().manual_seed(0))
    assert legacy.mean_scale(newest=2).max() > 1, "the reference's index overshoots"


def test_logit_normalisation_ignores_the_scale_of_the_logits() -> None:
    learner = slca()
    learner.setup(tiny_stream().info)
    for classes in (3, 5):
        learner.aligned.grow_to(classes, torch.Generator().manual_seed(classes))
    batch = Batch(torch.randn(8, 16), torch.tensor([0, 1, 2, 3, 4, 0, 1, 2]))
    loss = learner.alignment_loss(batch)
    with torch.no_grad():
        for parameter in learner.aligned.parameters():
            parameter.mul_(7.0)
    assert torch.allclose(loss, learner.alignment_loss(batch), atol=1e-5)
    blocks = learner.aligned.block_logits(batch.x)
    norm = (blocks[0].norm(dim=1) + blocks[1].norm(dim=1)) / 2
    by_hand = torch.nn.functional.cross_entropy(torch.cat(blocks, 1) / (0.1 * norm[:, None]), batch.y)
    assert torch.allclose(loss, by_hand, atol=1e-5)


def test_gradients_flow_through_the_norm() -> None:
    learner = slca()
    learner.setup(tiny_stream().info)
    learner.aligned.grow_to(3, torch.Generator().manual_seed(0))
    weight = learner.aligned.blocks[0].weight
    weight.requires_grad_(True)
    x, y = torch.randn(8, 16), torch.zeros(8, dtype=torch.long)
    (gradient,) = torch.autograd.grad(learner.alignment_loss(Batch(x, y)), weight)
    # the loss does not change along the direction that scales all logits
    assert abs(float((gradient * weight.detach()).sum())) < 1e-5 * float(gradient.norm() * weight.detach().norm())


def test_backbone_rate_zero_gives_the_features_of_a_linear_probe(learn: Learn) -> None:
    learner = slca(backbone_lr_scale=0.0, weight_decay=0.0, fresh_norm=False)
    learn(learner, tiny_stream(), 2)
    fresh = slca()
    images = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(learner.backbone(images), fresh.backbone(images))


def test_without_alignment_it_is_the_sequential_slow_learner(learn: Learn) -> None:
    """Randomness is named, so the same phase under another method gives the same weights."""
    learner = slca(ca_epochs=0)
    baseline = make(
        Finetune, epochs=1, batch_size=16, lr=0.05, backbone_lr_scale=0.01, weight_decay=5e-4, augment="crop-flip",
        fresh_norm=True,
    )  # fmt: skip
    learn(learner, tiny_stream(), 1)
    fit = baseline.fit
    baseline.fit = lambda phase, *a, **k: fit("slow learning", *a, **k)  # type: ignore[method-assign]
    Finetune._NOT_STATE = Finetune._NOT_STATE | {"fit"}
    try:
        learn(baseline, tiny_stream(), 1)
    finally:
        Finetune._NOT_STATE = Finetune._NOT_STATE - {"fit"}
    for (name, one), (_, two) in zip(
        learner.backbone.named_parameters(), baseline.backbone.named_parameters(), strict=True
    ):
        assert torch.equal(one, two), name
