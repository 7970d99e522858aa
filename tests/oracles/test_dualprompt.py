"""DualPrompt against JH-LEE-KR/dualprompt-pytorch @ 7eb457d98840 and against GT-RIPL/CODA-Prompt @ 6417d4f68754."""

from __future__ import annotations

import pytest
import torch

from cl.strategies.dualprompt import DualPrompt
from tests.help.oracles import Oracle, losses_of, names, replay, rows
from tests.help.oracles_prompts import compare_head, learner_of, set_rows


@pytest.mark.parametrize("name", ["forward-dualprompt-a", "forward-dualprompt-b"])
@pytest.mark.parametrize("selection", ["image", "batch"])
def test_features_in_training_and_at_test_time_and_the_key_term(name: str, selection: str) -> None:
    oracle = Oracle(name)
    meta, images, experts = oracle.meta, oracle.images(), oracle.tensor("experts")
    learner = learner_of(
        DualPrompt, oracle, tasks=meta["pool"], all_keys=True, prompt_layout=meta["layout"], selection=selection,
        length_g=oracle.tensor("general").shape[2], length_e=experts.shape[3], layers_g=tuple(meta["layers_g"]),
        layers_e=tuple(meta["layers_e"]),
    )  # fmt: skip
    with torch.no_grad():
        learner.general[0].copy_(oracle.tensor("general"))
        for task, (prompt, keys) in enumerate(learner.experts.sets):
            prompt.copy_(experts[:, :, task])
            keys.copy_(oracle.tensor("keys")[task : task + 1])
        learner.learned = meta["pool"]
        queries = learner.backbone(images)
        oracle.compare("forward", queries, oracle.tensor("query"))
        train, test = (learner.instructed(images, queries, task) for task in (meta["task"], None))
    oracle.compare("forward", train, oracle.tensor(f"{selection}/train/features"))
    oracle.compare("forward", test, oracle.tensor(f"{selection}/test/features"))
    oracle.compare("loss", -learner.extra(queries, meta["task"]), oracle.tensor(f"{selection}/train/reduce_sim"))


@pytest.mark.parametrize("name", names("forward-dualprompt-layers"))
def test_a_key_per_block_and_the_summed_key_loss(name: str) -> None:
    oracle = Oracle(name)
    meta, images, general, experts = oracle.meta, oracle.images(), oracle.tensor("general"), oracle.tensor("experts")
    learner = learner_of(
        DualPrompt, oracle, tasks=meta["tasks"], all_keys=True, keys="layer", key_loss="sum", key_weight=1.0,
        length_g=general.shape[1] // 2, length_e=experts.shape[2] // 2, layers_g=tuple(meta["layers_g"]),
        layers_e=tuple(meta["layers_e"]),
    )  # fmt: skip
    with torch.no_grad():
        learner.general[0].copy_(torch.stack(general.chunk(2, 1), 1))
        for task, (prompt, keys) in enumerate(learner.experts.sets):
            prompt.copy_(torch.stack(experts[:, task].chunk(2, 1), 1))
            keys.copy_(oracle.tensor("keys")[:, task])
        learner.learned = meta["tasks"]
        queries = learner.backbone(images)
        oracle.compare("forward", queries, oracle.tensor("query"))
        train, test = (learner.instructed(images, queries, task) for task in (meta["task"], None))
    oracle.compare("forward", train, oracle.tensor("train/features"))
    oracle.compare("forward", test, oracle.tensor("test/features"))
    terms = len(images) * len(meta["layers_e"])  # the code adds 1 - cos; ours leaves out the constant
    oracle.compare("loss", terms + learner.extra(queries, meta["task"]), oracle.tensor("loss"))


@pytest.mark.parametrize("name", names("train-dualprompt"))
def test_learning_ends_in_the_same_weights(name: str) -> None:
    oracle = Oracle(name)
    meta, experts, keys = oracle.meta, oracle.tensor("init/experts"), oracle.tensor("init/keys")

    def begin(learner: DualPrompt, task: int, phase: str) -> None:
        set_rows(learner.head, oracle.tensor("init/head_weight"))
        learner.experts[task][1].copy_(keys[task : task + 1])
        if task == 0:  # later E-prompts start from the one before
            learner.general[0].copy_(oracle.tensor("init/general"))
            learner.experts[0][0].copy_(experts[:, :, 0])

    def after(learner: DualPrompt, task: int) -> None:
        prompts, known = (torch.stack(learner.experts.column(index, task + 1)) for index in (0, 1))
        oracle.compare("training", learner.general[0], oracle.tensor(f"final/{task}/general"))
        oracle.compare("training", prompts.movedim(0, 2), oracle.tensor(f"final/{task}/experts"))
        oracle.compare("training", known[:, 0], oracle.tensor(f"final/{task}/keys"))
        compare_head(oracle, learner.head, task)
        oracle.compare("loss", losses_of(learner)[task, "train"], oracle.tensor(f"loss/{task}"))

    replay(
        DualPrompt, oracle, {"train": rows(oracle)}, begin=begin, after=after, key_weight=meta["key_weight"],
        layers_g=tuple(meta["layers_g"]), layers_e=tuple(meta["layers_e"]), prompt_layout=meta["layout"],
        length_g=oracle.tensor("init/general").shape[2], length_e=experts.shape[3], selection=meta["selection"],
        epochs=meta["epochs"], lr=meta["lr"], batch_size=oracle.tensor("batches/0").shape[1], augment="none",
    )  # fmt: skip
