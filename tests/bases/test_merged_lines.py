"""LiNeS for merged task vectors: the network that predicts, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cl.bases.merged import Merging
from cl.parts.merging import added
from cl.strategies.task_arithmetic import TaskArithmetic
from cl.strategies.ties import TIES
from cl.training import state
from tests.conftest import make, tiny_stream
from tests.help.compare import same

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 1e-3, "augment": "none", "scale": 1.0}


@pytest.mark.parametrize("method", [TaskArithmetic, TIES])
def test_the_network_has_the_merged_vector_scaled_by_depth(method: type[Merging], learn: Learn) -> None:
    learner, plain, vectors = make(method, **FAST, lines=0.7), make(method, **FAST), []
    merge = method.merge

    def traced(self: Any, vector: Any) -> Any:
        if self is learner:
            vectors.append(state.clone({name: vector[name] for name in vector}))
        return merge(self, vector)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(method, "merge", traced)
        for each in (learner, plain):
            learn(each, tiny_stream(), 3)
    assert same(dict(learner.merged.values), dict(plain.merged.values)), "later merges see the vector itself"
    size = sum(float(tensor.abs().sum()) for tensor in learner.merged.values.values())
    total = sum(float(sum(vector[name] for vector in vectors).abs().sum()) for name in vectors[0])
    alpha, wanted = total / size / 3, {}
    for name, tensor in learner.merged.values.items():
        wanted[name] = (alpha + 0.7 * name.startswith("blocks.1.")) * tensor  # the second of two blocks
    held = added(learner.backbone.pretrained(), wanted)
    found = learner.extractor()._tensors  # type: ignore[attr-defined]
    for name, tensor in held.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-5)
