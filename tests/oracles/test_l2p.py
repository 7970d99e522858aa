"""L2P against JH-LEE-KR/l2p-pytorch @ f7bc994365f5, L2P++ against GT-RIPL/CODA-Prompt @ 6417d4f68754."""

from __future__ import annotations

import pytest
import torch

from cl.parts.attached import nearest
from cl.strategies.l2p import L2P
from tests.help.oracles import Oracle, losses_of, names, replay, rows
from tests.help.oracles_prompts import compare_head, learner_of, set_rows


@pytest.mark.parametrize("name", ["forward-l2p-a", "forward-l2p-b"])
@pytest.mark.parametrize("selection", ["image", "batch"])
def test_selection_features_logits_and_the_key_term(name: str, selection: str) -> None:
    oracle = Oracle(name)
    meta, images = oracle.meta, oracle.images()
    learner = learner_of(
        L2P, oracle, pool=meta["pool"], length=meta["length"], top=meta["top"], place="after-class", pull=1.0,
        selection=selection,
    )  # fmt: skip
    learner.head.grow_to(5, learner.init_rng("head"))
    with torch.no_grad():
        learner.pool.prompts[0, :, 0].copy_(oracle.tensor("prompts"))
        learner.pool.keys[0].copy_(oracle.tensor("keys"))
        set_rows(learner.head, oracle.tensor("head_weight"), oracle.tensor("head_bias"))
        queries = learner.backbone(images)
        (similarities,) = learner.pool.similarities(queries)
        chosen = nearest(similarities, meta["top"], vote=selection == "batch")
        features = learner.instructed(images, queries)
    oracle.compare("forward", queries, oracle.tensor("query"))
    oracle.compare("forward", similarities, oracle.tensor(f"{selection}/similarity"))
    theirs = oracle.tensor(f"{selection}/selected")  # the order of prompts changes no output
    oracle.compare("forward", chosen.sort(1).values, theirs.sort(1).values)
    oracle.compare("forward", features, oracle.tensor(f"{selection}/features"))
    oracle.compare("forward", learner.head(features), oracle.tensor(f"{selection}/logits"))
    oracle.compare("loss", -learner.extra(queries, 0), oracle.tensor(f"{selection}/reduce_sim"))


@pytest.mark.parametrize("name", names("forward-l2p-prefix"))
@pytest.mark.parametrize("form", ["first", "deep"])
def test_prefixes_of_l2p_plus_plus_and_its_key_loss(name: str, form: str) -> None:
    oracle = Oracle(name)
    meta, images, prompts = oracle.meta, oracle.images(), oracle.tensor("prompts")
    layers = tuple(range(len(prompts))) if form == "deep" else (0,)
    learner = learner_of(
        L2P, oracle, prompt="prefix", key_loss="legacy", pull=1.0, layers=layers, pool=meta["pool"],
        length=meta["rows"] // 2, top=meta["top"],
    )  # fmt: skip
    with torch.no_grad():
        for site, layer in enumerate(layers):  # half of the rows of a prompt are keys
            learner.pool.prompts[site].copy_(torch.stack(prompts[layer].chunk(2, 1), 1))
            learner.pool.keys[site].copy_(oracle.tensor("keys")[layer])
        queries = learner.backbone(images)
        features = learner.instructed(images, queries)
    oracle.compare("forward", queries, oracle.tensor("query"))
    oracle.compare("forward", features, oracle.tensor(f"{form}/features"))
    oracle.compare("forward", features, oracle.tensor(f"{form}/test_features"))
    terms = len(images) ** 2 * meta["top"] * len(layers)  # a sum near 1000, which float32 does not hold to 1e-5
    oracle.compare("loss", learner.extra(queries, 0) / terms, oracle.tensor(f"{form}/loss") / terms)


@pytest.mark.parametrize("name", names("train-l2p"))
def test_learning_ends_in_the_same_weights(name: str) -> None:
    oracle = Oracle(name)
    meta = oracle.meta

    def begin(learner: L2P, task: int, phase: str) -> None:
        set_rows(learner.head, oracle.tensor("init/head_weight"))
        if task == 0:
            learner.pool.prompts[0, :, 0].copy_(oracle.tensor("init/prompts"))
            learner.pool.keys[0].copy_(oracle.tensor("init/keys"))

    def after(learner: L2P, task: int) -> None:
        oracle.compare("training", learner.pool.prompts[0, :, 0], oracle.tensor(f"final/{task}/prompts"))
        oracle.compare("training", learner.pool.keys[0], oracle.tensor(f"final/{task}/keys"))
        compare_head(oracle, learner.head, task)
        oracle.compare("loss", losses_of(learner)[task, "train"], oracle.tensor(f"loss/{task}"))

    replay(
        L2P, oracle, {"train": rows(oracle)}, begin=begin, after=after, pool=meta["pool"], length=meta["length"],
        top=meta["top"], pull=meta["pull"], selection=meta["selection"], epochs=meta["epochs"], lr=meta["lr"],
        batch_size=oracle.tensor("batches/0").shape[1], place="after-class", augment="none",
    )  # fmt: skip
