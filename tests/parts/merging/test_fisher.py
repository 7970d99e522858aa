"""Averages of two checkpoints by the Fisher information of their weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cl.errors import UsageError
from cl.parts.merging import fisher_average


def weights(*values: float) -> dict[str, Tensor]:
    return {"w": torch.tensor(values)}


def test_the_weighted_average_against_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    before, after, f0, f1 = ({"w": torch.rand(50, generator=generator)} for _ in range(4))
    found = fisher_average(before, after, 0.3, (f0, f1))["w"].double()
    a, b, x, y = (each["w"].double() for each in (before, after, f0, f1))
    wanted = (0.7 * x * a + 0.3 * y * b) / (0.7 * x + 0.3 * y)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_without_information_the_average_is_plain() -> None:
    before, after = weights(1.0, 1.0, 1.0), weights(3.0, 3.0, 3.0)
    assert fisher_average(before, after, 0.25)["w"].tolist() == pytest.approx([1.5] * 3)
    found = fisher_average(before, after, 0.25, (weights(0.0, 1.0, 0.0), weights(0.0, 0.0, 2.0)))["w"]
    assert found.tolist() == pytest.approx([1.5, 1.0, 3.0]), "known to neither; to the older; to the newer"


def test_integer_tensors_are_those_of_the_newer_checkpoint() -> None:
    before, after = ({"count": torch.tensor(n), **weights(float(n))} for n in (3, 5))
    found = fisher_average(before, after, 0.5)
    assert list(found) == ["count", "w"] and found["count"].item() == 5 and found["w"].tolist() == [4.0]


def test_shares_of_0_and_1_give_either_checkpoint_bit_for_bit() -> None:
    before, after, fisher = weights(0.1, 0.7), weights(0.3, -0.2), (weights(1.0, 2.0), weights(3.0, 4.0))
    assert torch.equal(fisher_average(before, after, 0.0, fisher)["w"], before["w"])
    assert torch.equal(fisher_average(before, after, 1.0, fisher)["w"], after["w"])


def test_other_checkpoints_and_shares_are_refused() -> None:
    with pytest.raises(UsageError, match="has the shape"):
        fisher_average(weights(1.0), weights(1.0, 2.0), 0.5)
    with pytest.raises(UsageError, match="not finite"):
        fisher_average(weights(1.0), weights(float("nan")), 0.5)
    with pytest.raises(UsageError, match=r"alpha=1\.5 is the share of the newer weights"):
        fisher_average(weights(1.0), weights(2.0), 1.5)
