"""The score that chooses EAR's adaptors against BayesWatch/nas-without-training @b3a82a6."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from cl.parts.shallow_adaptors import naswot
from tests.help.oracles import Oracle


def test_the_score_is_that_of_the_official_hooks() -> None:
    oracle = Oracle("naswot-a")
    for number, case in enumerate(oracle.meta["cases"]):
        x, layers = oracle.tensor(f"{number}/x"), []
        for layer in range(case["layers"]):
            x = F.relu(F.linear(x, oracle.tensor(f"{number}/weight{layer}"), oracle.tensor(f"{number}/bias{layer}")))
            layers.append(x)
        oracle.compare("forward", torch.tensor(naswot(layers), dtype=torch.float64), oracle.tensor(f"{number}/score"))
