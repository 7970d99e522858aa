"""Prompting a frozen backbone: the objective, what trains, and what a method's hooks receive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.bases.prompted import Prompted
from cl.parts.heads import GrowingHead
from cl.parts.losses import local_cross_entropy
from cl.stream import StreamInfo
from cl.testing import tiny_backbone
from cl.training import state
from cl.training.batches import Batch
from tests.conftest import make, tiny_stream
from tests.help.compare import same
from tests.help.prompted import FAST, make_batch, pixels

Learn = Callable[..., list[Any]]


class Shift(Prompted):
    """Adds one prompt per task to the features, or the mean of all prompts if no task is told."""

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.shifts = nn.ParameterList()
        self._seen: list[tuple[Tensor, int | None]] = []

    def begin(self, task: int) -> None:
        self.shifts.append(nn.Parameter(torch.zeros(self.backbone.dim)))

    def prompts(self, task: int) -> list[nn.Parameter]:
        return [self.shifts[task]]

    def instructed(self, images: Tensor, queries: Tensor, task: int | None = None) -> Tensor:
        self._seen.append((queries, task))
        shift = torch.stack([*self.shifts]).mean(0) if task is None else self.shifts[task]
        return self.backbone(images) + shift

    def extra(self, queries: Tensor, task: int) -> Tensor:
        return 0.5 * (self.shifts[task] - queries.mean(0)).square().sum()


def shift(**options: Any) -> Shift:
    return make(Shift, **{**FAST, **options})


def test_the_objective_is_the_local_cross_entropy_plus_the_term_of_the_method(learn: Learn) -> None:
    learner = shift()
    learn(learner, tiny_stream(), 2)
    batch = make_batch(learner.backbone.transform(pixels(tiny_stream(), 1)))
    batch.y.add_(2)  # classes of the second task
    with torch.no_grad():
        queries = learner.backbone(batch.x)
        logits = learner.head(queries + learner.shifts[1])
        expected = (
            local_cross_entropy(logits, batch.y, (2, 3)) + 0.5 * (learner.shifts[1] - queries.mean(0)).pow(2).sum()
        )
        assert torch.equal(learner.objective(batch, 1, (2, 3)), expected)


def test_only_the_prompts_of_the_task_and_the_head_train(learn: Learn) -> None:
    learner = shift()
    kept = learn(learner, tiny_stream(), 3, lambda s, v: [state.clone(p.detach()) for p in s.shifts])
    assert [len(shifts) for shifts in kept] == [1, 2, 3] and all(bool(p.any()) for p in kept[2])
    assert same(kept[0], kept[2][:1]) and same(kept[1], kept[2][:2])
    assert same(dict(learner.backbone.model.state_dict()), dict(tiny_backbone().model.state_dict()))
    assert learner.head.widths == [2, 2, 2]


@pytest.mark.parametrize("task", [None, 0])
def test_prediction_passes_pretrained_features_and_the_told_task(learn: Learn, task: int | None) -> None:
    learner, images = shift(), pixels(tiny_stream(), 2)
    learn(learner, tiny_stream(), 2)
    learner._seen.clear()
    scores = learner.predict_images(images, task)
    ((queries, told),) = learner._seen
    pretrained = tiny_backbone().eval()
    with torch.no_grad():
        assert torch.equal(queries, pretrained(pretrained.transform(images))) and told == task
    assert scores.shape == (len(images), 4)


@pytest.mark.parametrize(("clip", "bound"), [(0.0, None), (0.7, 0.7)])
def test_a_bound_of_zero_does_not_clip(learn: Learn, clip: float, bound: float | None) -> None:
    learner, specs = shift(clip=clip), []
    vars(learner.trainer)["fit"] = lambda strategy, phase, spec: specs.append(spec)
    learn(learner, tiny_stream(), 1)
    (spec,) = specs
    assert spec.clip == bound and spec.epochs == FAST["epochs"] and len(spec.trained) == 1 + 2


def test_training_is_adam_with_the_rate_decay_schedule_and_clip_of_the_options(learn: Learn) -> None:
    learner = shift(epochs=3, lr=0.02, weight_decay=0.1, schedule="cosine", clip=0.3)
    batches: list[Batch] = []
    objective = learner.objective

    def watched(batch: Batch, task: int, classes: tuple[int, ...]) -> Tensor:
        batches.append(batch)
        return objective(batch, task, classes)

    learner.objective = watched  # type: ignore[method-assign]
    learn(learner, tiny_stream(), 1)
    head = GrowingHead(16, init="trunc_normal")
    head.grow_to(2, learner.init_rng("head"))
    prompt, backbone = nn.Parameter(torch.zeros(16)), tiny_backbone().eval()
    trained = [prompt, *(parameter.requires_grad_(True) for parameter in head.parameters())]
    steps = torch.optim.Adam(trained, lr=0.02, weight_decay=0.1)
    rates, clipped = torch.optim.lr_scheduler.CosineAnnealingLR(steps, 3), 0
    for number, batch in enumerate(batches, 1):
        with torch.no_grad():
            queries = backbone(batch.x)
        steps.zero_grad()
        loss = local_cross_entropy(head(queries + prompt), batch.y, (0, 1))
        (loss + 0.5 * (prompt - queries.mean(0)).square().sum()).backward()
        clipped += int(nn.utils.clip_grad_norm_(trained, 0.3) > 0.3)
        steps.step()
        if number % (len(batches) // 3) == 0:
            rates.step()
    assert clipped > len(batches) // 2, "the bound must matter"
    assert torch.allclose(learner.shifts[0], prompt, atol=1e-5)
    assert torch.allclose(learner.head.blocks[0].weight, head.blocks[0].weight, atol=1e-5)


def test_it_is_ready_after_the_first_task(learn: Learn) -> None:
    learner = shift()
    learner.setup(tiny_stream().info)
    assert not learner.ready
    learn(learner, tiny_stream(), 1)
    assert learner.ready
