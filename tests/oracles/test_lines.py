"""LiNeS against wang-kee/LiNeS @43a7bdd: scaled task vectors, the factor of merged vectors, the choice of alpha."""

from __future__ import annotations

import torch

from cl.parts.merging import added, interpolated, lines_factors, multi_task_alpha, scaled
from cl.strategies.lines import tradeoff
from tests.help.oracles import Oracle

ORACLE = Oracle("lines-a")


def test_a_task_vector_is_scaled_as_by_the_code() -> None:
    tau = ORACLE.group("tau/0")
    for number, (alpha, beta) in enumerate(ORACLE.meta["single"]):
        found = scaled(tau, lines_factors(list(tau), alpha, beta))
        theirs = ORACLE.group(f"scaled/{number}")
        assert found.keys() == theirs.keys()
        for name, tensor in found.items():
            ORACLE.compare("forward", tensor, theirs[name])


def test_an_edited_network_has_the_weights_of_the_code() -> None:
    pretrained, tau, alpha = ORACLE.group("pretrained"), ORACLE.group("tau/1"), ORACLE.meta["alpha"]
    found = interpolated(pretrained, added(pretrained, tau), lines_factors(list(tau), alpha, 1 - alpha))
    for name, theirs in ORACLE.group("single").items():
        ORACLE.compare("forward", found[name], theirs)


def test_a_merged_vector_is_scaled_by_the_norms() -> None:
    merged, pretrained, multi = ORACLE.group("merged"), ORACLE.group("pretrained"), ORACLE.meta["multi"]
    taus = [ORACLE.group(f"tau/{task}") for task in range(multi["tasks"])]
    total = {name: torch.stack([tau[name] for tau in taus]).sum(0) for name in merged}
    alpha = multi_task_alpha(total, merged, multi["tasks"])
    found = added(pretrained, scaled(merged, lines_factors(list(merged), alpha, multi["beta"])))
    for name, theirs in ORACLE.group("multi").items():
        ORACLE.compare("forward", found[name], theirs)


def test_alpha_is_chosen_as_by_the_code() -> None:
    pairs = zip(ORACLE.arrays["choice/targets"].tolist(), ORACLE.arrays["choice/controls"].tolist(), strict=True)
    found = [tradeoff(targets, controls, ORACLE.meta["target_weight"]) for targets, controls in pairs]
    assert found == ORACLE.arrays["choice/index"].tolist()
