"""The linear probe: the backbone is frozen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cl.strategies.finetune import Finetune
from cl.strategies.linear_probe import LinearProbe
from cl.training import state
from tests.conftest import make, tensors, tiny_stream

FAST: dict[str, Any] = {"epochs": 2, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"}
Learn = Callable[..., list[Any]]


def test_backbone_rate_zero_is_the_sequential_linear_probe(learn: Learn) -> None:
    options = {**FAST, "augment": "none"}
    finetune, probe = make(Finetune, **options, backbone_lr_scale=0.0), make(LinearProbe, **options)
    # dropout is the one thing a trained backbone does that a frozen one does not
    for module in finetune.backbone.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    learn(finetune, tiny_stream(), 2)
    learn(probe, tiny_stream(), 2)
    one, two = tensors(finetune), tensors(probe)
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)


@pytest.mark.parametrize("augment", ["none", "flip"])
def test_linear_probe_leaves_the_backbone_bit_identical(learn: Learn, augment: str) -> None:
    learner = make(LinearProbe, **{**FAST, "augment": augment})
    before = state.clone(dict(learner.backbone.model.state_dict()))
    learn(learner, tiny_stream(), 2)
    assert all(torch.equal(before[name], value) for name, value in learner.backbone.model.state_dict().items())
    assert learner.backbone.is_pristine and set(learner.get_state()["backbone"]) == set()
