"""KVB against ftraeuble/discrete_key_value_bottleneck @ 1987958ea30e: keys, and whole trainings of the values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cl.parts.heads.key_values import KeyQuantiser, KeyValues
from cl.strategies.kvb import KVB
from tests.help.oracles import Oracle, Replay, names, replay, rows

KEYS = Oracle("kvb-keys-a")


def place(pairs: KeyValues, oracle: Oracle) -> None:
    """Set projections and keys of a file, whose projections are [codebooks, d, key_dim]."""
    pairs.projections.copy_(oracle.tensor("projections").transpose(0, 1).flatten(1))
    pairs.keys.copy_(oracle.tensor("keys"))


def test_keys_move_as_in_the_code() -> None:
    books, dim, key_dim = KEYS.arrays["projections"].shape
    count = KEYS.arrays["keys"].shape[1]
    pairs = KeyValues(dim, books, count, key_dim, 1, torch.Generator().manual_seed(0))
    place(pairs, KEYS)
    features = KEYS.tensor("features")
    KEYS.compare("forward", pairs.queries(features).transpose(0, 1), KEYS.tensor("queries"))
    quantiser = KeyQuantiser(pairs, decay=KEYS.meta["decay"], dead=0.0, eps=KEYS.meta["eps"])
    compared = []
    for step, batch in enumerate(KEYS.tensor("batches")):
        quantiser.update(features[batch], torch.Generator())
        if f"after/{step}/keys" in KEYS.arrays:
            keys = KEYS.tensor(f"after/{step}/keys")
            size = float(keys.abs().max())
            KEYS.compare("training", pairs.keys / size, keys / size)
            KEYS.compare("training", quantiser.counts, KEYS.tensor(f"after/{step}/counts"))
            KEYS.compare("training", quantiser.sums, KEYS.tensor(f"after/{step}/sums"))
            compared.append(step)
    assert compared == [0, 4, 19]
    assert torch.equal(quantiser.counts < KEYS.meta["dead_threshold"], KEYS.tensor("dead"))


@pytest.mark.parametrize("by", ["value", "image"])
@pytest.mark.parametrize("name", names("train-kvb"))
def test_the_whole_training_ends_in_the_same_values(name: str, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By value: gradients of the fetched rows. By image: the same SGD on one coefficient per image."""
    oracle, done = Oracle(name), []
    meta = oracle.meta
    monkeypatch.setattr(KVB, "most_overlaps", 8192 if by == "image" else 0)
    monkeypatch.setattr(KVB, "_quantise_keys", lambda learner: None)

    def before(learner: Any, task: int) -> None:
        if task == 0:
            place(learner.pairs, oracle)

    def after(learner: Any, task: int) -> None:
        shape = (meta["codebooks"], meta["pairs"], meta["classes"])
        oracle.compare("training", learner.pairs.values.view(shape), oracle.tensor(f"final/{task}/values"))
        assert torch.equal(learner.pairs.hits, oracle.tensor(f"final/{task}/hits"))
        assert isinstance(learner.trainer, Replay)
        oracle.compare("loss", learner.trainer.losses[task, "values"], oracle.tensor(f"loss/{task}"))
        oracle.compare("forward", logits(learner, oracle), oracle.tensor(f"final/{task}/test_logits"))
        done.append(task)

    replay(
        KVB, oracle, {"values": rows(oracle)}, before=before, after=after, codebooks=meta["codebooks"],
        pairs=meta["pairs"], key_dim=meta["key_dim"], epochs=meta["epochs"], batch_size=4, lr=meta["lr"],
        clip=meta["clip"], label_smoothing=meta["label_smoothing"],
    )  # fmt: skip
    assert done == list(range(meta["tasks"]))


def logits(learner: KVB, oracle: Oracle) -> Tensor:
    """The logits of the file's test images, from the pairs that training read."""
    with torch.no_grad():
        features = learner.backbone(oracle.images("test_pixels"))
        return learner.pairs.read(learner.pairs.nearest(features, used=True))
