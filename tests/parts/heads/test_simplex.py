"""The simplex of pre-assigned prototypes."""

from __future__ import annotations

import pytest
import torch

from cl.errors import UsageError
from cl.parts.heads import SimplexHead


@pytest.mark.parametrize(("dim", "classes"), [(16, 10), (10, 10), (5, 2)])
def test_vertices_have_length_one_and_equal_negative_products(dim: int, classes: int) -> None:
    head = SimplexHead(dim, classes, torch.Generator().manual_seed(0))
    assert head.vertices.shape == (classes, dim) and head.vertices.dtype == torch.float32
    expected = torch.full((classes, classes), -1 / (classes - 1)).fill_diagonal_(1.0)
    torch.testing.assert_close(head.vertices @ head.vertices.T, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(head.vertices.sum(0), torch.zeros(dim), rtol=0, atol=1e-6)
    assert not list(head.parameters()), "nothing to train"


def test_the_generator_turns_it() -> None:
    def vertices(seed: int) -> torch.Tensor:
        return SimplexHead(8, 4, torch.Generator().manual_seed(seed)).vertices

    assert torch.equal(vertices(1), vertices(1)) and not torch.allclose(vertices(1), vertices(2))


def test_more_classes_than_dimensions_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="each of 9 classes needs features of as many dimensions; this backbone has 8"):
        SimplexHead(8, 9, torch.Generator())
