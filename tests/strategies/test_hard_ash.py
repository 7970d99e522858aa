"""Hard ASH: the contract, its activations in a network, and a stream without tasks."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

from cl.errors import UsageError
from cl.parts.activations import HardASH
from cl.plan.plan import make_plan
from cl.random import Seeds
from cl.strategies.hard_ash import HardAsh
from cl.testing import check_strategy
from cl.training import state
from cl.training.trainer import Trainer
from tests.conftest import make, tiny_stream
from tests.help.backbones import conv_backbone

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"batch_size": 8, "lr": 0.01, "zk": 1.0}


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    check_strategy("hard-ash", options={"batch_size": 8})


def test_the_head_has_all_classes_from_the_start_and_the_sums_only_grow(learn: Learn) -> None:
    method = make(HardAsh, **FAST)
    seen = learn(method, tiny_stream(), 3, lambda s, view: (state.clone(s.sums.get_state()), s.head.weight.clone()))
    assert method.head.weight.shape == (10, method.backbone.dim) and method.head.bias is None
    for (before, _), (after, _) in itertools.pairwise(seen):
        assert all(bool((after[name] >= before[name]).all()) for name in before)
        assert any(not torch.equal(after[name], before[name]) for name in before)
    acts = [module for module in method.backbone.model.modules() if isinstance(module, HardASH)]
    assert len(acts) == 2 and all((act.zk, act.alpha, act.gate) == (1.0, 3.0, "sigmoid") for act in acts)


def test_predictions_are_those_of_the_changed_network(learn: Learn) -> None:
    method = make(HardAsh, **FAST)
    learn(method, tiny_stream(), 1)
    pixels = torch.randint(256, (5, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features = method.backbone(method.backbone.transform(pixels))
    torch.testing.assert_close(method.predict_images(pixels), features @ method.head.weight.T)


def test_a_network_without_activation_modules_is_refused_before_training() -> None:
    method = HardAsh(HardAsh.Options(), conv_backbone(), Trainer(seeds=Seeds()))
    with pytest.raises(UsageError, match="has no activation to replace"):
        method.setup(tiny_stream().info)


def test_the_defaults_are_adagrad_in_one_pass() -> None:
    o = make_plan("hard-ash", "split-digits", "wsn_lenet@random").options
    assert (o.epochs, o.batch_size, o.optimizer, o.decay, o.zk, o.alpha) == (1, 64, "adagrad", 0.8, 2.0, 3.0)
