"""SoftNet against ihaeyong/SoftNet-FSCIL @ ae640f57e1e6: the whole training of a base session."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cl.parts.weights.soft_masks import Redrawn, SoftScores
from cl.strategies.softnet import SoftNet
from cl.training.fit import FitSpec
from tests.conftest import make
from tests.help.oracles import InOrder, Oracle, names, replay
from tests.help.oracles_rest import LAYERS, small_net

ORACLE = Oracle("train-softnet-a")


def base_session(monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[SoftNet, dict[str, Any]]:
    """Learn the base session with the file's batches and minor values; also returns head, scores and losses."""
    meta = ORACLE.meta
    seen: dict[str, Any] = {}
    steps = len(ORACLE.tensor("batches/0")) // meta["epochs"]
    calls = iter(range(10_000))

    def redraw(scores: SoftScores, generator: torch.Generator | None) -> None:
        """Step k gets minor/k; `Redrawn` also draws at the start of every epoch."""
        assert generator is not None
        epoch, within = divmod(next(calls), steps + 1)
        if within:
            for i, layer in enumerate(LAYERS):
                scores.get_buffer(f"minor{i}").copy_(ORACLE.tensor(f"minor/{epoch * steps + within - 1}/{layer}"))

    def given(task: int, spec: FitSpec) -> Redrawn:
        assert isinstance(spec.data, Redrawn)
        ordered = InOrder(spec.data.source, ORACLE.tensor("batches/0"), spec.epochs)
        return Redrawn(ordered, spec.data.scores, every=spec.data.every, soft_from=spec.data.soft_from)

    def begin(learner: SoftNet, task: int, phase: str) -> None:
        assert learner.scores is not None and learner.head is not None
        for values, layer in zip(learner.scores.values, LAYERS, strict=True):
            values.copy_(ORACLE.tensor(f"init/{layer}.w_m"))
        learner.head.weight.copy_(ORACLE.tensor("init/head.weight"))
        seen.update(steps=steps * meta["epochs"], scores=learner.scores, head=learner.head, trainer=learner.trainer)

    monkeypatch.setattr(SoftScores, "redraw", redraw)
    learner = replay(
        SoftNet, ORACLE, {"soft subnetwork": given}, begin=begin, backbone=small_net(ORACLE), redraw="step",
        share=meta["share"], epochs=meta["epochs"], batch_size=4, lr=meta["lr"], momentum=meta["momentum"],
        weight_decay=meta["weight_decay"], milestones=tuple(meta["milestones"]), gamma=meta["gamma"], holdout=0.0,
        augment="none", **options,
    )  # fmt: skip
    return learner, seen


def test_the_base_session_ends_in_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, seen = base_session(monkeypatch)
    for i, layer in enumerate(LAYERS):  # the code draws once more for the final mask; ours keeps the last step's values
        mask = learner.masks.values[i]
        minor = [ORACLE.tensor(f"minor/{step}/{layer}") for step in (seen["steps"] - 1, seen["steps"])]
        assert torch.equal(mask[mask < 1], minor[0][mask < 1])
        mask.copy_(torch.where(mask == 1, mask, minor[1]))
        ORACLE.compare("training", learner._weights[i], ORACLE.tensor(f"final/{layer}.weight"))
        ORACLE.compare("training", seen["scores"].values[i], ORACLE.tensor(f"final/{layer}.w_m"))
        ORACLE.compare("training", learner.masks.values[i], ORACLE.tensor(f"final/mask/{layer}"))
    ORACLE.compare("training", seen["head"].weight, ORACLE.tensor("final/head.weight"))
    ORACLE.compare("training", seen["head"].bias, ORACLE.tensor("final/head.bias"))
    ORACLE.compare("loss", seen["trainer"].losses[0, "soft subnetwork"], ORACLE.tensor("loss/0"))
    with torch.no_grad():
        logits = seen["head"](learner.masked(ORACLE.images("pixels/0")))
    ORACLE.compare("forward", logits, ORACLE.tensor("final/logits"))


def test_the_gradient_of_the_size_of_a_score_trains_another_subnetwork(monkeypatch: pytest.MonkeyPatch) -> None:
    _, seen = base_session(monkeypatch, mask_gradient="size")
    differ = (seen["scores"].values[0] - ORACLE.tensor("final/conv1.w_m")).abs().max()
    assert float(differ) > 0.01, "the option is WSN's way, which the authors of SoftNet do not use"


@pytest.mark.parametrize("kind", ["raw", "unit"])
@pytest.mark.parametrize("name", names("softnet-loss"))
def test_the_loss_of_a_later_session(name: str, kind: str) -> None:
    """The code's loss: a mean over images, with means of normalised features as prototypes of the new classes."""
    oracle = Oracle(name)
    old, ways, shots = (oracle.meta[key] for key in ("old", "ways", "shots"))
    options = {"temperature": oracle.meta["temperature"], "session_loss": "mean", "new_prototypes": "unit"}
    learner = make(SoftNet, **options)
    learner.prototypes = oracle.tensor(f"{kind}/prototypes")
    features = oracle.tensor(f"{kind}/features").requires_grad_(True)
    new = range(old, old + ways)
    loss = learner.pull(features, torch.tensor(new).repeat_interleave(shots), new)
    loss.backward()
    oracle.compare("loss", loss, oracle.tensor(f"{kind}/loss"))
    oracle.compare("loss", features.grad, oracle.tensor(f"{kind}/gradient"))
    paper = make(SoftNet, **{**options, "session_loss": "sum"})
    paper.prototypes = learner.prototypes
    total = paper.pull(features, torch.tensor(new).repeat_interleave(shots), new)
    oracle.compare("loss", total / (ways * shots), oracle.tensor(f"{kind}/loss"))
