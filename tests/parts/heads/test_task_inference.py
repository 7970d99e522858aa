"""Task inference against its equations."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch.nn import functional as F

from cl.parts.heads.task_inference import TaskInference


def test_task_inference_is_its_equation() -> None:
    rng = torch.Generator().manual_seed(0)
    tii, u = TaskInference(6, (2,), rng).double(), torch.randn(5, 6, dtype=torch.float64, generator=rng)
    u *= 0.01  # small enough for eps to matter
    tii.head.grow_to(3, rng)
    tii.head.grow_to(5, rng)
    layers = cast(Any, tii.mlp)
    first, last = layers[0], layers[2]
    assert (first.out_features, last.out_features) == (12, 6)
    hidden = u + F.linear(F.gelu(F.linear(u, first.weight)), last.weight)
    m = (hidden - hidden.mean(1, keepdim=True)) / (hidden.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
    logits = torch.cat([m @ block.weight.T for block in tii.head.blocks], 1)
    assert torch.allclose(tii(u), logits)
    assert torch.equal(tii.tasks(u), (logits.argmax(1) >= 3).long())
    deep = TaskInference(6, (4, 4), rng)
    assert deep.mlp is not None
    assert [type(layer).__name__ for layer in deep.mlp] == ["Linear", "GELU", "Linear", "LayerNorm", "Linear"]
    assert TaskInference(6, (), rng).mlp is None
    uneven = TaskInference(6, (2, 3), rng)
    assert uneven.mlp is not None and uneven.mlp[3].normalized_shape == (18,)
    assert uneven.mlp(u.float()).shape == (5, 6)
