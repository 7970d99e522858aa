"""The tricks: each against a plain loop by its formula; all of them off is the baseline bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts.losses import supervised_contrastive
from cl.parts.views import TwoViews, pseudo_classes
from cl.strategies.fscil_frozen import FSCILFrozen
from cl.strategies.fscil_tricks import FSCILTricks
from cl.testing import tiny_backbone
from cl.training.batches import Batch
from tests.conftest import run
from tests.help.frozen_means import OFF, cosine, features, few_shot, learner, tensors, tiny_resnet
from tests.help.plain_loops import Tensors, close, descend

Learn = Callable[..., list[Any]]
BACKBONES: dict[str, Callable[[], Backbone]] = {"vit": tiny_backbone, "resnet": tiny_resnet}
NETWORK = (0, "network")
SHORT: dict[str, Any] = {"epochs": 1, "pretrain_epochs": 1, "subnet_lr": 0.02, "pretrain_lr": 0.01}


def tricks(backbone: Backbone | None = None, **options: Any) -> Any:
    """A learner with the tricks of `options` only."""
    return learner(FSCILTricks, backbone, **{**OFF, **options})


def projected(held: Tensors, found: Tensor) -> Tensor:
    first, second = ({k: held[f"projector.layers.{n}.{k}"] for k in ("weight", "bias")} for n in (0, 2))
    return F.linear(F.linear(found, **first).relu(), **second)


def test_without_a_trick_it_is_the_baseline_bit_for_bit(learn: Learn) -> None:
    def after(strategy: Any, view: Any) -> dict[str, Tensor]:
        return {**tensors(strategy), "prototypes": strategy.prototypes.clone()}

    ours, base = (learn(s, few_shot(), 3, after) for s in (tricks(), learner(FSCILFrozen)))
    for one, two in zip(ours, base, strict=True):
        assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


CASES: dict[str, tuple[dict[str, Any], int]] = {
    "supcon": ({"supcon": 0.7}, 2),
    "simplex": ({"prototypes": "simplex"}, 1),
    "dot": ({"prototypes": "simplex", "alignment": "dot"}, 1),
    "rotations": ({"pseudo": "rotations"}, 4),
    "mixes": ({"pseudo": "mixes", "mixes": 2}, 3),
    "pretext": ({"rotation": 0.6}, 4),
    "all": ({"supcon": 0.7, "prototypes": "simplex", "pseudo": "rotations", "rotation": 0.6}, 5),
    "all, dot, mixes": (
        {"supcon": 0.7, "prototypes": "simplex", "alignment": "dot", "pseudo": "mixes", "rotation": 0.6}, 6,
    ),
}  # fmt: skip
"""Tricks of the first task, and rows of a batch per image."""


@pytest.mark.parametrize("case", CASES)
def test_the_first_task_is_the_plain_loop(case: str, learn: Learn) -> None:
    options, copies = CASES[case]
    strategy = tricks(**options, supcon_temperature=0.3, epochs=1)
    learn(strategy, few_shot(), 1)
    batches, start = strategy.trainer.batches[NETWORK], strategy.trainer.before[NETWORK]
    assert [len(batch) for batch in batches] == [18 * copies] * 4
    model, pseudo = tiny_backbone().model, options.get("pseudo", "none")
    vertices = None if strategy.simplex is None else strategy.simplex.vertices
    assert (vertices is None) == ("head.weight" in start)

    def loss(held: Tensors, batch: Batch) -> Tensor:
        found = features(model, held, batch.x)
        turned = 54 if options.get("rotation") and pseudo != "rotations" else 0
        known, labels = found[: len(found) - turned], batch.y[: len(found) - turned]
        assert int(labels.max()) < 6 + pseudo_classes(pseudo, 6)
        rows = held["head.weight"] if vertices is None else vertices
        columns = torch.cat([rows, held["extra.weight"]]) if pseudo != "none" else rows
        losses = []
        for own, label in zip(cosine(known, columns), labels.tolist(), strict=True):
            place = label if label < 6 else len(rows) + label - 6
            dot = options.get("alignment") == "dot" and label < 6
            losses.append(0.5 * (own[place] - 1) ** 2 if dot else -(4 * own).log_softmax(0)[place])
        total = torch.stack(losses).mean()
        if options.get("supcon"):
            total = total + 0.7 * supervised_contrastive(projected(held, known), labels, 0.3)
        if options.get("rotation"):
            values = 4 * cosine(torch.cat([found[:18], found[-54:]]), held["turns.weight"])
            total = total + 0.6 * F.cross_entropy(values, torch.tensor([0] * 18 + [1] * 18 + [2] * 18 + [3] * 18))
        return total

    fixed = {name: start.pop(name) for name in list(start) if name.endswith(".scale")}
    plain = descend(
        start, batches, loss, lambda step: 0.01, momentum=0.8, decay=lambda name: 0.02, nesterov=True
    )  # fmt: skip
    close(strategy.trainer.after[NETWORK], plain | fixed)


def test_pre_training_is_simclr_by_sgd_with_a_cosine(learn: Learn) -> None:
    options: dict[str, Any] = {
        "pretrain_epochs": 2,
        "pretrain_lr": 0.05,
        "pretrain_temperature": 0.4,
        "pretrain_augment": "rrc-flip",
    }
    strategy = tricks(**options, epochs=1, projection=5)
    learn(strategy, few_shot(), 1)
    key = 0, "self-supervised"
    assert list(strategy.trainer.batches) == [key, NETWORK]
    spec, batches = strategy.trainer.specs[key], strategy.trainer.batches[key]
    assert isinstance(spec.data, TwoViews) and spec.data.augment == "rrc-flip"
    assert [len(batch) for batch in batches] == [36] * 8

    def loss(held: Tensors, batch: Batch) -> Tensor:
        z = F.normalize(projected(held, features(tiny_backbone().model, held, batch.x)))
        total = torch.zeros(())
        for i in range(36):
            others = [j for j in range(36) if j != i]
            shares = (z[i] @ z[others].T / 0.4).log_softmax(0)
            total = total - shares[others.index((i + 18) % 36)] / 36
        return total

    start = strategy.trainer.before[key]
    fixed = {name: start.pop(name) for name in list(start) if name.startswith("head")}
    plain = descend(
        start, batches, loss, lambda step: 0.05 * (1 + math.cos(math.pi * (step // 4) / 2)) / 2,
        momentum=0.8, decay=lambda name: 0.02,
    )  # fmt: skip
    close(strategy.trainer.after[key], plain | fixed)
    after = strategy.trainer.before[NETWORK]
    assert all(torch.equal(after[name], strategy.trainer.after[key][name]) for name in plain), "the task starts there"


@pytest.mark.parametrize("prototypes", ["simplex", "trained"])
@pytest.mark.parametrize("kind", BACKBONES)
def test_later_tasks_tune_the_smallest_weights_of_one_block(kind: str, prototypes: str, learn: Learn) -> None:
    options = {"epochs": 1, "subnet": 0.3, "subnet_lr": 0.1, "subnet_epochs": 2, "prototypes": prototypes}
    strategy = tricks(BACKBONES[kind](), **options)
    seen = learn(strategy, few_shot(), 3, lambda s, view: (tensors(s), s.prototypes.clone(), s._means(view)))
    first = seen[0][0]
    for name, mask in zip(strategy._late, strategy.subnet.values, strict=True):
        size, count = first[name].abs(), int(mask.sum())
        assert abs(count - 0.3 * mask.numel()) <= 1 and float(size[mask].max()) <= float(size[~mask].min())
    masks = dict(zip(strategy._late, strategy.subnet.values, strict=True))
    assert masks and strategy.report() == {"tuned weights": sum(int(mask.sum()) for mask in masks.values())}
    for (before, _, _), (network, prototypes_then, means) in pairwise(seen):
        moved = 0
        for name, tensor in network.items():  # norms and their statistics too
            mask = masks.get(name, torch.zeros(tensor.shape, dtype=torch.bool))
            assert torch.equal(tensor[~mask], before[name][~mask]), name
            moved += int((tensor != before[name]).sum())
        assert moved > 0
        assert torch.equal(prototypes_then[-2:], means), "means are taken after the weights moved"
        assert torch.equal(strategy.prototypes[: len(prototypes_then)], prototypes_then)


@pytest.mark.parametrize(("prototypes", "lr"), [("simplex", 0.05), ("trained", 5.0)])
def test_a_later_task_is_the_plain_loop(prototypes: str, lr: float, learn: Learn) -> None:
    """w <- w - lr m v on the cross-entropy to vertices, or to means taken before; no weight decay, no Nesterov."""
    options: dict[str, Any] = {"epochs": 1, "lr": 0.003, "scale": 16.0, "subnet_lr": lr, "subnet_epochs": 3}
    strategy, kept = tricks(**options, subnet=0.4, prototypes=prototypes), []

    def after(s: Any, view: Any) -> tuple[Tensors, Tensor, Any]:
        kept.append(s.prototypes.clone())
        return tensors(s), s._means(view), view

    learn(strategy, few_shot(), 2, after)
    key = 1, "subnetwork"
    batches, start = strategy.trainer.batches[key], strategy.trainer.before[key]
    assert [len(batch) for batch in batches] == [6] * 3
    model, masks = tiny_backbone().model, dict(zip(strategy._late, strategy.subnet.values, strict=True))
    view = few_shot().view(1)
    with torch.no_grad():
        images = features(model, start, strategy.backbone.transform(view.train.pixels(slice(None))))
    means = torch.stack([images[view.train.labels == position].mean(0) for position in view.classes])
    anchors = torch.cat([kept[0], means]) if strategy.simplex is None else strategy.simplex.vertices[:8]
    held = {name: value for name, value in start.items() if name in masks}
    others = {name: value for name, value in start.items() if name not in masks}

    def loss(trained: Tensors, batch: Batch) -> Tensor:
        masked = {name: trained[name] * mask + held[name] * ~mask for name, mask in masks.items()}
        return F.cross_entropy(16 * cosine(features(model, {**others, **masked}, batch.x), anchors), batch.y)

    plain = descend(held, batches, loss, lambda step: lr, momentum=0.8)
    close({name: strategy.trainer.after[key][name] for name in held}, plain)
    assert max(float((plain[name] - value).abs().max()) for name, value in held.items()) > 1e-3, "and it moves"


def test_everything_at_once_and_only_what_is_needed_is_kept(tmp_path: Path) -> None:
    strategy = learner(FSCILTricks, **SHORT)
    record = run(strategy, few_shot(), tmp_path)
    assert record["result"]["count"] == [12, 4, 4]
    assert strategy.head is None and strategy.extra is None and strategy.projector is None and strategy.turns is None
    assert list(strategy.trainer.batches) == [
        (0, "self-supervised"), NETWORK, (1, "subnetwork"), (2, "subnetwork"),
    ]  # fmt: skip


def test_what_cannot_be_is_one_sentence() -> None:
    with pytest.raises(
        UsageError, match=r"each of 10 classes needs features of as many dimensions; this backbone has 8"
    ):
        tricks(tiny_backbone(dim=8), prototypes="simplex").setup(few_shot().info)
    with pytest.raises(UsageError, match="block=layer9 has no weights of its own"):
        tricks(tiny_resnet(), subnet=0.1, subnet_block="layer9").setup(few_shot().info)
