"""Mean absolute gradients of the squared norm of the answers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from cl.parts.statistics import Parameters, sensitivity
from tests.help.importances import Case


@pytest.mark.parametrize("per_image", [True, False])
def test_gradients_are_those_of_autograd(per_image: bool) -> None:
    case = Case()

    def outputs(parameters: Parameters, x: Tensor) -> Tensor:
        found: Tensor = functional_call(case.model, dict(parameters), (x,))
        return found

    found = sensitivity(outputs, case.parameters, case.batches(5), per_image=per_image, chunk=3)
    parameters = dict(case.model.named_parameters())
    expected = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for x in case.x.split(1 if per_image else 5):
        gradients: Any = torch.autograd.grad(case.model(x).square().sum(), list(parameters.values()), allow_unused=True)
        for name, gradient in zip(parameters, gradients, strict=True):
            expected[name] += 0 if gradient is None else gradient.abs() / 22
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)
