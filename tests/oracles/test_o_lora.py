"""O-LoRA against cmnfriend/O-LoRA @07117e1: the layer with earlier and new factors, and the two penalties."""

from __future__ import annotations

import pytest
import torch

from cl.strategies.o_lora import OLoRA
from cl.training.trainer import Trainer
from tests.help.oracles import Oracle, names


def learner_of(oracle: Oracle) -> OLoRA:
    meta = oracle.meta
    options = OLoRA.Options(rank=meta["rank"], alpha=meta["alpha"], dropout=0.0)
    learner = OLoRA(options, oracle.backbone(), Trainer())
    learner.setup(None)  # type: ignore[arg-type]
    return learner


@pytest.mark.parametrize("name", names("o-lora"))
def test_passes_penalties_and_their_gradients(name: str) -> None:
    oracle = Oracle(name)
    learner = learner_of(oracle)
    for task in range(oracle.meta["slots"]):
        learner.lora.grow(torch.Generator())
        newest = [*learner.lora.a[task], *learner.lora.b[task]]
        with torch.no_grad():
            for number in range(len(learner.lora.sites)):
                learner.lora.a[task][number].copy_(oracle.tensor(f"a/{task}/{number}"))
                learner.lora.b[task][number].copy_(oracle.tensor(f"b/{task}/{number}"))
            features = learner.lora(learner.backbone, oracle.images())
        oracle.compare("forward", features, oracle.tensor(f"features/{task}"))
        for kind, penalty in (("orthogonal", learner.overlap), ("l2", learner.length)):
            for factor in newest:
                factor.requires_grad_(True)
                factor.grad = None
            found = penalty()
            oracle.compare("loss", found, oracle.tensor(f"{kind}/{task}"), "penalty")
            if not found.requires_grad:  # there is no earlier task
                assert task == 0 and kind == "orthogonal"
                continue
            found.backward()
            for number, a in enumerate(learner.lora.a[task]):
                assert a.grad is not None
                oracle.compare("loss", a.grad, oracle.tensor(f"{kind}/{task}/grad/{number}"), "penalty")
        for factor in newest:
            factor.requires_grad_(False)
