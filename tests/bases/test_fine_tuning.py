"""finetune, linear-probe, joint and simplecil: the invariants of their sheets."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from cl.parts.heads.growing import GrowingHead
from cl.parts.losses import local_cross_entropy
from cl.random import Seeds
from cl.strategies.finetune import Finetune
from cl.strategies.joint import Joint
from cl.strategies.linear_probe import LinearProbe
from cl.strategies.simplecil import SimpleCIL
from cl.strategy import Inputs
from cl.training import state
from tests.conftest import equal, make, run, tensors, tiny_stream

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_one_seed_gives_one_result(learn: Learn, optimizer: str) -> None:
    one, two = (make(Finetune, **FAST, optimizer=optimizer) for _ in range(2))
    other = make(Finetune, **FAST, optimizer=optimizer, seeds=Seeds(data=7))
    for learner in (one, two, other):
        learn(learner, tiny_stream(), 2)
    assert equal(one, two) and not equal(one, other)


def test_old_head_rows_under_local_loss(learn: Learn) -> None:
    """Exactly zero data gradient, dense: bit-identical without weight decay, shrunk by (1 - lr wd) per step with it."""
    for decay in (0.0, 0.1):
        learner = make(Finetune, **FAST, weight_decay=decay, momentum=0.0)
        kept = learn(learner, tiny_stream(), 2, lambda s, v: state.clone(s.head.get_state()["weights"][0]))
        steps = 2 * 2  # two epochs of 24 images in batches of 16
        if decay:
            assert torch.allclose(kept[1], kept[0] * (1 - 0.05 * decay) ** steps, rtol=1e-5)
        else:
            assert torch.equal(kept[1], kept[0])


def test_local_and_global_loss_coincide_on_the_first_task_only(learn: Learn) -> None:
    local, both = make(Finetune, **FAST, loss="local"), make(Finetune, **FAST, loss="global")
    learn(local, tiny_stream(), 1)
    learn(both, tiny_stream(), 1)
    assert equal(local, both)
    local, both = make(Finetune, **FAST, loss="local"), make(Finetune, **FAST, loss="global")
    learn(local, tiny_stream(), 2)
    learn(both, tiny_stream(), 2)
    assert not equal(local, both)


def test_local_cross_entropy_is_the_masked_softmax() -> None:
    logits, labels = torch.randn(6, 7), torch.tensor([2, 5, 5, 2, 3, 3])
    logits.requires_grad_(True)
    masked = logits.detach().clone()
    masked[:, [0, 1, 4, 6]] = float("-inf")
    loss = local_cross_entropy(logits, labels, (2, 3, 5))
    assert torch.allclose(loss, F.cross_entropy(masked, labels))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[:, [0, 1, 4, 6]] == 0).all()


def test_joint_on_one_task_is_finetune_step_for_step(learn: Learn) -> None:
    stream = tiny_stream(tasks=1)
    joint, finetune = make(Joint, **FAST), make(Finetune, **FAST, loss="global")
    learn(joint, stream, 1)
    learn(finetune, stream, 1)
    assert equal(joint, finetune)


def test_backbone_rate_zero_is_the_sequential_linear_probe(learn: Learn) -> None:
    options = {**FAST, "augment": "none"}
    finetune, probe = make(Finetune, **options, backbone_lr_scale=0.0), make(LinearProbe, **options)
    # dropout is the one thing a trained backbone does that a frozen one does not
    for module in finetune.backbone.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    learn(finetune, tiny_stream(), 2)
    learn(probe, tiny_stream(), 2)
    one, two = tensors(finetune), tensors(probe)
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)


@pytest.mark.parametrize("augment", ["none", "flip"])
def test_linear_probe_leaves_the_backbone_bit_identical(learn: Learn, augment: str) -> None:
    learner = make(LinearProbe, **{**FAST, "augment": augment})
    before = state.clone(dict(learner.backbone.model.state_dict()))
    learn(learner, tiny_stream(), 2)
    assert all(torch.equal(before[name], value) for name, value in learner.backbone.model.state_dict().items())
    assert learner.backbone.is_pristine and set(learner.get_state()["backbone"]) == set()


def test_joint_has_only_a_last_row_and_no_forgetting(tmp_path: Path) -> None:
    record = run(make(Joint, **FAST), tiny_stream(), tmp_path)
    correct = record["result"]["accuracy"]["cil_seen"]["correct"]
    assert all(value is None for row in correct[:-1] for value in row) and None not in correct[-1]
    metrics = record["result"]["metrics"]["cil_seen"]
    assert metrics["A_last_sample"] > 0
    assert all(metrics[name] is None for name in ("F_chaudhry", "BWT", "A_inc_sample", "LA", "F_max_all"))
    assert record["result"]["strategy"]["access"] == "past"


def test_joint_oracle_trains_a_fresh_model_after_every_task(tmp_path: Path) -> None:
    stream = tiny_stream()
    record = run(make(Joint, **FAST, form="oracle"), stream, tmp_path / "oracle")
    assert record["result"]["metrics"]["cil_seen"]["A_inc_sample"] is not None
    # the model after the last task saw what `once` sees, from the same start: the same draws but for the task's name
    once = run(make(Joint, **FAST, form="once"), stream, tmp_path / "once")
    last = [each["result"]["accuracy"]["cil_seen"]["correct"][-1] for each in (record, once)]
    assert last[0] == last[1]


def test_joint_does_not_depend_on_the_class_order_beyond_its_draws(tmp_path: Path) -> None:
    """Without draws (zero head, one batch of everything, no augmentation) two orders give one last row."""
    options: dict[str, Any] = {"epochs": 20, "batch_size": 1000, "lr": 0.5, "augment": "none"}
    counts = []
    for seed in (1993, 7):
        learner = make(Joint, **options, trains="head", head_init="zero")
        record = run(learner, tiny_stream(seed), tmp_path / str(seed))
        order = record["result"]["stream"]["class_order"]
        correct = record["result"]["accuracy"]["cil_seen"]["class_correct"][-1]
        counts.append([count for _, count in sorted(zip(order, correct, strict=True))])
    assert counts[0] == counts[1] and sum(counts[0]) > 6


def test_joint_head_only_leaves_the_backbone_alone(learn: Learn) -> None:
    learner = make(Joint, **{**FAST, "augment": "none"}, trains="head")
    learn(learner, tiny_stream(), 5)
    assert learner.backbone.is_pristine and learner.head.classes == 10


def test_simplecil_does_not_depend_on_order_or_split(tmp_path: Path) -> None:
    last = set()
    for i, (seed, tasks) in enumerate([(1993, 5), (7, 5), (1993, 2), (3, 10), (1, 1)]):
        record = run(make(SimpleCIL), tiny_stream(seed, tasks=tasks), tmp_path / str(i))
        last.add(record["result"]["metrics"]["cil_seen"]["A_last_sample"])
    assert len(last) == 1


def test_adding_a_class_never_changes_other_prototypes(learn: Learn) -> None:
    learner = make(SimpleCIL)
    kept = learn(learner, tiny_stream(), 5, lambda s, v: s.prototypes.clone())
    for earlier, later in pairwise(kept):
        assert torch.equal(earlier, later[: len(earlier)])


def test_prototypes_are_means_and_the_scale_does_not_matter(learn: Learn) -> None:
    learner, stream = make(SimpleCIL), tiny_stream()

    def check(strategy: SimpleCIL, view: Any) -> None:
        with torch.no_grad():
            features = strategy.backbone(strategy.backbone.transform(view.train.pixels(slice(None))))
        for position in view.classes:
            mean = features[view.train.labels == position].mean(0)
            assert torch.allclose(strategy.prototypes[position], mean, atol=1e-5)

    learn(learner, stream, 5, check)
    inputs = Inputs(torch.from_numpy(stream.dataset.test.pixels[:20].copy()).permute(0, 3, 1, 2))
    scores = learner.predict(inputs)
    learner.prototypes = learner.prototypes * 11
    assert torch.equal(scores.argmax(1), learner.predict(inputs).argmax(1))
    assert scores.abs().max() <= 1 + 1e-5, "cosines"


def test_growing_head_draws_are_named_and_grow_only() -> None:
    head = GrowingHead(8, init="kaiming")
    head.grow_to(4, torch.Generator().manual_seed(0))
    first = head.blocks[0].weight.clone()
    head.grow_to(4, torch.Generator().manual_seed(9))
    head.grow_to(6, torch.Generator().manual_seed(1))
    assert head.widths == [4, 2] and torch.equal(first, head.blocks[0].weight)
    assert head.blocks[1].weight.abs().max() <= 8**-0.5 and (head.blocks[0].bias == 0).all()
    with pytest.raises(Exception, match="cannot shrink"):
        head.grow_to(2, torch.Generator())
