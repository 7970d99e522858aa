"""CL-DST against muratonuryildirim/CL-with-DST @bdc9b12: densities, and whole trainings with masks that change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cl.backbone import Backbone
from cl.parts.weights.sparse import erk_densities
from cl.strategies.cl_dst import CLDST
from tests.help.oracles import Oracle, half, identity, losses_of, names, replay, rows
from tests.help.oracles_sparse import LAYERS, NormedNet

ERK = Oracle("erk-a")


def test_erk_gives_the_same_densities() -> None:
    for key in ERK.arrays:
        if key.startswith("densities/"):
            density = float(key.partition("/")[2])
            ERK.compare("forward", np.array(erk_densities(ERK.meta["shapes"], density)), ERK.arrays[key])


@pytest.mark.parametrize("name", names("train-cl-dst"))
def test_the_whole_training_ends_in_the_same_masks_and_weights(name: str) -> None:
    oracle, done = Oracle(name), []
    meta, model = oracle.meta, NormedNet(oracle.meta["channels"], oracle.meta["dim"])
    model.load_state_dict({k: v for k, v in oracle.group("init").items() if not k.startswith("head")}, strict=False)

    def begin(learner: Any, task: int, phase: str) -> None:
        for layer, weight, mask, fired, pool in zip(
            LAYERS, learner._weights, learner.mask, learner.fired, learner.pool, strict=True
        ):
            mask.copy_(oracle.tensor(f"drawn/{task}/{layer}"))
            fired.copy_(mask)
            weight.copy_(pool * mask)
        own = slice(2 * task, 2 * task + 2)
        learner.head.blocks[-1].weight.copy_(oracle.tensor("init/head_bias.weight")[own])
        learner.head.blocks[-1].bias.copy_(oracle.tensor("init/head_bias.bias")[own])

    def after(learner: CLDST, task: int) -> None:
        for layer, weight, mask in zip(LAYERS, learner._weights, learner.masks[task], strict=True):
            oracle.compare("training", mask.byte(), oracle.tensor(f"mask/{task}/{layer}").byte())
            oracle.compare("training", weight, oracle.tensor(f"final/{task}/{layer}"), "weights")
        for key, value in oracle.group(f"small/{task}").items():
            oracle.compare("training", learner.kept.tasks[task][key], value, "weights")
        for part in ("weight", "bias"):
            oracle.compare(
                "training", getattr(learner.head.blocks[task], part), oracle.tensor(f"head/{task}/{part}"), "weights"
            )
        oracle.compare("loss", losses_of(learner)[task, "subnetwork"], oracle.tensor(f"loss/{task}"))
        found = learner.predict_images(oracle.tensor(f"pixels/{task}"), task)[:, learner.head.tasks[task]]
        oracle.compare("forward", found, oracle.tensor(f"logits/{task}"), "weights")
        done.append(task)

    replay(
        CLDST, oracle, {"subnetwork": rows(oracle)}, begin=begin, after=after,
        backbone=Backbone(model, half(8), identity(name, meta["dim"])), epochs=meta["epochs"], batch_size=6,
        lr=meta["lr"], density=meta["density"], init=meta["init"], growth=meta["growth"], rate=meta["rate"],
        frequency=meta["frequency"],
    )  # fmt: skip
    assert done == list(range(meta["tasks"]))


def test_masks_of_the_files_change_in_training() -> None:
    for name in names("train-cl-dst"):
        oracle = Oracle(name)
        assert any(
            (oracle.arrays[f"drawn/1/{layer}"] != oracle.arrays[f"mask/1/{layer}"]).sum() > 8 for layer in LAYERS
        )
