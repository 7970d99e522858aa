"""FOSTER against G-U-N/ECCV22-FOSTER @555c7f0: whole trainings of three tasks, exemplars and both answers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.parts.heads import GrowingHead
from cl.parts.losses import effective_weights
from cl.strategies.foster import Foster
from tests.help.oracles import Given, InOrder, Oracle, Replay, half, identity, names, replay

DIM = 5


class Net(nn.Module):
    """The network of the files."""

    num_features = DIM

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, stride=2, bias=False), nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, DIM, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv2(torch.relu(self.bn1(self.conv1(x))))).flatten(1)


def given(oracle: Oracle, phase: str) -> Given:
    return lambda task, spec: InOrder(spec.data, oracle.tensor(f"{phase}/{task}/batches").long(), spec.epochs)


def options(oracle: Oracle) -> dict[str, Any]:
    o = oracle.meta["options"]
    return {
        "epochs": o["init_epochs"], "boost_epochs": o["boosting_epochs"], "compress_epochs": o["compression_epochs"],
        "batch_size": o["batch_size"], "lr": o["lr"], "weight_decay": o["weight_decay"], "temperature": float(o["T"]),
        "beta1": tuple(o["beta1"]) if isinstance(o["beta1"], list) else (o["beta1"],), "beta2": o["beta2"],
        "kd": float(o["lambda_okd"]), "old_features": {"ft": "train", "az": "zero"}[o["oofc"]],
        "align_teacher": o["is_teacher_wa"], "align_student": o["is_student_wa"], "align_base": float(o["wa_value"]),
        "memory_size": o["memory_size"], "memory_per_class": o["memory_per_class"] * o["fixed_memory"],
        "augment": "none",
    }  # fmt: skip


def rows_of(head: GrowingHead, weight: str = "weight") -> Tensor:
    return torch.cat([getattr(block, weight) for block in head.blocks])


def put(head: GrowingHead, oracle: Oracle, key: str) -> None:
    """Set the weights of a head to those of the file."""
    for name in ("weight", "bias"):
        for block, values in zip(head.blocks, oracle.tensor(f"{key}/{name}").split(head.widths), strict=True):
            getattr(block, name).copy_(values)


def compare(head: GrowingHead, oracle: Oracle, key: str) -> None:
    for name in ("weight", "bias"):
        oracle.compare("training", rows_of(head, name), oracle.tensor(f"{key}/{name}"))


def compare_networks(tensors: dict[str, Tensor], oracle: Oracle, key: str) -> None:
    for name, values in oracle.group(key).items():
        oracle.compare("training", tensors[name], values)


def compare_class_weights(oracle: Oracle) -> None:
    for task, held in ((1, oracle.tensor("memory_labels/0")), (2, oracle.tensor("memory_labels/1"))):
        counts = torch.cat([held.long(), oracle.tensor(f"labels/{task}").long()]).bincount()
        for phase, key in (("boost", "beta1"), ("compress", "beta2")):
            beta = oracle.meta["options"][key]
            beta = beta[task - 1] if isinstance(beta, list) else beta
            oracle.compare("forward", effective_weights(counts, beta), oracle.tensor(f"{phase}/{task}/weights"))


@pytest.mark.parametrize("name", names("train-foster"))
def test_three_tasks_end_in_the_same_networks_heads_exemplars_and_answers(name: str) -> None:
    oracle = Oracle(name)
    model = Net()
    model.load_state_dict(oracle.group("init/net"), strict=False)
    images = torch.cat([oracle.tensor(f"pixels/{task}") for task in range(3)])
    phases: list[str] = []

    def begin(learner: Foster, task: int, phase: str) -> None:
        phases.append(phase)
        if phase == "boost":
            start, old = oracle.tensor(f"boost/{task}/init/fc/weight"), learner.head.classes
            oracle.compare("training", rows_of(learner.fused)[:old, :DIM], start[:old, :DIM])
            oracle.compare("training", rows_of(learner.fused, "bias"), oracle.tensor(f"boost/{task}/init/fc/bias"))
            if learner.options.old_features == "zero":
                assert not start[old:, :DIM].any() and not learner.fused.blocks[-1].weight[:, :DIM].any()
            put(learner.fused, oracle, f"boost/{task}/init/fc")
            put(learner.own, oracle, f"boost/{task}/init/fe")
        else:
            put(learner.head, oracle, f"{phase}/{task}/init/fc")

    def after(learner: Foster, task: int) -> None:
        network = dict(learner.backbone.model.state_dict())
        compare_networks(network, oracle, f"{'compress' if task else 'train'}/{task}/final/net")
        compare(learner.head, oracle, f"{'compress' if task else 'train'}/{task}/final/fc")
        oracle.compare("forward", learner.predict_images(images), oracle.tensor(f"teacher/{task}"))
        if task:
            compare_networks(learner.networks.tensors[1], oracle, f"boost/{task}/final/net")
            compare(learner.fused, oracle, f"boost/{task}/final/fc")
            oracle.compare(
                "forward", learner.predict_images(images, answer="student"), oracle.tensor(f"student/{task}")
            )
        for label in range(learner.head.classes):  # of a remainder, the first classes have one image more here
            theirs = oracle.tensor(f"memory/{task}")[oracle.tensor(f"memory_labels/{task}") == label].long()
            ours = learner.memory.pixels[learner.memory.labels == label][: len(theirs)]
            assert torch.equal(ours, images[theirs])

    learner = replay(
        Foster,
        oracle,
        {phase: given(oracle, phase) for phase in ("train", "boost", "compress")},
        begin=begin,
        after=after,
        backbone=Backbone(model, half(8), identity(name, DIM)),
        **options(oracle),
    )
    compare_class_weights(oracle)
    assert phases == ["train", "boost", "compress", "boost", "compress"]
    assert isinstance(learner.trainer, Replay)
    for (task, phase), losses in learner.trainer.losses.items():
        oracle.compare("loss", losses, oracle.tensor(f"{phase}/{task}/loss"), "losses")
