"""aTLAS: combinations of task vectors, and the gradients of their coefficients."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call

from cl.parts.merging import Coefficients, added, task_arithmetic
from tests.help.merging import BROKEN, SHAPES, broken, close, refused, times, vectors


def set_to(coefficients: Coefficients, values: torch.Tensor) -> Coefficients:
    with torch.no_grad():
        coefficients.values.copy_(values)
    return coefficients


def test_zeros_give_the_origin() -> None:
    given, origin = vectors(3), vectors(1, seed=9)[0]
    close(added(origin, Coefficients(given)(given)), origin, atol=0)


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_unit_row_gives_that_model(partitions: int) -> None:
    given = vectors(3)
    for task in range(3):
        coefficients = Coefficients(given, partitions=partitions)
        row = torch.zeros_like(coefficients.values)
        row[task] = 1
        close(set_to(coefficients, row)(given), given[task])


def test_every_vector_and_tensor_has_its_coefficient() -> None:
    given = vectors(3)
    values = torch.randn(3, len(SHAPES), 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = set_to(Coefficients(given), values)(given)
    for number, (name, tensor) in enumerate(found.items()):
        expected = torch.stack([values[task, number, 0] * given[task][name] for task in range(3)]).sum(0)
        assert torch.allclose(tensor, expected, rtol=0, atol=1e-12), name


def test_one_coefficient_per_vector_is_task_arithmetic() -> None:
    given = vectors(3)
    coefficients = Coefficients(given, anisotropic=False)
    assert coefficients.values.shape == (3, 1, 1)
    close(
        set_to(coefficients, torch.full((3, 1, 1), 0.3))(given), task_arithmetic(given, float(torch.tensor(0.3))), 1e-6
    )


def test_parts_of_a_tensor_have_their_own_coefficients() -> None:
    given = [{"a": torch.ones(100, 10, dtype=torch.float64)}]
    coefficients = Coefficients(given, partitions=4, generator=torch.Generator().manual_seed(3))
    values = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    found = set_to(coefficients, values)(given)["a"]
    assert found.unique().tolist() == [1.0, 2.0, 3.0, 4.0]
    assert all(200 <= int((found == value).sum()) <= 300 for value in (1.0, 2.0, 3.0, 4.0))
    again = Coefficients(given, partitions=4, generator=torch.Generator().manual_seed(3))
    assert torch.equal(set_to(again, values)(given)["a"], found), "the parts follow from the generator"
    assert list(coefficients.state_dict()) == ["values"], "so they are not in the state"


@pytest.mark.parametrize("anisotropic", [True, False])
@pytest.mark.parametrize("partitions", [1, 2])
def test_the_gradient_is_the_product_of_that_of_the_weights_and_the_vector(anisotropic: bool, partitions: int) -> None:
    given = vectors(2)
    coefficients = Coefficients(given, anisotropic=anisotropic, partitions=partitions).requires_grad_(True)
    weights = coefficients(given)
    outer = vectors(1, seed=5)[0]  # the gradient of the loss with respect to the weights
    sum((weights[name] * outer[name]).sum() for name in weights).backward()
    gradient = coefficients.values.grad
    assert gradient is not None
    for task, vector in enumerate(given):
        products = torch.stack([(vector[name] * outer[name]).sum() for name in vector])
        found = gradient[task].sum(-1)
        assert torch.allclose(found, products if anisotropic else products.sum()[None], rtol=0, atol=1e-10)


def test_gradients_reach_the_coefficients_through_a_network() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2)).double()
    origin = {
        name: tensor.detach().clone() for name, tensor in model.state_dict().items() if tensor.is_floating_point()
    }
    given = [{name: torch.rand_like(tensor) for name, tensor in origin.items()} for _ in range(2)]
    coefficients, x = Coefficients(given).requires_grad_(True), torch.randn(5, 4, dtype=torch.float64)

    def outputs(values: torch.Tensor) -> torch.Tensor:
        found = functional_call(coefficients, {"values": values}, (given,))
        return functional_call(model, added(origin, found), (x,))

    assert torch.autograd.gradcheck(outputs, (coefficients.values,))


@pytest.mark.parametrize("kind", BROKEN)
def test_what_cannot_be_combined_is_refused(kind: str) -> None:
    given, says = broken(kind)
    refused(lambda: Coefficients(given), says)


def test_another_number_of_vectors_is_refused() -> None:
    given = vectors(3)
    refused(lambda: Coefficients(given)(given[:2]), "2 task vectors were given for the coefficients of 3")


def test_no_partition_is_refused() -> None:
    refused(lambda: Coefficients(vectors(1), partitions=0), "partitions=0: give the number of parts")


def test_coefficients_are_of_the_type_of_the_vectors() -> None:
    given = vectors(2, dtype=torch.float32)
    assert Coefficients(given).values.dtype == torch.float32
    close(Coefficients(given)(given), times(0.0, given[0]), atol=0)
