"""Few-shot methods against the code that their constants and equations come from.

`fscil-frozen` against icoz69/CEC-CVPR2021 @3a5d335; the parts of `fscil-tricks` against HobbitLong/SupContrast,
NeuralCollapseApplications/FSCIL and CanPeng123/FSCIL_ALICE. There is no code of the tricks' own paper.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.parts.heads import simplex
from cl.parts.losses import dot_regression, supervised_contrastive
from cl.parts.views import mixed, pair_labels
from cl.strategies.fscil_frozen import FSCILFrozen
from tests.help.oracles import Oracle, half, identity, losses_of, replay, rows


class Net(nn.Module):
    """Two convolutions without biases, each with a batch norm and a relu; then the mean over places."""

    num_features = 10

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 10, 3, bias=False), nn.BatchNorm2d(10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x))).mean((2, 3))


def test_frozen_class_means_after_the_whole_training() -> None:
    oracle, heads = Oracle("train-fscil-frozen-a"), []
    meta, model = oracle.meta, Net()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(oracle.tensor(f"init/{name}"))

    def begin(learner: Any, task: int, phase: str) -> None:
        learner.head.weight.copy_(oracle.tensor("init/head"))
        heads.append(learner.head)

    backbone = Backbone(model, half(8), identity("net", 10))
    learner = replay(
        FSCILFrozen, oracle, {"network": rows(oracle)}, begin=begin, backbone=backbone,
        epochs=meta["epochs"], batch_size=meta["batch"], milestones=tuple(meta["milestones"]), augment="none",
    )  # fmt: skip
    defaults = FSCILFrozen.Options()
    for name in ("lr", "momentum", "weight_decay", "gamma", "scale"):
        assert getattr(defaults, name) == meta[name], "the defaults are those of the code"
    for name, tensor in oracle.group("final").items():
        if name.partition(".")[0] in ("conv1", "bn1", "conv2", "bn2"):
            oracle.compare("training", model.state_dict()[name], tensor)
    oracle.compare("training", heads[0].weight, oracle.tensor("final/head"))
    oracle.compare("training", learner.prototypes, oracle.tensor("final/prototypes"))
    oracle.compare("loss", losses_of(learner)[0, "network"], oracle.tensor("loss/0"))
    pixels = torch.cat([oracle.tensor(f"pixels/{task}") for task in range(3)])
    logits = meta["scale"] * learner.predict_images(pixels)
    oracle.compare("forward", logits, oracle.tensor("final/logits"), "logits")


@pytest.mark.parametrize("case", ["views", "one-view", "simclr"])
def test_the_contrastive_losses(case: str) -> None:
    oracle = Oracle("supcon-a")
    features = oracle.tensor(f"{case}/features").requires_grad_(True)
    labels, views = oracle.tensor(f"{case}/labels"), features.shape[1]
    flat = features.transpose(0, 1).flatten(0, 1)  # all first views, then all second ones
    loss = supervised_contrastive(flat, labels.repeat(views), oracle.meta["temperatures"][case])
    loss.backward()
    oracle.compare("loss", loss, oracle.tensor(f"{case}/loss"))
    oracle.compare("loss", features.grad, oracle.tensor(f"{case}/gradient"))


def test_the_simplex_and_its_loss() -> None:
    oracle = Oracle("simplex-a")
    vertices = simplex(oracle.tensor("basis"))
    oracle.compare("forward", vertices, oracle.tensor("vertices").T)
    features = oracle.tensor("features").requires_grad_(True)
    loss = dot_regression(features, vertices[oracle.tensor("labels")]).mean()
    loss.backward()
    oracle.compare("loss", loss, oracle.tensor("loss"))
    oracle.compare("loss", features.grad, oracle.tensor("gradient"))


def test_mixes_and_their_labels() -> None:
    oracle = Oracle("mixes-a")
    one, two, expected = oracle.tensor("pairs").T
    assert torch.equal(pair_labels(one, two, oracle.meta["classes"]), expected)
    images, labels, shares = oracle.tensor("images"), oracle.tensor("labels"), oracle.tensor("shares")
    found, names = [], []
    for partner, drawn in zip(oracle.tensor("partners"), shares, strict=True):
        blend, own = mixed(images, labels, partner, drawn, oracle.meta["classes"])
        known = drawn >= 0  # the code leaves out mixes within a class
        assert torch.equal(own[~known], labels[~known])
        found.append(blend[known])
        names.append(own[known])
    oracle.compare("forward", torch.cat(found), oracle.tensor("mixed"))
    assert torch.equal(torch.cat(names), oracle.tensor("mixed_labels").long())
