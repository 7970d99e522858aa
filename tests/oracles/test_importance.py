"""SI against mammoth @e75a491 and MAS against rahafaljundi/MAS-Memory-Aware-Synapses @c3e6a85: whole trainings."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cl.strategies.mas import MAS
from cl.strategies.si import SI
from tests.help.oracles import InOrder, Oracle, Replay, names, replay, rows
from tests.help.oracles_rest import first_rows, trained


def flat(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Importances by the names of the files."""
    renamed = {
        name.replace("backbone.model.", "vit/").replace("head.blocks.0.", "head_"): v for name, v in found.items()
    }
    return dict(sorted(renamed.items()))


@pytest.mark.parametrize("name", [*names("train-si"), *names("train-mas")])
def test_the_whole_training_ends_in_the_same_weights(name: str) -> None:
    oracle, meta, done = Oracle(name), Oracle(name).meta, []
    given = first_rows(oracle)

    def begin(learner: Any, task: int, phase: str) -> None:
        given(learner, task, phase)
        if "xi" in meta:  # the rows are set after SI noted where they start
            learner.start = {name: value.detach().clone() for name, value in learner.held().items()}

    def after(learner: Any, task: int) -> None:
        block = learner.head.blocks[0]
        oracle.compare("training", trained(learner.backbone), trained(oracle, f"final/{task}/vit"))
        oracle.compare("training", block.weight, oracle.tensor(f"final/{task}/head_weight"))
        oracle.compare("training", block.bias, oracle.tensor(f"final/{task}/head_bias"))
        assert isinstance(learner.trainer, Replay)
        oracle.compare("loss", learner.trainer.losses[task, "train"], oracle.tensor(f"loss/{task}"))
        ours = flat(learner.anchors.terms[0]["weights"])
        theirs = dict(sorted(oracle.group(f"importance/{task}").items()))
        assert list(ours) == list(theirs)
        largest = max(float(value.abs().max()) for value in theirs.values())
        for key, value in theirs.items():
            oracle.compare("forward", ours[key] / largest, value / largest, "importance, relative")
        done.append(task)

    options: dict[str, Any] = {
        **{"epochs": meta["epochs"], "batch_size": 6, "lr": meta["lr"], "momentum": meta["momentum"]},
        **{"reg": meta["reg"], "loss": "global", "augment": "none"},
    }
    options |= {"xi": meta["xi"], "clamp": False} if "xi" in meta else {"gradients": meta["gradients"]}
    method = SI if "xi" in meta else type("Ordered", (MAS,), {"batches": _in_order})
    replay(method, oracle, {"train": rows(oracle)}, begin=begin, after=after, **options)
    assert done == [0, 1, 2]


def _in_order(self: MAS, images: Any, size: int, augment: str | None = None) -> Any:
    """The batches of a pass without augmentation have the images in the order of the file."""
    source = super(MAS, self).batches(images, size, augment or "none")
    return source if augment is not None else InOrder(source, torch.arange(len(images)).reshape(-1, size), 1)
