"""The source of a new task's network in finetune-dynamic against google-deepmind/dm_nevis @ 37ccf1e2dd89."""

from __future__ import annotations

from typing import Any, cast

import torch

from cl.bases.network_per_task import SCRATCH
from cl.strategies.finetune_dynamic import FinetuneDynamic
from cl.strategy import View
from tests.conftest import make
from tests.help.oracles import Oracle

ORACLE = Oracle("nevis-source-a")
CASES = range(ORACLE.meta["cases"])


def chosen(scores: list[float]) -> int:
    """The source that our method takes for given accuracies; the last is the untrained network's."""
    learner = make(FinetuneDynamic)
    learner.ranking = []
    vars(learner)["networks"] = [None] * (len(scores) - 1)
    vars(learner)["_search"] = lambda view: scores
    vars(learner)["compute"] = lambda name, call: call()
    return learner.source(cast(View, None))


def test_a_new_task_starts_from_the_best_network() -> None:
    """The code never takes the untrained network and breaks ties arbitrarily; in all other cases we agree."""
    differ = {"*": 0, "tie": 0, "untrained best": 0}
    for case in CASES:
        *kept, untrained = scores = ORACLE.arrays[f"weights/{case}"].tolist()
        kind = "untrained best" if untrained > max(kept) else "tie" if scores.count(max(scores)) > 1 else "*"
        ours, theirs = chosen(scores), int(ORACLE.arrays["chosen"][case])
        differ[kind] += ours != theirs
        if kind == "untrained best":
            assert ours == SCRATCH, "as the paper has it"
            assert kept[theirs] == max(kept), "the code takes the best of the earlier networks"
    ORACLE.compare("forward", differ["*"], 0, "choices that differ")


def test_the_accuracy_of_the_search() -> None:
    numbers = sorted({key.split("/")[1] for key in ORACLE.arrays if key.startswith("knn/")}, key=int)
    assert len(numbers) > 1
    for number in numbers:
        of: dict[str, Any] = ORACLE.group(f"knn/{number}")
        learner = make(FinetuneDynamic)
        found = learner._accuracy(of["train"], of["train_labels"], of["val"], of["val_labels"])
        ORACLE.compare("forward", torch.tensor(found, dtype=torch.float64), of["accuracy"])
