"""The next step of Adam, before it is made."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl.errors import ContractError
from cl.parts.lookahead import planned
from cl.strategy import adam, sgd


def parameters() -> list[nn.Parameter]:
    rng = torch.Generator().manual_seed(3)
    return [nn.Parameter(torch.randn(shape, generator=rng)) for shape in ((3, 4), (4,), (2,))]


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_it_is_the_step_that_is_then_made(steps: int) -> None:
    held, rng = parameters(), torch.Generator().manual_seed(4)
    optimizer = adam(0.1, betas=(0.8, 0.95))([{"params": held[:2]}, {"params": held[2:], "lr": 0.03}])
    for number in range(steps):
        for each in held:
            each.grad = torch.randn(each.shape, generator=rng) * 1e-3
        held[0].grad[0] = 0  # type: ignore[index]
        if number == 1:
            optimizer.param_groups[0]["lr"] = 0.05  # by a schedule
        moments = {id(p): {k: v.clone() for k, v in optimizer.state[p].items()} for p in held if p in optimizer.state}
        change, before = planned(optimizer, held), [each.detach().clone() for each in held]
        for each in held:
            for key, value in moments.get(id(each), {}).items():
                assert torch.equal(optimizer.state[each][key], value), "the moments stay"
        optimizer.step()
        for each, old, moved in zip(held, before, change, strict=True):
            torch.testing.assert_close(each.detach() - old, moved, rtol=1e-5, atol=1e-6)
            assert moved.abs().max() > 1e-3
        assert float(change[0][0].abs().max()) == 0 or number > 0


def test_a_parameter_without_a_gradient_moves_by_its_moments() -> None:
    held = parameters()[:1]
    optimizer = adam(0.1)(held)
    assert float(planned(optimizer, held)[0].abs().max()) == 0
    held[0].grad = torch.ones(3, 4)
    optimizer.step()
    held[0].grad = None
    change, before = planned(optimizer, held)[0], held[0].detach().clone()
    held[0].grad = torch.zeros(3, 4)  # Adam skips parameters whose gradient is None
    optimizer.step()
    torch.testing.assert_close(held[0].detach() - before, change)


def test_it_can_be_differentiated_by_given_gradients() -> None:
    held = [nn.Parameter(each.detach().double()) for each in parameters()]
    optimizer = adam(0.1)(held)
    for each in held:
        each.grad = torch.full_like(each, 0.3)
    optimizer.step()
    given = [torch.randn(p.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) for p in held]
    assert all(each.requires_grad_() is each for each in given)
    assert torch.autograd.gradcheck(lambda *g: tuple(planned(optimizer, held, g)), given)


def test_where_the_second_moment_is_zero_the_change_is_a_constant() -> None:
    held = parameters()[:1]
    given = torch.zeros(3, 4, requires_grad=True)
    (change,) = planned(adam(0.1)(held), held, [given])
    (found,) = torch.autograd.grad(change.sum(), given)
    assert not change.detach().any() and float(found.abs().max()) == 0


def test_other_optimisers_are_refused() -> None:
    held = parameters()
    for make in (sgd(0.1), adam(0.1, weight_decay=0.1)):
        with pytest.raises(ContractError, match="Adam without weight decay"):
            planned(make(held), held)
