"""Prefixes per task: the ensemble, and the legacy layout."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cl.parts.attached.prefixes import Prefix, prefixed
from cl.parts.attached.task_prefixes import TaskPrefixes
from cl.testing import tiny_backbone
from tests.help.compare import same


def test_the_ensemble_is_trained_through_and_then_committed() -> None:
    prompts = TaskPrefixes(tiny_backbone(), (0, 1), 3)
    rng = torch.Generator().manual_seed(0)
    prompts.grow_to(1, rng)
    first = prompts.prompts[0].detach().clone()
    assert first.shape == (2, 2, 3, 16) and -1 <= float(first.min()) < -0.9 and 0.9 < float(first.max()) <= 1
    assert torch.equal(prompts.ensemble(0, 0.1), first)
    prompts.grow_to(3, rng)
    assert torch.equal(prompts.prompts[2], first) and prompts.prompts[2] is not prompts.prompts[0]
    with torch.no_grad():
        prompts.prompts[1].add_(1)
        prompts.prompts[2].add_(4)
    prompts.requires_grad_(True)
    mixed = prompts.ensemble(2, 0.1)
    assert torch.allclose(mixed, first + 0.9 * 4 + 0.1 * 0.5)
    mixed.sum().backward()
    assert prompts.prompts[0].grad is None and prompts.prompts[1].grad is None
    grad = prompts.prompts[2].grad
    assert grad is not None and torch.allclose(grad, torch.tensor(0.9))
    prompts.commit(2, 0.1)
    assert torch.equal(prompts.prompts[2], mixed) and torch.equal(prompts.prompts[0], first)
    other = TaskPrefixes(tiny_backbone(), (0, 1), 3)
    other.grow_to(1, rng)
    other.set_state(prompts.get_state())
    assert same(other.get_state(), prompts.get_state())
    other.set_state({"prompts": prompts.get_state()["prompts"][:1]})
    assert len(other) == 1


def test_the_legacy_layout_gives_half_a_batch_the_keys_and_half_the_values() -> None:
    backbone, images = tiny_backbone(), torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    prompts = TaskPrefixes(backbone, (0, 1), 3, legacy=True)
    prompts.grow_to(1, torch.Generator().manual_seed(1))
    found = prompts(backbone, images, prompts.prompts[0])
    for part, rows in ((0, slice(0, 2)), (1, slice(2, 4))):
        twice = {i: Prefix(prompts.prompts[0][i, part], prompts.prompts[0][i, part]) for i in range(2)}
        assert torch.allclose(found[rows], prefixed(backbone, images[rows], twice), atol=1e-5)


@pytest.mark.parametrize("blocks", [(0, 1), (1,)])
def test_each_block_has_its_own_scalars_of_the_gate(blocks: tuple[int, ...]) -> None:
    def gate(scores: Tensor, alpha_in: Tensor, alpha_out: Tensor) -> Tensor:
        return alpha_out * torch.tanh(alpha_in * scores)

    backbone, images = tiny_backbone(), torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    prompts = TaskPrefixes(backbone, blocks, 3, gate=gate)
    prompts.grow_to(1, torch.Generator().manual_seed(1))
    assert prompts.alpha_in.tolist() == prompts.alpha_out.tolist() == [1.0] * len(blocks)
    with torch.no_grad():
        prompts.alpha_in.copy_(torch.tensor([0.5, 2.0])[: len(blocks)])
        prompts.alpha_out.copy_(torch.tensor([3.0, 0.7])[: len(blocks)])
    prompt = prompts.prompts[0]
    given = {block: Prefix(prompt[i, 0], prompt[i, 1]) for i, block in enumerate(blocks)}
    gates = {
        block: lambda scores, i=i: [3.0, 0.7][i] * torch.tanh([0.5, 2.0][i] * scores) for i, block in enumerate(blocks)
    }
    assert torch.allclose(prompts(backbone, images, prompt), prefixed(backbone, images, given, gates), atol=1e-5)
    assert not torch.allclose(prompts(backbone, images, prompt), prefixed(backbone, images, given), atol=1e-3)
