"""DualGPM: occupied and free directions after tasks whose inputs lie in known subspaces."""

from __future__ import annotations

import torch
from torch import Tensor

from cl.parts.statistics import DualGPM
from cl.training import state
from tests.help.attached_parts import draw

AXES = torch.linalg.qr(draw(8, 8, seed=1))[0]
"""Orthonormal directions."""


def moment(*energies: float) -> Tensor:
    """A second moment with these eigenvalues along the first axes."""
    values = torch.zeros(8, dtype=torch.float64)
    values[: len(energies)] = torch.tensor(energies, dtype=torch.float64)
    return (AXES * values) @ AXES.T


def spans(memory: DualGPM, axes: list[int], layer: int = 0) -> bool:
    """Whether the occupied directions are exactly these axes."""
    left = memory.project(layer, AXES)
    gone = [number for number in range(8) if left[:, number].norm() < 1e-5]
    kept = [number for number in range(8) if (left[:, number] - AXES[:, number]).norm() < 1e-5]
    return gone == axes and kept == [number for number in range(8) if number not in axes]


def test_nothing_is_occupied_before_the_first_task() -> None:
    assert torch.equal(DualGPM().project(0, AXES), AXES)


def test_the_first_task_occupies_the_leading_directions_below_the_share() -> None:
    memory = DualGPM()
    memory.update([moment(3, 2, 1), moment(1, 1, 1, 1), moment(9)], 0.95)
    assert spans(memory, [0, 1]), "squares 9, 4, 1: 0.93 of the sum is below, all is not"
    assert memory.bases[1].shape == (8, 3)
    assert memory.bases[2].shape == (8, 1), "at least one"
    assert memory.free == [False] * 3


def test_a_later_task_adds_what_it_needs_to_reach_the_share() -> None:
    memory = DualGPM()
    memory.update([moment(3, 2, 1)], 0.95)
    memory.update([moment(0, 1, 0, 1, 0.1)], 0.6)
    assert spans(memory, [0, 1, 3])
    memory.update([moment(5, 5, 0, 5, 0.1)], 0.9)
    assert spans(memory, [0, 1, 3]), "99.99 percent are occupied already"


def test_over_half_of_the_directions_are_kept_as_the_free_ones() -> None:
    memory = DualGPM()
    memory.update([moment(1, 1, 1, 1, 0.5)], 0.95)
    assert spans(memory, [0, 1, 2, 3]) and memory.free == [False]
    memory.update([moment(0, 0, 0, 0, 1, 1)], 0.9)
    assert memory.free == [True] and memory.bases[0].shape == (8, 2)
    assert spans(memory, [0, 1, 2, 3, 4, 5])
    memory.update([moment(0, 0, 0, 0, 0, 0, 2, 1)], 0.7)
    assert spans(memory, [0, 1, 2, 3, 4, 5, 6]), "a fifth of the energy may stay free"
    memory.update([moment(0, 0, 0, 0, 0, 0, 0, 1)], 0.7)
    assert memory.bases[0].shape == (8, 0)
    assert not memory.project(0, AXES).any(), "no direction is free"


def test_a_first_task_in_most_directions_leaves_the_others_free() -> None:
    """The authors' code would keep the occupied directions as free ones."""
    memory = DualGPM()
    memory.update([moment(1.5, 1.4, 1.3, 1.2, 1.1, 1.0)], 0.95)
    assert memory.free == [True] and spans(memory, [0, 1, 2, 3, 4])


def test_bases_are_orthonormal_and_restored() -> None:
    memory, other = DualGPM(), DualGPM()
    for seed, share in enumerate((0.9, 0.95, 0.97)):
        rows = draw(40, 8, seed=seed) * torch.linspace(1, 0.1, 8)
        memory.update([rows.T @ rows, rows.T @ rows + moment(1, 1, 1, 1, 1, 1)], share)
        for basis in memory.bases:
            assert torch.allclose(basis.T @ basis, torch.eye(basis.shape[1]), atol=1e-5)
            assert basis.dtype == torch.float32 and basis.shape[1] <= 4
    other.set_state(state.clone(memory.get_state()))
    for layer in range(2):
        assert torch.equal(other.project(layer, AXES), memory.project(layer, AXES))
    assert torch.allclose(memory.project(0, memory.project(0, AXES)), memory.project(0, AXES), atol=1e-6)
