"""GRACE against Thartvigsen/GRACE @f674183: which images are corrected, the codebook they leave, and all answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.random import Seeds
from cl.registry import strategies
from cl.strategies.grace import GRACE
from cl.strategy import Inputs, Strategy, View
from cl.training.trainer import Trainer
from tests.help.oracles import Oracle, half, identity, names


class Net(nn.Module):
    """Four tokens of 48 pixels -> layer -> tanh(first token + mix(mean over tokens))."""

    num_features, cls_token = 10, True

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.mix = nn.Linear(48, 10), nn.Linear(10, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.layer(x.reshape(len(x), 4, 48))
        return torch.tanh(h[:, 0] + self.mix(h.mean(1)))


class Finished(Strategy):
    """A learner that has learned: a linear head on the features."""

    head: nn.Linear

    def setup(self, info: Any) -> None:
        self.head = nn.Linear(10, 4).requires_grad_(False)

    def learn(self, view: View) -> None:
        pass

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.head(inputs.encode(self.backbone))


@pytest.fixture
def finished() -> Iterator[str]:
    strategies.register("finished", Finished)
    yield "finished"
    strategies.unregister("finished")


@pytest.mark.parametrize("name", names("grace"))
def test_a_sequence_of_corrections(name: str, finished: str, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle = Oracle(name)
    meta, model, stream = oracle.meta, Net(), oracle.stream
    model.load_state_dict({key: x for key, x in oracle.group("init").items() if not key.startswith("head")})
    options = GRACE.Options(
        base=finished, layer="layer", replace="all" if meta["replacement"] == "replace_all" else "token",
        start=meta["val_init"], radius=meta["eps"], iterations=meta["n_iter"], lr=meta["edit_lr"], measured=0,
    )  # fmt: skip
    learner = GRACE(options, Backbone(model, half(8), identity(name, 10)), Trainer(seeds=Seeds()))
    learner.info = stream.info
    learner.setup(stream.info)
    assert isinstance(learner.base, Finished)
    learner.base.head.load_state_dict({part: oracle.tensor(f"init/head.{part}") for part in ("weight", "bias")})
    learner.learn(stream.view(0))
    probes, edits = oracle.tensor("pixels/0"), oracle.tensor("pixels/1")
    oracle.compare("forward", learner.predict_images(probes), oracle.tensor("logits/before"))

    drawn, corrected = iter(oracle.tensor("drawn")), []
    original, trained = learner._first, learner._trained

    def first(held: Any, new: Tensor) -> Tensor:
        mine = pending.pop(0)
        return (
            torch.stack([mine[i] for i in range(len(new)) if new[i]])
            if meta["val_init"] == "cold"
            else original(held, new)
        )

    pending: list[Any] = []

    def spied(images: Any, entries: Tensor, new: Tensor) -> Any:
        pending.append([next(drawn) for _ in entries])
        corrected.append(len(entries))
        values, right = trained(images, entries, new)
        assert right.all()
        return values, right

    monkeypatch.setattr(learner, "_first", first)
    monkeypatch.setattr(learner, "_trained", spied)
    monkeypatch.setattr(torch, "randperm", lambda n, **_: torch.arange(n))
    learner.trainer.journal.begin(1)
    learner.learn(stream.view(1))
    book = learner.codebook
    assert learner.edits == len(oracle.arrays["edited"]) == sum(corrected) and max(corrected) > 1
    assert torch.equal(book.labels, oracle.tensor("key_labels"))
    oracle.compare("training", book.keys, oracle.tensor("keys"))
    oracle.compare("training", book.radii, oracle.tensor("radii"))
    oracle.compare("training", book.values, oracle.tensor("values"), "values")
    oracle.compare("training", learner.predict_images(probes), oracle.tensor("logits/after"), "values")
    oracle.compare("training", learner.predict_images(edits), oracle.tensor("logits/edits"), "values")
    kinds = set(meta["kinds"])
    assert {"add", "split", "expand"} <= kinds
