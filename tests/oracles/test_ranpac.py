"""RanPAC against RanPAC @012927f: random features, the choice of the penalty, and the solution."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch

from cl.parts.heads import choose_ridge
from cl.strategies.ranpac import RanPAC
from cl.testing import tiny_backbone
from cl.training.trainer import Trainer
from tests.conftest import tiny_stream
from tests.help.oracles import Oracle, names

FILES = names("ranpac")


@pytest.fixture(autouse=True)
def _in_the_order_given(monkeypatch: pytest.MonkeyPatch) -> None:
    # the first 80 percent of the rows of a file train, the others choose the penalty
    monkeypatch.setattr(torch, "randperm", lambda count, **arguments: torch.arange(count))


class Images:
    """Labels of images whose features are given."""

    def __init__(self, labels: torch.Tensor) -> None:
        self.labels = labels


@pytest.mark.parametrize("name", FILES)
def test_weights_and_scores_of_every_task(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle = Oracle(name)
    dim, width = oracle.arrays["projection"].shape
    learner = RanPAC(RanPAC.Options(tuning="none", width=width), tiny_backbone(dim=dim), Trainer())
    learner.setup(tiny_stream().info)
    assert learner.projection is not None
    learner.projection.matrix.copy_(oracle.tensor("projection"))
    for task in range(oracle.meta["tasks"]):
        monkeypatch.setattr(learner, "encode", lambda *given, task=task: oracle.tensor(f"features/{task}"))
        labels = oracle.tensor(f"labels/{task}")
        learner._regress(cast(Any, Images(labels)), int(labels.max()) + 1)
        oracle.compare(
            "forward", [learner.ridges[-1]], [float(oracle.arrays[f"ridge64/{task}"])], "penalties that differ"
        )
        oracle.compare("training", learner.weights, oracle.tensor(f"weights/{task}"))
    gram = oracle.tensor("gram/2")
    oracle.compare("training", learner.sums.gram / gram.abs().max(), gram / gram.abs().max())
    scores = learner.expanded(oracle.tensor("test_features")) @ learner.weights
    oracle.compare("forward", scores, oracle.tensor("test_scores"))


@pytest.mark.parametrize("name", FILES)
def test_the_penalty_of_every_problem(name: str) -> None:
    oracle = Oracle(name)
    for problem in range(oracle.meta["problems"]):
        h, labels = oracle.tensor(f"choice/{problem}/h"), oracle.tensor(f"choice/{problem}/labels")
        chosen = choose_ridge(h, labels, torch.Generator())
        oracle.compare("forward", [chosen], [float(oracle.arrays[f"choice/{problem}/ridge"])], "penalties that differ")
