"""WSN against ihaeyong/WSN @ f066982e6c4f: masks, their code, and whole trainings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cl.parts.weights.mask_coding import coded_bits, decode, encode, symbols
from cl.parts.weights.masks import best, straight_through
from cl.strategies.wsn import WSN
from tests.help.oracles import Oracle, Replay, losses_of, names, replay, rows
from tests.help.oracles_rest import LAYERS, small_net

MASKS = Oracle("wsn-masks-a")


def test_scores_choose_the_same_masks() -> None:
    """At exact halves of (1 - share)(n - 1) rounding may choose one weight more or less."""
    shares, half, differ, at_halves = MASKS.meta["shares"], MASKS.arrays["exact_half"], 0, 0
    for layer in range(MASKS.meta["layers"]):
        scores, masks = MASKS.tensor(f"scores/{layer}"), MASKS.tensor(f"masks/{layer}").bool()
        for i, share in enumerate(shares):
            wrong = int((best(scores, share) != masks[i]).sum())
            at_halves, differ = (max(at_halves, wrong), differ) if half[layer, i] else (at_halves, max(differ, wrong))
    MASKS.compare("forward", differ, 0, "weights that differ")
    assert at_halves <= 3, "one weight more or less, with the weights that tie with it"


def test_gradients_of_weights_and_scores() -> None:
    of = MASKS.group("gradient")
    weight, scores = (of[name].requires_grad_(True) for name in ("weight", "scores"))
    mask = straight_through(best(scores, 0.5).float(), scores)
    (of["x"] @ (weight * mask).T - of["target"]).square().sum().backward()
    MASKS.compare("loss", weight.grad, of["of_weight"])
    MASKS.compare("loss", scores.grad, of["of_scores"])


@pytest.mark.parametrize("name", names("mask-coding"))
def test_masks_have_the_same_symbols_and_bits(name: str) -> None:
    oracle = Oracle(name)
    bits = []
    for layer in range(oracle.meta["layers"]):
        masks = oracle.arrays[f"masks/{layer}"]
        found = symbols(list(masks))
        oracle.compare("forward", found.astype(np.int64), oracle.arrays[f"symbols/{layer}"])
        bits.append(coded_bits(found, len(masks)))
        assert np.array_equal(decode(encode(found, len(masks))), found)
    oracle.compare("forward", bits, oracle.arrays["bits"])


@pytest.mark.parametrize("name", names("train-wsn"))
def test_the_whole_training_ends_in_the_same_weights(name: str) -> None:
    oracle, done = Oracle(name), []
    meta = oracle.meta

    def begin(learner: Any, task: int, phase: str) -> None:
        if task == 0:
            for values, layer in zip(learner.scores.values, LAYERS, strict=True):
                values.copy_(oracle.tensor(f"init/{layer}.w_m"))
        learner.head.blocks[-1].weight.copy_(oracle.tensor(f"init/last.{task}.weight"))

    def after(learner: WSN, task: int) -> None:
        for i, layer in enumerate(LAYERS):
            oracle.compare("training", learner._weights[i], oracle.tensor(f"final/{task}/{layer}.weight"))
            oracle.compare("training", learner.scores.values[i], oracle.tensor(f"final/{task}/{layer}.w_m"))
            oracle.compare("training", learner.masks[task][i].byte(), oracle.tensor(f"mask/{task}/{layer}.weight"))
            oracle.compare("training", learner.masks.union()[i].byte(), oracle.tensor(f"union/{task}/{layer}.weight"))
        for other, block in enumerate(learner.head.blocks):
            oracle.compare("training", block.weight, oracle.tensor(f"final/{task}/last.{other}.weight"))
        assert isinstance(learner.trainer, Replay)
        oracle.compare("loss", losses_of(learner)[task, "subnetwork"], oracle.tensor(f"loss/{task}"))
        with torch.no_grad():
            images = oracle.images(f"pixels/{task}")
            found = [block(learner.network(s)(images)) for s, block in enumerate(learner.head.blocks)]
        oracle.compare("forward", torch.stack(found), oracle.tensor(f"logits/{task}"))
        done.append(task)

    replay(
        WSN, oracle, {"subnetwork": rows(oracle)}, begin=begin, after=after, backbone=small_net(oracle),
        share=meta["share"], epochs=meta["epochs"], batch_size=4, lr=meta["lr"], augment="none",
    )  # fmt: skip
    assert done == list(range(meta["tasks"]))
