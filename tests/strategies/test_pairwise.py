"""Pairwise layer: the contract, its sparse features, and what is refused before any work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from cl.errors import UsageError
from cl.parts.activations import winners
from cl.plan.plan import make_plan
from cl.strategies.pairwise import Pairwise
from cl.testing import check_strategy
from tests.conftest import make, tiny_stream

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"batch_size": 8, "lr": 0.01, "wta": 0.5, "weights": 100}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["s-mas", "adagrad"])
def test_it_keeps_the_contract(kind: str) -> None:
    check_strategy("pairwise", options={"batch_size": 8, "weights": 100, "wta": 0.4, "optimizer": kind})


def test_predictions_are_products_of_the_winners(learn: Learn) -> None:
    method = make(Pairwise, **FAST)
    learn(method, tiny_stream(), 2)
    pixels = torch.randint(256, (5, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        z = winners(method.backbone(method.backbone.transform(pixels)), 8)
        assert (z > 0).sum(1).tolist() == [7] * 5
        torch.testing.assert_close(method.predict_images(pixels), method.head(z))
    acts = [module for module in method.backbone.model.modules() if isinstance(module, nn.GELU)]
    assert acts and all(act.approximate == "tanh" for act in acts)


def test_s_mas_counts_the_logits_of_all_classes_without_labels(learn: Learn) -> None:
    method = make(Pairwise, **FAST)
    learn(method, tiny_stream(), 1)
    sums = method.sums.sums["head.weight"]
    assert bool((sums >= 0).all()) and sums.any(), "S-MAS needs no labels: all classes are counted"
    assert sums.any(0).all()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"wta": 0.1}, r"wta=0\.1 of 16 features leaves 0 active, and a pair needs two; set wta=0\.19 or more"),
        ({"weights": 7}, r"weights=7 gives no pair to some of the 10 classes; set weights=10 or more, or 0"),
    ],
)
def test_too_few_features_or_weights_are_refused_before_training(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        make(Pairwise, **{**FAST, **options}).setup(tiny_stream().info)


def test_all_pairs_are_refused_if_there_are_fewer_than_classes() -> None:
    from dataclasses import replace

    names = tuple(f"class {number}" for number in range(121))
    many = replace(tiny_stream().info, n_classes=121, class_names=names)
    with pytest.raises(
        UsageError, match=r"weights=0 gives no pair to some of the 121 classes; set weights=121 or more\."
    ):
        make(Pairwise, **{**FAST, "weights": 0}).setup(many)
    make(Pairwise, **{**FAST, "weights": 0}).setup(replace(many, n_classes=120))


def test_presets_are_those_of_the_repository() -> None:
    o = make_plan("pairwise", "split-digits", "wsn_lenet@random", preset="split-mnist").options
    assert (o.optimizer, o.lr, o.wta, o.weights, o.decay, o.batch_size, o.epochs) == (
        "s-mas",
        1e-4,
        0.18,
        250_000,
        0.01,
        64,
        1,
    )
    o = make_plan("pairwise", "split-digits", "wsn_lenet@random", preset="split-mnist-adagrad").options
    assert (o.optimizer, o.lr, o.wta, o.decay) == ("adagrad", 2e-4, 0.15, 0.8)
