"""CODA-Prompt against GT-RIPL/CODA-Prompt @ 6417d4f68754."""

from __future__ import annotations

import pytest
import torch

from cl.strategies.coda_prompt import CODAPrompt
from tests.help.oracles import Oracle, losses_of, names, replay, rows
from tests.help.oracles_prompts import compare_head, learner_of, set_rows

PARTS = ("prompts", "keys", "attention")


@pytest.mark.parametrize("name", names("forward-coda"))
def test_composed_prompts_features_and_the_penalty(name: str) -> None:
    oracle = Oracle(name)
    meta, images = oracle.meta, oracle.images()
    learner = learner_of(
        CODAPrompt, oracle, tasks=meta["tasks"], components=meta["components"], length=meta["length"],
        layers=tuple(meta["layers"]), ortho=meta["ortho"],
    )  # fmt: skip
    for part in zip(*(oracle.tensor(part).chunk(meta["tasks"], 1) for part in PARTS), strict=True):
        learner.components.add(*part)
    with torch.no_grad():
        queries = learner.backbone(images)
        composed, features = learner.components.compose(queries), learner.instructed(images, queries)
    oracle.compare("forward", queries, oracle.tensor("query"))
    oracle.compare("forward", composed, oracle.tensor("composed"))
    for when in ("train", "test"):
        oracle.compare("forward", features, oracle.tensor(f"{when}/features"))
    oracle.compare("loss", learner.extra(queries, 0), oracle.tensor("penalty"))


@pytest.mark.parametrize("name", names("train-coda"))
def test_learning_ends_in_the_same_weights(name: str) -> None:
    oracle = Oracle(name)
    meta = oracle.meta
    initial = [oracle.tensor(f"init/{part}").chunk(meta["tasks"], 1) for part in PARTS]

    def begin(learner: CODAPrompt, task: int, phase: str) -> None:
        set_rows(learner.head, oracle.tensor("init/head_weight"))
        for ours, theirs in zip(learner.components[task], initial, strict=True):
            ours.copy_(theirs[task])

    def after(learner: CODAPrompt, task: int) -> None:
        for index, part in enumerate(PARTS):
            ours = torch.cat(learner.components.column(index), 1)
            oracle.compare("training", ours, oracle.tensor(f"final/{task}/{part}"))
        compare_head(oracle, learner.head, task)
        oracle.compare("loss", losses_of(learner)[task, "train"], oracle.tensor(f"loss/{task}"))

    replay(
        CODAPrompt, oracle, {"train": rows(oracle)}, begin=begin, after=after, components=meta["components"],
        length=meta["length"], layers=tuple(meta["layers"]), ortho=meta["ortho"], epochs=meta["epochs"],
        lr=meta["lr"], batch_size=oracle.tensor("batches/0").shape[1], augment="none",
    )  # fmt: skip
