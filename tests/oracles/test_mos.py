"""MOS against LAMDA-PILOT @2647455: merging, training, alignment, and prediction by self-refinement."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cl.strategies.mos import MOS
from cl.strategy import Inputs
from cl.training.batches import Source
from cl.training.fit import FitSpec
from tests.help.oracles import InOrder, Oracle, Replay, features, names, replay, rows
from tests.help.oracles_tuned import adapters_of, as_many_steps, compare_adapters, fill


@pytest.mark.parametrize("name", names("mos-merge"))
def test_merging(name: str) -> None:
    oracle = Oracle(name)
    for momentum in oracle.meta["momenta"]:
        first, second, merged = (adapters_of(oracle, f"{momentum}/set/{number}") for number in range(3))
        first.blend(second, 0.5)
        merged.blend(first, momentum)
        compare_adapters(oracle, "forward", merged, f"{momentum}/merged1")
        for _ in range(2):
            merged.blend(first, momentum)
        compare_adapters(oracle, "forward", merged, f"{momentum}/merged3")


@pytest.mark.parametrize("name", names("train-mos-merge0.0") + names("train-mos-merge0.1"))
def test_every_task_ends_in_the_weights_of_the_code(name: str) -> None:
    oracle = Oracle(name)
    meta, trainers = oracle.meta, []

    def begin(learner: Any, task: int, phase: str) -> None:
        trainers.append(learner.trainer)
        if task == 0:
            fill(learner.adapters, oracle.group("init/adapter")).dropout = meta["dropout"]
        block = learner.head.blocks[-1]
        start = learner.head.classes - block.out_features
        block.weight.copy_(oracle.tensor("init/head_weight")[start : learner.head.classes])

    def after(learner: Any, task: int) -> None:
        compare_adapters(oracle, "training", learner.sets[task], f"final/{task}/adapter")
        oracle.compare("training", rows_of(learner.head), oracle.tensor(f"final/{task}/head_weight"))
        oracle.compare("training", biases_of(learner.head), oracle.tensor(f"final/{task}/head_bias"))
        oracle.compare("training", learner.gaussians.mean, oracle.tensor(f"final/{task}/means"))
        oracle.compare("loss", trainers[0].losses[task, "adapters"], oracle.tensor(f"loss/{task}"))

    replay(
        MOS, oracle, {"adapters": as_many_steps(rows(oracle), {}, "adapters")}, begin=begin, after=after,
        augment="none", rank=meta["rank"], epochs=meta["epochs"], batch_size=4, lr=meta["lr"],
        head_lr_scale=meta["head_lr"] / meta["lr"], momentum=meta["momentum"], weight_decay=meta["weight_decay"],
        merge=meta["merge"], reg=meta["reg"], ca_epochs=0,
    )  # fmt: skip


def test_adapters_and_head_decay() -> None:
    # the files train without decay; after one step, decay has moved a parameter by -rate x decay x its start
    oracle, decay = Oracle("train-mos-merge0.0-a"), 0.05
    lr, head_lr = oracle.meta["lr"], oracle.meta["head_lr"]
    starts, ends = [], []

    def given(task: int, spec: FitSpec) -> Source:
        return InOrder(spec.data, oracle.tensor(f"batches/{task}")[:1], 1)

    def begin(learner: Any, task: int, phase: str) -> None:
        learner.adapters.dropout = 0.0
        if task == 0:
            starts.append((learner.adapters.down.clone(), rows_of(learner.head).clone()))

    def after(learner: Any, task: int) -> None:
        if task == 0:
            ends.append((learner.adapters.down.clone(), rows_of(learner.head).clone()))

    for value in (0.0, decay):
        replay(
            MOS, oracle, {"adapters": given}, begin=begin, after=after, augment="none", rank=2, epochs=1, batch_size=4,
            lr=lr, head_lr_scale=head_lr / lr, weight_decay=value, ca_epochs=0,
        )  # fmt: skip
    for start, without, with_decay, rate in zip(starts[0], *ends, (lr, head_lr), strict=True):
        assert torch.allclose(with_decay - without, -rate * decay * start, atol=1e-7)


@pytest.mark.parametrize("name", names("train-align-mos"))
def test_the_alignment_ends_in_the_weights_of_the_code(name: str) -> None:
    oracle = Oracle(name)
    meta, phase = oracle.meta, "classifier alignment"
    own: dict[tuple[int, str], Any] = {}
    trainers: list[Replay] = []

    def begin(learner: Any, task: int, running: str) -> None:
        trainers.append(learner.trainer)
        if running == phase:
            state = learner.head.get_state()
            widths = [len(part) for part in state["weights"]]
            weights, biases = (oracle.tensor(f"start/{task}/head_{kind}").split(widths) for kind in ("weight", "bias"))
            learner.head.set_state({"weights": list(weights), "biases": list(biases)})

    def after(learner: Any, task: int) -> None:
        if task:
            oracle.compare("training", rows_of(learner.head), oracle.tensor(f"final/{task}/head_weight"))
            oracle.compare("training", biases_of(learner.head), oracle.tensor(f"final/{task}/head_bias"))
            oracle.compare("loss", trainers[0].losses[task, phase], oracle.tensor(f"loss/{task}"))

    replay(
        MOS, oracle, {phase: as_many_steps(features(oracle), own, phase)}, begin=begin, after=after, augment="none",
        epochs=1, batch_size=meta["samples_per_class"] // 5, lr=0.013, weight_decay=meta["weight_decay"],
        momentum=meta["momentum"], ca_epochs=meta["epochs"], ca_lr=meta["lr"], rank=2,
    )  # fmt: skip
    assert all(source.per_class == meta["samples_per_class"] and source.scale is None for source in own.values())


@pytest.mark.parametrize("name", names("mos-predict"))
def test_prediction_by_self_refinement(name: str) -> None:
    oracle = Oracle(name)
    meta, backbone = oracle.meta, oracle.backbone()
    learner = MOS(MOS.Options(rank=meta["rank"], refine=meta["refine"]), backbone, Replay({}))
    learner.setup(None)  # type: ignore[arg-type]
    weight, bias = oracle.tensor("head_weight"), oracle.tensor("head_bias")
    learner.head.set_state({"weights": [weight], "biases": [bias]})
    learner.prototypes = oracle.tensor("prototypes")
    learner.task_of = [c // meta["classes_per_task"] for c in range(len(weight))]
    for task in range(meta["tasks"]):
        learner.sets.store(adapters_of(oracle, f"set/{task}"))
    pixels = oracle.tensor("pixels")
    for task in range(meta["tasks"]):
        found = learner.sets[task](backbone, oracle.images())
        oracle.compare("forward", found, oracle.tensor("features")[:, task])
    oracle.compare("forward", learner.predict_images(pixels), oracle.tensor("scores"))
    inputs = Inputs(pixels, learner.device)
    start = torch.nn.functional.normalize(oracle.tensor("features")[:, 0])
    start = (start @ torch.nn.functional.normalize(learner.prototypes).T).argmax(1) // meta["classes_per_task"]
    with torch.no_grad():
        oracle.compare("forward", learner.refined(inputs, start), oracle.tensor("logits"))


def rows_of(head: Any) -> torch.Tensor:
    return torch.cat([block.weight for block in head.blocks])


def biases_of(head: Any) -> torch.Tensor:
    return torch.cat([block.bias for block in head.blocks])
