"""Incremental low-rank updates: the invariants of the four modes, a task in a plain loop, and the distillation."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts.weights import under
from cl.plan.plan import make_plan
from cl.random import Seeds
from cl.strategies.lora_merge import MODES, LoRAMerge
from cl.training import state
from cl.training.fit import FitSpec
from cl.training.trainer import Trainer
from tests.conftest import make, tiny_stream
from tests.help.oracles import InOrder, Oracle, half, identity, replay

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 8, "lr": 0.02, "augment": "none", "rank": 2}
ORACLE = Oracle("train-slca-b")  # its network, images and batches
LOW = ("merge", "drop")


def targets(learner: LoRAMerge) -> dict[str, Tensor]:
    """Copies of the target weights of the network that predicts."""
    return {name: value.detach().clone() for name, value in learner.weights().items()}


def pixels(count: int = 6) -> Tensor:
    return torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


# ------------------------------------------------------------------------------------------------------ invariants


def test_the_rank_of_the_update_of_a_task_is_at_most_r_and_of_t_tasks_at_most_t_r(learn: Learn) -> None:
    learner = make(LoRAMerge, **FAST)
    start = {name: value.detach().clone() for name, value in learner.backbone.model.named_parameters()}
    found = [start, *learn(learner, tiny_stream(), 3, lambda one, view: targets(one))]
    for task in range(3):
        for name, weight in found[task + 1].items():
            step, whole = weight - found[task][name], weight - start[name]
            assert torch.linalg.matrix_rank(step, atol=1e-5) == 2, "a rank below 2 would be no training"
            assert torch.linalg.matrix_rank(whole, atol=1e-5) == 2 * (task + 1)


@pytest.mark.parametrize("mode", LOW)
def test_the_first_step_starts_with_the_outputs_of_the_network_before(fits: list[dict[str, Any]], mode: str) -> None:
    learner, stream = make(LoRAMerge, **FAST, mode=mode), tiny_stream()
    learner.info = stream.info
    learner.setup(stream.info)
    images = learner.backbone.transform(pixels())
    for task in range(2):
        learner.trainer.journal.begin(task)
        base = targets(learner) if mode == "merge" else {}
        before = under(learner.backbone, base, images)
        view = stream.view(task)
        learner.learn(view)
        view.revoke()
        part = copy.deepcopy(learner.lora)
        assert part is not None
        part.set_state(fits[-1]["before"]["lora"])
        assert all(a.any() for a in part.a[0]) and not any(b.any() for b in part.b[0])
        with part.attached(learner.backbone):
            assert torch.equal(under(learner.backbone, base, images), before)


def test_the_merge_keeps_the_outputs(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    learner = make(LoRAMerge, **FAST)
    found: list[tuple[Tensor, Tensor]] = []
    merge = LoRAMerge._merge

    def watched(self: Any) -> None:
        images = self.backbone.transform(pixels())
        with torch.no_grad():
            with self.lora.attached(self.backbone):
                before = under(self.backbone, self.weights(), images)
            merge(self)
            found.append((before, self.extractor()(images)))

    monkeypatch.setattr(LoRAMerge, "_merge", watched)
    learn(learner, tiny_stream(), 3)
    assert len(found) == 3
    for before, after in found:
        assert torch.allclose(before, after, atol=1e-5)
    assert not torch.allclose(found[0][1], found[1][1], atol=1e-3)


def test_each_task_of_drop_equals_an_independent_run(learn: Learn) -> None:
    stream, after = tiny_stream(), []
    learner = make(LoRAMerge, **FAST, mode="drop")
    for found in learn(learner, stream, 3, lambda one, view: (targets(one), state.clone(one.head.get_state()))):
        after.append(found)
    for task in range(3):
        alone = make(LoRAMerge, **FAST, mode="drop")
        alone.info = stream.info
        alone.setup(stream.info)
        alone.trainer.journal.begin(task)
        alone.head.grow_to(2 * task, torch.Generator())  # heads of earlier tasks
        view = stream.view(task)
        alone.learn(view)
        view.revoke()
        weights, head = after[task]
        assert all(torch.equal(weights[name], value) for name, value in targets(alone).items())
        assert torch.equal(head["weights"][-1], alone.head.blocks[-1].weight)


@pytest.mark.parametrize("mode", MODES)
def test_weights_that_are_no_targets_never_change(learn: Learn, mode: str) -> None:
    learner = make(LoRAMerge, **FAST, mode=mode)
    before = state.clone(dict(learner.backbone.model.state_dict()))
    learn(learner, tiny_stream(), 2)
    now = dict(learner.backbone.model.state_dict())
    changed = {name for name in before if not torch.equal(before[name], now[name])}
    names = {f"blocks.{block}.attn.qkv.weight" for block in range(2)}
    assert changed == (set() if mode in LOW else names)
    assert set(learner.weights()) == names
    assert learner.backbone.is_pristine == (mode in LOW)


@pytest.mark.parametrize(("mode", "same"), [("full", False), ("full_reset", True)])
def test_full_reset_starts_every_task_from_the_pretrained_weights(
    learn: Learn, fits: list[dict[str, Any]], mode: str, same: bool
) -> None:
    learner = make(LoRAMerge, **FAST, mode=mode)
    pretrained = {name: value.clone() for name, value in learner.backbone.model.named_parameters()}
    learn(learner, tiny_stream(), 2)
    starts = [fit["before"]["backbone"] for fit in fits]
    assert not starts[0] and bool(starts[1]) != same
    name = "blocks.0.attn.qkv.weight"
    moved = learner.weights()[name] - pretrained[name]
    assert torch.linalg.matrix_rank(moved, atol=1e-5) > 4, "all directions train"


def test_earlier_heads_stay_without_distillation_and_train_with_it(learn: Learn) -> None:
    for lwf in (0.0, 5.0):
        learner = make(LoRAMerge, **FAST, lwf=lwf)
        one, two = learn(learner, tiny_stream(), 2, lambda it, view: state.clone(it.head.get_state()["weights"][0]))
        assert torch.equal(one, two) == (lwf == 0)


# ------------------------------------------------------------------------------------------------------ plain loops


class Low(nn.Module):
    """W x + b + scale B A x."""

    def __init__(self, layer: Any, a: Tensor, scale: float) -> None:
        super().__init__()
        self.layer, self.scale = layer, scale
        self.a, self.b = nn.Parameter(a.clone()), nn.Parameter(a.new_zeros(len(layer.weight), len(a)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.scale * x @ self.a.T @ self.b.T


def rate_of(step: int, warm: int, total: int) -> float:
    """The factor of the rate: up from 0, then half a cosine."""
    if step < warm:
        return step / warm
    return (1 + math.cos(math.pi * (step - warm) / (total - warm))) / 2


def test_two_tasks_end_in_the_weights_of_a_plain_loop() -> None:
    epochs, rate, decay = 9, 0.01, 0.05  # 36 steps, of which two warm up
    starts: list[Any] = []
    ends: list[Any] = []

    def given(task: int, spec: FitSpec) -> InOrder:
        return InOrder(spec.data, ORACLE.tensor(f"batches/{task}").repeat(3, 1), spec.epochs)

    def begin(learner: Any, task: int, phase: str) -> None:
        block = learner.head.blocks[-1]
        drawn = [a.detach().clone() for a in learner.lora.a[0]]
        starts.append((copy.deepcopy(learner.backbone.model), drawn, block.weight.clone(), block.bias.clone()))

    def after(learner: Any, task: int) -> None:
        block = learner.head.blocks[-1]
        ends.append((targets(learner), block.weight.clone(), block.bias.clone()))

    replay(
        LoRAMerge, ORACLE, {"train": given}, begin=begin, after=after, epochs=epochs, batch_size=4, lr=rate,
        weight_decay=decay, rank=2, scale=2.0, dropout=0.0, augment="none",
    )  # fmt: skip
    model, first = starts[0][0].requires_grad_(False), 0
    for task, (_, drawn, weight, bias) in enumerate(starts[:2]):
        low = []
        for block, a in zip(model.blocks, drawn, strict=True):
            block.attn.qkv = Low(block.attn.qkv, a, 2.0)
            low += [block.attn.qkv.a, block.attn.qkv.b]
        trained = [*low, weight.requires_grad_(), bias.requires_grad_()]
        optimizer = torch.optim.AdamW(trained, rate, weight_decay=decay)
        images, labels = ORACLE.images(f"pixels/{task}"), ORACLE.tensor(f"labels/{task}") - first
        batches = ORACLE.tensor(f"batches/{task}").repeat(3, 1)
        total = len(batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, [partial(rate_of, warm=total // 18, total=total)])
        for batch in batches:
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]) @ weight.T + bias, labels[batch]).backward()
            optimizer.step()
            schedule.step()
        for block in model.blocks:
            layer = block.attn.qkv.layer
            layer.weight.data += 2.0 * (block.attn.qkv.b @ block.attn.qkv.a).detach()
            block.attn.qkv = layer
        found, head, offset = ends[task]
        for number, block in enumerate(model.blocks):
            assert torch.allclose(found[f"blocks.{number}.attn.qkv.weight"], block.attn.qkv.weight, atol=1e-5)
        assert torch.allclose(head, weight, atol=1e-5) and torch.allclose(offset, bias, atol=1e-5)
        first += len(weight)


def test_the_distillation_compares_each_earlier_head_with_its_softened_predictions(learn: Learn) -> None:
    learner = make(LoRAMerge, **FAST, lwf=2.0, temperature=3.0)
    learn(learner, tiny_stream(), 2)
    assert learner.teacher is not None
    learner.teacher.copy_from(learner.backbone, learner.head, learner.weights())
    with torch.no_grad():
        for block in learner.head.blocks:
            block.weight.add_(0.1)
    images = learner.backbone.transform(pixels())
    features = learner.backbone(images) + 0.3
    with torch.no_grad():
        old = learner.extractor()(images)
        expected = torch.zeros(())
        for mine, theirs in zip(learner.head.blocks, learner.teacher.head.blocks, strict=True):
            q = (theirs(old) / 3).softmax(1)
            expected = expected - (q * (mine(features) / 3).log_softmax(1)).sum(1).mean()
    assert float(learner._distillation(images, features)) == pytest.approx(float(expected), rel=1e-5)


# ------------------------------------------------------------------------------------------- networks and bad input


class Convolutions(nn.Module):
    """A strided convolution and a 1x1 convolution called conv3, with batch norms."""

    num_features = 8

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6)
        self.conv3, self.bn3 = nn.Conv2d(6, 8, 1, bias=False), nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn3(self.conv3(self.bn1(self.conv1(x)).relu())).relu().mean((2, 3))


@pytest.mark.parametrize("mode", MODES)
def test_batch_norms_of_a_convolutional_network_keep_their_statistics(learn: Learn, mode: str) -> None:
    backbone = Backbone(Convolutions(), half(8), identity("convolutions", 8), Convolutions)
    learner = LoRAMerge(LoRAMerge.Options(**FAST, mode=mode), backbone, Trainer(seeds=Seeds()))
    before = state.clone(dict(backbone.model.state_dict()))
    learn(learner, tiny_stream(), 2)
    assert all(torch.equal(before[name], value) for name, value in backbone.model.named_buffers())
    assert set(learner.weights()) == {"conv3.weight"}
    moved = learner.weights()["conv3.weight"] - before["conv3.weight"]
    assert moved.abs().max() > 1e-3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rank": 17}, "rank=17 does not fit layer blocks.0.attn.qkv"),
        ({"targets": ("conv3",)}, "no layer whose name ends in 'conv3'"),
        ({"targets": ("norm1",), "mode": "full"}, "is a LayerNorm"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make(LoRAMerge, **{**FAST, **options}).setup(tiny_stream().info)


def test_the_presets_have_the_values_of_the_authors_configuration() -> None:
    cars = make_plan("lora-merge", "stanford-cars", "vit_base_patch16_224.augreg_in1k").options
    assert (cars.epochs, cars.batch_size, cars.lr, cars.weight_decay) == (20, 32, 1e-3, 1e-2)
    assert (cars.scale, cars.dropout, cars.mode, cars.lwf) == (2.0, 0.1, "merge", 0.0)
    birds = make_plan("lora-merge", "cub-200", "resnet50.a1_in1k").options
    assert (birds.epochs, birds.dropout) == (40, 0.0), "the code trains a ResNet in evaluation mode"
    assert make_plan("lora-merge", "cub-200", "vit_base_patch16_224.augreg_in1k").options.dropout == 0.1
    full = make_plan("lora-merge", "cub-200", "resnet50.a1_in1k", preset="full").options
    assert (full.mode, full.weight_decay, full.lr, full.epochs) == ("full", 0.0, 1e-3, 40)
    lwf = make_plan("lora-merge", "split-digits", preset="lwf").options
    assert (lwf.lwf, lwf.temperature) == (5.0, 2.0)
