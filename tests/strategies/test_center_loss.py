"""Center loss: what is frozen after the first task, how centers move, and a training in a plain loop."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.strategies.center_loss import CenterLoss
from cl.strategies.finetune import Finetune
from cl.strategy import Batch
from cl.testing import check_strategy, tiny_backbone
from cl.training import state
from tests.conftest import make, tensors, tiny_stream
from tests.help.closed_forms import learned, rotated
from tests.help.compare import same
from tests.help.merging import still
from tests.help.plain_loops import Keeping, weights

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 8, "lr": 0.02, "augment": "none"}


@pytest.mark.slow
def test_with_replay_it_keeps_the_contract() -> None:
    check_strategy("center-loss", options={"memory_size": 30}, only=["resume", "state-round-trip", "memory", "costs"])


@pytest.mark.parametrize("memory", [0, 20])
def test_centers_and_head_are_frozen_after_the_first_domain(memory: int) -> None:
    kept: list[Any] = []

    def after(learner: CenterLoss, view: Any) -> None:
        kept.append(state.clone([learner.centers, learner.head.get_state(), tensors(learner)]))

    learner = learned(make(CenterLoss, **FAST, memory_size=memory), rotated(), after)
    assert same(kept[0][:2], kept[1][:2]), "bit for bit"
    assert not same(kept[0][2], kept[1][2]), "the backbone learns on"
    assert learner.stored()["samples"] == (0 if not memory else state.nbytes(state.get(learner.memory)))
    assert bool(learner.centers.any(1).all())


def test_new_classes_have_new_centers_and_rows_and_old_ones_stay(learn: Learn) -> None:
    learner = make(CenterLoss, **FAST)
    kept = learn(learner, tiny_stream(), 3, lambda s, v: state.clone([s.centers, s.head.get_state()]))
    for earlier, later in pairwise(kept):
        known = len(earlier[0])
        assert torch.equal(later[0][:known], earlier[0]) and len(later[0]) == known + 2
        assert same(later[1]["weights"][:-1], earlier[1]["weights"]) and same(
            later[1]["biases"][:-1], earlier[1]["biases"]
        )


def test_without_weight_the_first_task_is_that_of_finetune_and_later_ones_have_a_frozen_head(learn: Learn) -> None:
    learner, baseline = make(CenterLoss, **FAST, weight=0.0), make(Finetune, **FAST, loss="global")
    for each in (learner, baseline):
        learn(each, tiny_stream(), 1)
    assert same(tensors(learner), tensors(baseline))


@pytest.mark.parametrize("normalize", [False, True])
def test_two_domains_equal_a_plain_loop(normalize: bool) -> None:
    """SGD with momentum on cross-entropy + weight / 2 mean |f - c_y|^2, and Wen et al.'s rule after each step."""
    trainer, stream, backbone = Keeping(), rotated(), tiny_backbone()
    still(backbone)
    options = {**FAST, "weight": 0.5, "center_rate": 0.4, "normalize": normalize}
    learner = CenterLoss(CenterLoss.Options(**options), backbone, trainer)
    ends: list[Any] = []
    learned(learner, stream, lambda s, v: ends.append((weights(s), s.centers.clone())))
    model, centers = tiny_backbone().model, torch.zeros(10, 16)
    for task in range(2):
        held = {name: value.clone() for name, value in trainer.starts[task, "train"].items()}
        speed = {name: torch.zeros_like(value) for name, value in held.items()}
        for batch in trainer.batches[task, "train"]:
            leaves = {name: value.detach().requires_grad_(True) for name, value in held.items()}
            own = {name: value for name, value in leaves.items() if not name.startswith("head_")}
            features: Tensor = torch.func.functional_call(model, own, (batch.x,))
            near = F.normalize(features) if normalize else features
            loss = F.cross_entropy(features @ leaves["head_weight"].T + leaves["head_bias"], batch.y)
            loss = loss + 0.25 * (near - centers[batch.y]).square().sum(1).mean()
            found = torch.autograd.grad(loss, list(leaves.values()))
            for name, gradient in zip(held, found, strict=True):
                if task and name.startswith("head_"):
                    continue
                speed[name] = 0.9 * speed[name] + gradient
                held[name] = held[name] - 0.02 * speed[name]
            if task == 0:
                moved = centers.clone()
                for position in batch.y.unique():
                    own_features = near.detach()[batch.y == position]
                    change = (centers[position] - own_features).sum(0) / (1 + len(own_features))
                    moved[position] = centers[position] - 0.4 * change
                centers = moved
        ours, own_centers = ends[task]
        for name, value in held.items():
            torch.testing.assert_close(ours[name], value, rtol=0, atol=2e-5)
        torch.testing.assert_close(own_centers, centers, rtol=0, atol=2e-5)


def test_the_center_loss_is_0_only_at_the_centers(learn: Learn) -> None:
    learner = make(CenterLoss, **FAST, weight=2.0)
    learn(learner, tiny_stream(), 1)
    images = tiny_stream().view(0).train
    batch = next(iter(learner.batches(images, 24).epoch(0, lambda *key: torch.Generator())))
    features = learner.backbone(batch.x).detach()
    plain = F.cross_entropy(learner.head(features), batch.y)
    pull = learner.objective(batch, (0, 1)).detach() - plain
    expected = (features - learner.centers[batch.y]).square().sum(1).mean()
    assert torch.allclose(pull, expected, rtol=1e-3) and float(pull) > 0
    one = Batch(batch.x[:1], torch.tensor([1]))
    learner.centers[1] = features[0]
    assert float(learner.objective(one, (0, 1)) - F.cross_entropy(learner.head(features[:1]), one.y)) < 1e-6


def test_a_frozen_backbone_is_refused() -> None:
    with pytest.raises(UsageError, match="trains"):
        make_plan("center-loss", "split-digits", options={"trains": "head"})
