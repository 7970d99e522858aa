"""Triangles of symmetric matrices, and covariances conditioned on measurements."""

from __future__ import annotations

import pytest
import torch

from cl.parts.statistics import blocks, condition_, mirror_, packed, unpacked, wide
from cl.parts.statistics.symmetric import ROWS
from tests.help.closed_forms import drawn


@pytest.mark.parametrize("dim", [1, 2, 7, 50])
def test_a_triangle_holds_a_symmetric_matrix(dim: int) -> None:
    square = drawn(dim, dim)
    square = square + square.T
    assert packed(square).shape == (dim * (dim + 1) // 2,)
    assert torch.equal(unpacked(packed(square)), square)


@pytest.mark.parametrize("tile", [2, 3, 1024])
def test_the_upper_triangle_is_copied_to_the_lower_one(tile: int) -> None:
    square = drawn(7, 7)
    expected = square.triu() + square.triu(1).T
    assert torch.equal(mirror_(square, tile), expected) and torch.equal(square, expected)


def test_a_conditioned_covariance_is_the_inverse_of_the_information() -> None:
    root, x, noise = drawn(6, 6), drawn(4, 6, seed=1), torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    prior = root @ root.T + torch.eye(6, dtype=torch.float64)
    expected = torch.linalg.inv(torch.linalg.inv(prior) + x.T @ torch.diag(1 / noise) @ x)
    covariance = prior.clone()
    gain = condition_(covariance, x, noise)
    assert torch.allclose(covariance, expected, rtol=0, atol=1e-12) and torch.equal(covariance, covariance.T)
    assert torch.allclose(gain.T, expected @ x.T @ torch.diag(1 / noise), rtol=0, atol=1e-12)


def test_rows_come_in_blocks() -> None:
    x, y = torch.arange(2 * ROWS + 3), torch.arange(2 * ROWS + 3) + 1
    found = list(blocks(x, y))
    assert [len(part) for part, _ in found] == [ROWS, ROWS, 3]
    assert torch.equal(torch.cat([part for _, part in found]), y)


def test_sums_are_on_the_device_unless_it_has_no_float64() -> None:
    assert wide("cuda:1") == torch.device("cuda:1") and wide("mps") == torch.device("cpu")
