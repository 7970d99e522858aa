"""CoFiMA against IemProg/CoFiMA @dc96bf1: the Fisher information of a task's batches, and weighted averages."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cl.parts.merging import fisher_average
from cl.strategies.cofima import CoFiMA
from cl.training.trainer import Trainer
from tests.help.oracles import InOrder, Oracle

ORACLE = Oracle("cofima-a")


class Given(CoFiMA):
    """CoFiMA with the batches of the file."""

    def batches(self, images: Any, size: int, augment: str = "none") -> Any:
        assert augment == "none"
        return InOrder(super().batches(images, size, augment), ORACLE.tensor("batches/1"), 1)


@pytest.mark.parametrize(("kind", "clip"), [("capped", 1e-4), ("free", 0.0)])
def test_the_fisher_information_of_a_task(kind: str, clip: float) -> None:
    options = Given.Options(batch_size=ORACLE.meta["batch"], augment="none", fisher_clip=clip, fresh_norm=False)
    learner = Given(options, ORACLE.backbone(), Trainer())
    learner.info = ORACLE.stream.info
    learner.setup(learner.info)
    learner.trainer.journal.begin(1)
    for number in range(2):
        learner.heads.grow_to(3 * (number + 1), learner.init_rng("head"))
        with torch.no_grad():
            learner.heads.blocks[number].weight.copy_(ORACLE.tensor(f"head/{number}/weight"))
            learner.heads.blocks[number].bias.copy_(ORACLE.tensor(f"head/{number}/bias"))
    found = learner._information(ORACLE.stream.view(1))
    theirs = ORACLE.group(kind)
    assert found.keys() == theirs.keys()
    for name, tensor in found.items():
        ORACLE.compare("forward", tensor, theirs[name], kind)


@pytest.mark.parametrize("alpha", ORACLE.meta["alphas"])
def test_weights_are_averaged_as_by_the_code(alpha: float) -> None:
    before, after = ORACLE.group("before"), ORACLE.group("after")
    plain = fisher_average(before, after, alpha)
    weighted = fisher_average(before, after, alpha, (ORACLE.group("fisher/0"), ORACLE.group("fisher/1")))
    for name in before:
        ORACLE.compare("training", plain[name], ORACLE.tensor(f"plain/{alpha}/{name}"))
        ORACLE.compare("training", weighted[name], ORACLE.tensor(f"weighted/{alpha}/{name}"))
