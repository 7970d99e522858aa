"""The projection in front of contrastive losses."""

from __future__ import annotations

import torch
from torch import nn

from cl.parts.heads import Projector


def test_it_is_two_linear_layers_with_a_relu_between() -> None:
    projector = Projector(6, 3, torch.Generator().manual_seed(0))
    first, _, second = projector.layers
    assert isinstance(first, nn.Linear) and isinstance(second, nn.Linear)
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    expected = (x @ first.weight.T + first.bias).relu() @ second.weight.T + second.bias
    torch.testing.assert_close(projector(x), expected)
    assert first.weight.shape == (6, 6) and second.weight.shape == (3, 6)
    values = torch.cat([value.flatten() for value in projector.parameters()])
    assert 0.3 < float(values.abs().max()) <= 6**-0.5, "U(-1/sqrt(d), 1/sqrt(d))"
    again = Projector(6, 3, torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(projector.parameters(), again.parameters(), strict=True))
