"""Orthonormal directions, and what is left of a matrix without them."""

from __future__ import annotations

import torch

from cl.parts.statistics import Directions, without
from cl.training import state
from tests.help.closed_forms import drawn


def test_what_was_added_is_spanned_and_directions_stay() -> None:
    directions, first, second = Directions(6), drawn(2, 6), drawn(3, 6, seed=1)
    directions.add(0, first)
    held = directions.bases[0].clone()
    directions.add(0, second)
    basis = directions.bases[0]
    assert basis.shape == (5, 6) and torch.equal(basis[:2], held) and len(directions) == 5
    assert torch.allclose(basis @ basis.T, torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-12)
    assert float(without(torch.cat([first, second]), basis).abs().max()) < 1e-12
    directions.add(0, 1e4 * first + 1e-5 * second[:1])
    assert len(directions) == 5, "within rounding error of the span"
    directions.add(0, drawn(9, 6, seed=2))
    assert len(directions) == 6, "never more than d"
    directions.add(0, first[:0])
    assert len(directions) == 6


def test_each_row_has_its_basis_and_others_stay() -> None:
    directions, rows, matrix = Directions(6), drawn(2, 6), drawn(4, 6, seed=1).float()
    directions.add(2, rows)
    assert [len(basis) for basis in directions.bases] == [0, 0, 2]
    found = directions.outside(matrix)
    assert found.dtype == torch.float32 and torch.equal(found[[0, 1, 3]], matrix[[0, 1, 3]])
    projector = torch.eye(6, dtype=torch.float64) - rows.T @ torch.linalg.solve(rows @ rows.T, rows)
    assert torch.allclose(found[2].double(), projector @ matrix[2].double(), atol=1e-6)
    assert torch.equal(Directions(6).outside(matrix), matrix)


def test_directions_are_counted_as_samples_and_restored() -> None:
    one, two = Directions(6), Directions(6)
    one.add(1, drawn(2, 6))
    two.set_state(state.clone(one.get_state()))
    assert torch.equal(one.bases[1], two.bases[1]) and len(two.bases) == 2 and one.stores == "samples"
    assert state.nbytes(one.get_state()) == 8 * 12
