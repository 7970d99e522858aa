"""AMA against avalonstrel/Mitigating-the-Alignment-Tax-of-RLHF @40165e6: groups, coefficients, mixtures, penalty."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from cl.parts.merging import averaging_coefficients, group_factors, groups_of, interpolated
from tests.help.oracles import Oracle

ORACLE = Oracle("ama-a")
MEAN, EPSILON = ORACLE.meta["mean"], ORACLE.meta["epsilon"]


@pytest.mark.parametrize("number", range(len(ORACLE.meta["cases"])))
def test_blocks_are_grouped_as_by_the_code(number: int) -> None:
    blocks, level = ORACLE.meta["cases"][number]
    count = blocks if level == "layerwise" else int(level.removeprefix("block"))
    found = groups_of([f"blocks.{block}.mlp.fc1.weight" for block in range(blocks)], count)
    ORACLE.compare("forward", list(found.values()), ORACLE.tensor(f"groups/{number}"))


def test_layers_are_mixed_as_by_the_code() -> None:
    keep = averaging_coefficients(ORACLE.tensor("raw"), MEAN, EPSILON)
    before, after = ORACLE.group("before"), ORACLE.group("after")
    for group in range(ORACLE.meta["groups"]):
        names = {f"blocks.{group}.{name}": name for name in before}
        factors = group_factors([f"blocks.{g}.weight" for g in range(len(keep))], (1 - keep).tolist())
        factors = {long: factors[f"blocks.{group}.weight"] for long in names}
        mixed = interpolated(
            {long: before[name] for long, name in names.items()},
            {long: after[name] for long, name in names.items()},
            factors,
        )
        out = F.linear(ORACLE.tensor("x"), mixed[f"blocks.{group}.weight"], mixed[f"blocks.{group}.bias"])
        ORACLE.compare("forward", out, ORACLE.tensor(f"mixed/{group}"))


def test_the_penalty_and_its_gradient() -> None:
    raw = ORACLE.tensor("raw").requires_grad_(True)
    distances = (averaging_coefficients(raw, MEAN, EPSILON) - MEAN).abs()
    penalty = ORACLE.meta["reg"] * (torch.full((len(raw),), ORACLE.meta["matrices"]) * distances).sum()
    penalty.backward()
    ORACLE.compare("loss", penalty, ORACLE.tensor("penalty"))
    ORACLE.compare("loss", raw.grad, ORACLE.tensor("penalty/gradient"))
