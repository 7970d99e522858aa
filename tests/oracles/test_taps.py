"""TAPS against MattWallingford/TAPS @87e9188: whole trainings of gates, changes and head in a small network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.strategies.taps import TAPS
from tests.help.oracles import Oracle, half, identity, losses_of, names, replay, rows


class Net(nn.Module):
    """Three convolutions without biases, each with a relu; the last output, flattened, is the feature."""

    num_features = 80

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(4, 6, 3, bias=False)
        self.conv3 = nn.Conv2d(6, 5, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv3(torch.relu(self.conv2(torch.relu(self.conv1(x)))))).flatten(1)


@pytest.mark.parametrize("name", names("train-taps"))
def test_the_whole_training_ends_in_the_same_changes_and_scores(name: str) -> None:
    oracle = Oracle(name)
    meta, gates = oracle.meta, []
    model = Net()
    model.load_state_dict(oracle.group("vit"))

    def begin(learner: Any, task: int, phase: str) -> None:
        gates.append(learner.gates)
        learner.head.blocks[-1].weight.copy_(oracle.tensor("init/head_weight"))
        learner.head.blocks[-1].bias.copy_(oracle.tensor("init/head_bias"))

    learner = replay(
        TAPS,
        oracle,
        {"changes and scores": rows(oracle)},
        begin=begin,
        backbone=Backbone(model, half(8), identity(name, 80)),
        epochs=meta["epochs"],
        batch_size=4,
        lr=meta["lr"],
        momentum=meta["momentum"],
        sparsity=meta["sparsity"],
        warmup=meta["warmup"],
        norms=False,
        augment="none",
    )
    trained = gates[0]
    assert trained.names == tuple(f"{layer}.weight" for layer in meta["layers"])
    for layer, change, score in zip(meta["layers"], trained.changes, trained.scores, strict=True):
        oracle.compare("training", change, oracle.tensor(f"final/{layer}.residual"))
        oracle.compare("training", score[None], oracle.tensor(f"final/{layer}.indicator"))
    oracle.compare("training", learner.head.blocks[0].weight, oracle.tensor("final/head_weight"))
    oracle.compare("training", learner.head.blocks[0].bias, oracle.tensor("final/head_bias"))
    penalised = (
        torch.arange(len(oracle.tensor("scores"))) >= meta["warmup"] * len(oracle.tensor("scores")) / meta["epochs"]
    )
    penalty = meta["sparsity"] * oracle.tensor("scores").abs().mean(1) * penalised
    ours = torch.tensor(losses_of(learner)[0, "changes and scores"]) + penalty
    oracle.compare("loss", ours, oracle.tensor("loss/0"), "losses")
    oracle.compare("forward", learner.predict_images(oracle.tensor("pixels/0"), 0), oracle.tensor("final/logits"))


def test_the_files_have_open_and_shut_gates() -> None:
    found = [
        bool(Oracle(name).tensor(f"final/{layer}.indicator") >= 0.1)
        for name in names("train-taps")
        for layer in Oracle(name).meta["layers"]
    ]
    assert True in found and False in found
