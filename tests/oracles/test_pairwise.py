"""Hard ASH and pairwise layers against skeskinen/pairwise_online_learning @b582770: whole trainings in one pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.bases.accumulating import Accumulating
from cl.strategies.hard_ash import HardAsh
from cl.strategies.pairwise import Pairwise
from tests.help.oracles import Oracle, half, identity, losses_of, names, replay, rows


class Net(nn.Module):
    """act(fc) of flattened images, without a bias."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.num_features = hidden
        self.fc, self.act = nn.Linear(3 * 8 * 8, hidden, bias=False), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.act(self.fc(x.flatten(1)))
        return found


def head_of(oracle: Oracle, key: str) -> Tensor:
    """Weights of the head; those of a linear one are [in, out] in the file."""
    found = oracle.tensor(key)
    return found.T if oracle.meta["oracle"] == "train-hard-ash" else found


@pytest.mark.parametrize("name", [*names("train-hard-ash"), *names("train-pairwise")])
def test_the_whole_training_ends_in_the_same_weights_and_sums(name: str) -> None:
    oracle, done = Oracle(name), []
    meta, model = oracle.meta, Net(oracle.meta["hidden"])
    model.load_state_dict({"fc.weight": oracle.tensor("init/fc.weight")})
    method: type[Accumulating] = HardAsh if meta["oracle"] == "train-hard-ash" else Pairwise
    own: dict[str, Any] = (
        {"zk": meta["ash_zk"]} if method is HardAsh else {"wta": meta["wta_p"], "weights": len(oracle.arrays["rows"])}
    )

    def begin(learner: Any, task: int, phase: str) -> None:
        if task:
            return
        learner.head.weight.copy_(head_of(oracle, "init/head.weight"))
        if method is Pairwise:
            learner.head.assign(oracle.tensor("rows"), oracle.tensor("columns"))

    def after(learner: Any, task: int) -> None:
        pairs = (
            (learner.backbone.model.fc.weight, oracle.tensor(f"final/{task}/fc.weight")),
            (learner.head.weight, head_of(oracle, f"final/{task}/head.weight")),
            (learner.sums.sums["backbone.fc.weight"], oracle.tensor(f"omega/{task}/fc.weight")),
            (learner.sums.sums["head.weight"], head_of(oracle, f"omega/{task}/head.weight")),
        )
        for ours, theirs in pairs:
            oracle.compare("training", ours, theirs, "weights")
        oracle.compare("loss", losses_of(learner)[task, "train"], oracle.tensor(f"loss/{task}"), "weights")
        found = learner.predict_images(oracle.tensor(f"pixels/{task}"))
        oracle.compare("forward", found, oracle.tensor(f"logits/{task}"), "weights")
        done.append(task)

    replay(
        method, oracle, {"train": rows(oracle)}, begin=begin, after=after,
        backbone=Backbone(model, half(8), identity(name, meta["hidden"])), batch_size=6,
        lr=meta["learning_rate"], optimizer=meta["optimizer"],
        decay=0.8 if meta["optimizer"] == "adagrad" else 0.01, **own,
    )  # fmt: skip
    assert done == [0, 1, 2]
    assert torch.isfinite(head_of(oracle, "final/2/head.weight")).all()
