"""LoRA against peft, lora-merge against AlbinSou/lora_cl_analysis @dec7d3a: passes, merges, trainings in all modes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.parts.attached import LoRA
from cl.strategies.lora_merge import LoRAMerge
from tests.help.oracles import Oracle, half, identity, losses_of, names, replay, rows
from tests.help.oracles_tuned import as_many_steps


class Convolutions(nn.Sequential):
    """The two convolutions of a file; the features are the channels of its one output pixel after another."""

    num_features = 6


@pytest.mark.parametrize("name", names("forward-lora"))
def test_features_with_lora_and_merged_weights(name: str) -> None:
    oracle = Oracle(name)
    backbone = oracle.backbone()
    part = LoRA(backbone, oracle.meta["rank"], ("attn.qkv",), scale=oracle.meta["scale"], generator=torch.Generator())
    with torch.no_grad():
        for number in range(len(part.sites)):
            part.a[0][number].copy_(oracle.tensor(f"a/{number}"))
            part.b[0][number].copy_(oracle.tensor(f"b/{number}"))
    oracle.compare("forward", part(backbone, oracle.images()), oracle.tensor("features"))
    part.merge(backbone)
    oracle.compare("forward", backbone(oracle.images()), oracle.tensor("merged/features"))
    for number, site in enumerate(part.sites):
        weight = backbone.model.get_parameter(f"{site.layer}.weight")
        oracle.compare("forward", weight, oracle.tensor(f"merged/{number}"))


@pytest.mark.parametrize("name", names("forward-lora"))
def test_convolutions_with_lora_and_merged_weights(name: str) -> None:
    oracle = Oracle(name)
    network = Convolutions()
    network.add_module("conv1", nn.Conv2d(3, 8, 3, stride=2, padding=1))
    network.add_module("conv3", nn.Conv2d(8, 6, 1))
    backbone = Backbone(network, half(8), identity(name, 6))
    part = LoRA(
        backbone, oracle.meta["rank"], ("conv1", "conv3"), scale=oracle.meta["scale"], generator=torch.Generator()
    )
    with torch.no_grad():
        for number, layer in enumerate(("conv1", "conv3")):
            for key in ("weight", "bias"):
                network.get_parameter(f"{layer}.{key}").copy_(oracle.tensor(f"convs/{layer}/{key}"))
            part.a[0][number].copy_(oracle.tensor(f"convs/{layer}/a"))
            part.b[0][number].copy_(oracle.tensor(f"convs/{layer}/b"))
    with part.attached(backbone):
        oracle.compare("forward", network(oracle.tensor("convs/x")), oracle.tensor("convs/y"))
    for layer in ("conv1", "conv3"):
        merged = network.get_parameter(f"{layer}.weight") + part.deltas()[f"{layer}.weight"]
        oracle.compare("forward", merged, oracle.tensor(f"convs/{layer}/merged"))


@pytest.mark.parametrize("name", names("train-lora-merge"))
def test_every_task_ends_in_the_weights_of_the_code(name: str) -> None:
    oracle = Oracle(name)
    meta = oracle.meta

    def begin(learner: Any, task: int, phase: str) -> None:
        block = learner.head.blocks[-1]
        block.weight.copy_(oracle.tensor(f"init/{task}/head_weight"))
        block.bias.copy_(oracle.tensor(f"init/{task}/head_bias"))
        if learner.lora is not None:
            for number, a in enumerate(learner.lora.a[0]):
                a.copy_(oracle.tensor(f"init/{task}/a/{number}"))

    def after(learner: Any, task: int) -> None:
        final: dict[str, Tensor] = oracle.group(f"final/{task}")
        for key, weight in learner.weights().items():
            oracle.compare("training", weight, final[key])
        for number, block in enumerate(learner.head.blocks):
            oracle.compare("training", block.weight, final[f"head_weight/{number}"])
            oracle.compare("training", block.bias, final[f"head_bias/{number}"])
        oracle.compare("training", learner.extractor()(oracle.images("pixels/0")), final["features"])

    learner = replay(
        LoRAMerge, oracle, {"train": as_many_steps(rows(oracle), {}, "train")}, begin=begin, after=after,
        mode=meta["mode"], lwf=meta["lwf"], temperature=meta["temperature"], rank=meta["rank"], scale=meta["scale"],
        lr=meta["lr"], weight_decay=meta["weight_decay"], epochs=meta["epochs"], batch_size=4, dropout=0.0,
        augment="none",
    )  # fmt: skip
    if not meta["lwf"]:
        for task in range(oracle.tasks):
            oracle.compare("loss", losses_of(learner)[task, "train"], oracle.tensor(f"loss/{task}"), "losses")
