"""ACIL, SLDA and FeCAM against ZHUANGHP/Analytic-continual-learning @0afd6bf, tyler-hayes/Deep_SLDA @bc15797 and
dipamgoswami/FeCAM @d2479b7: statistics after every task, and scores."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cl.strategies.acil import ACIL
from cl.strategies.fecam import FeCAM
from cl.strategies.slda import SLDA
from cl.strategy import Strategy
from cl.testing import tiny_backbone
from cl.training.trainer import Trainer
from tests.conftest import tiny_stream
from tests.help.oracles import Oracle

ACIL_A, SLDA_A, FECAM_A = Oracle("acil-a"), Oracle("slda-a"), Oracle("fecam-a")


class Given:
    """Test images whose features are given."""

    def __init__(self, features: Tensor) -> None:
        self.features = features

    def encode(self, extractor: Any) -> Tensor:
        return self.features


def build(method: type[Strategy], dim: int, **options: Any) -> Any:
    learner = method(method.Options(**options), tiny_backbone(dim=dim), Trainer())
    learner.setup(tiny_stream().info)
    return learner


def test_acil_has_the_inverse_the_weights_and_the_scores_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    oracle, seen = ACIL_A, 0
    dim, width = oracle.arrays["buffer"].shape
    learner = build(ACIL, dim, width=width, ridge=oracle.meta["gamma"])
    learner.projection.matrix = oracle.tensor("buffer")
    for task in range(oracle.meta["tasks"]):
        labels = oracle.tensor(f"labels/{task}")
        seen = max(seen, int(labels.max()) + 1)
        learner.regression.add(learner.expanded(oracle.tensor(f"features/{task}")), labels, seen)
        oracle.compare("training", learner.regression.inverse, oracle.tensor(f"inverse/{task}"))
        oracle.compare("training", learner.regression.weights, oracle.tensor(f"weights/{task}"))
    oracle.compare("forward", learner.predict(Given(oracle.tensor("test_features"))), oracle.tensor("test_scores"))


def test_acil_draws_random_features_as_the_code_does() -> None:
    learner = build(ACIL, 12, width=4000)
    drawn, theirs = learner.projection.matrix, ACIL_A.tensor("buffer")
    bound = 12**-0.5
    for matrix in (drawn, theirs):
        assert float(matrix.abs().max()) <= bound < 1.1 * float(matrix.abs().max())
    assert abs(float(drawn.std()) - bound / 3**0.5) < 1e-2 * bound


@pytest.mark.parametrize(
    ("case", "options"),
    [("streaming", {}), ("fixed", {"covariance": "fixed"}), ("none", {"base": "none"})],
)
def test_slda_has_the_means_the_covariance_and_the_scores_of_the_code(case: str, options: dict[str, Any]) -> None:
    oracle, seen = SLDA_A, 0
    learner = build(SLDA, 10, shrinkage=oracle.meta["shrinkage"], **options)
    for task in range(oracle.meta["tasks"]):
        labels = oracle.tensor(f"labels/{task}")
        seen = max(seen, int(labels.max()) + 1)
        learner._add(oracle.tensor(f"features/{task}"), labels, seen)
        oracle.compare("training", learner.sigma, oracle.tensor(f"{case}/sigma/{task}"), "statistics")
        oracle.compare("training", learner.moments.mean, oracle.tensor(f"{case}/mean/{task}")[:seen], "statistics")
        found = learner.predict(Given(oracle.tensor("test_features")))
        oracle.compare("forward", found, oracle.tensor(f"{case}/scores/{task}")[:, :seen])


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("cifar100", {}),
        ("imagenet-r", {"alpha1": 10.0, "alpha2": 10.0}),
        ("domain", {"returning": "average"}),
        ("tukey", {"tukey": 0.5, "shrinks": 2, "alpha2": 1.0}),
    ],
)
def test_fecam_has_the_covariances_and_the_distances_of_the_code(case: str, options: dict[str, Any]) -> None:
    oracle, test = FECAM_A, FECAM_A.tensor("test_features")
    learner = build(FeCAM, 8, **options)
    for task in range(2):
        start = "domain/" if case == "domain" else ""
        x, y = oracle.tensor(f"{start}features/{task}"), oracle.tensor(f"{start}labels/{task}")
        learner._add(x.abs() if case == "tukey" else x, y, y.unique().tolist())
    found = torch.stack([learner.covariance(position) for position in range(len(learner.means))])
    oracle.compare("training", found, oracle.tensor(f"{case}/covariance"), "covariances")
    scores = learner.predict(Given(test.abs() if case == "tukey" else test))
    oracle.compare("forward", -scores, oracle.tensor(f"{case}/distances"))
