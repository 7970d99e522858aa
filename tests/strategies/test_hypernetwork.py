"""Hypernetwork: the contract, the draw of the official code, sizes, presets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cl.parts.generated import FeedForward
from cl.plan.plan import make_plan
from cl.random import Seeds
from cl.strategies.hypernetwork import Hypernetwork
from cl.testing import check_strategy
from cl.training.trainer import Trainer
from tests.conftest import run, tiny_stream
from tests.help.backbones import flat_backbone

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 8, "batch_size": 6, "hidden": (10, 8), "embedding": 6, "lr": 3e-3}


def hypernetwork(**options: Any) -> Hypernetwork:
    return Hypernetwork(Hypernetwork.Options(**{**FAST, **options}), flat_backbone(), Trainer(seeds=Seeds()))


@pytest.mark.slow
@pytest.mark.parametrize("backprop", [False, True])
def test_it_keeps_the_contract(backprop: bool) -> None:
    options = {"epochs": 2, "batch_size": 8, "backprop": backprop, "penalised": 1, "targets": "weights"}
    check_strategy("hypernetwork", options=options)


def test_it_learns_digits_and_keeps_them(tmp_path: Path) -> None:
    record = run(hypernetwork(epochs=20, lr=5e-3), tiny_stream(), tmp_path)
    matrix = record["result"]["accuracy"]["til_oracle"]["correct"]
    assert matrix[-1][0] > 9 and sum(matrix[-1]) > 44, "of 12 and of 60"


def test_the_generator_is_an_mlp_that_depends_on_its_seed_only(learn: Learn) -> None:
    one, two = hypernetwork(), hypernetwork()
    for method in (one, two):
        method.info = tiny_stream().info
        method.setup(method.info)
    assert isinstance(one.generator, FeedForward)
    assert [layer.out_features for layer in one.generator.hidden] == [10, 8]
    for a, b in zip(one.generator.parameters(), two.generator.parameters(), strict=True):
        assert torch.equal(a, b)
    other = Hypernetwork(one.options, flat_backbone(), Trainer(seeds=Seeds(init=5)))
    other.info = one.info
    other.setup(one.info)
    assert not torch.equal(other.generator.output.weight, one.generator.output.weight)


def test_weights_generated_first_are_as_large_as_the_networks_own(learn: Learn) -> None:
    found = {}
    for init in ("scaled", "xavier"):
        method = hypernetwork(init=init, epochs=1, lr=1e-9)
        learn(method, tiny_stream(), 1)
        weights = torch.cat([value.flatten() for value in method._weights(0)[1].backbone.values()])
        found[init] = float(weights.square().mean().sqrt()) / method._layout.scale
    assert 0.5 < found["scaled"] < 2.5 < found["xavier"]


def test_presets_have_the_numbers_of_the_code() -> None:
    split = make_plan("hypernetwork", "split-mnist", "mlp_2x400_28@random").options
    assert (split.hidden, split.chunk, split.embedding, split.chunk_embedding) == ((10, 10), 42_000, 96, 96)
    assert (split.lr, split.embedding_lr, split.beta, split.batch_size, split.init) == (1e-3, 1e-3, 0.01, 128, "xavier")
    permuted = make_plan("hypernetwork", "permuted-mnist", "mlp_2x1000_28@random").options
    assert (permuted.hidden, permuted.chunk, permuted.embedding, permuted.chunk_embedding) == ((25, 25), 78_000, 24, 8)
    assert (permuted.lr, permuted.beta, permuted.activation) == (1e-4, 0.1, "elu")


@pytest.mark.parametrize("stream", ["split-mnist", "permuted-mnist"])
def test_both_hypernetworks_have_presets_of_equal_size(stream: str) -> None:
    one = make_plan("hypernetwork", stream, "mlp_2x100_28@random").options
    two = make_plan("dp-hypernetwork", stream, "mlp_2x100_28@random").options
    for name in ("ratio", "chunk", "epochs", "batch_size", "lr", "embedding_lr", "beta", "lookahead", "embedding"):
        assert getattr(one, name) == getattr(two, name), name
    assert one.ratio == 0.5 and one.chunk == 0
