"""Compiled training passes: the same function, one graph for all tasks and batch sizes, and the cases left out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.backbone import Backbone, compiled
from cl.errors import UsageError
from cl.training.cost import count_flops
from tests.conftest import tiny_backbone

FACTOR = 2.0


class Doubling:
    """A backend whose graphs return twice the features, so that compiled passes show."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, _: Any) -> Callable[..., Any]:
        self.graphs += 1
        return lambda *inputs: tuple(FACTOR * output for output in graph(*inputs))


@pytest.fixture
def doubling(monkeypatch: pytest.MonkeyPatch) -> Iterator[Doubling]:
    torch.compiler.reset()
    backend = Doubling()
    monkeypatch.setattr(compiled, "BACKEND", backend)
    yield backend
    torch.compiler.reset()


@pytest.fixture
def backbone(doubling: Doubling) -> Backbone:
    found = tiny_backbone(depth=2)
    found._compiled = [compiled.Compiled(found.model)]
    return found


def images(count: int) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(count))


def plain(backbone: Backbone, x: Tensor) -> Tensor:
    features: Tensor = backbone.model(x).float()
    return features


def test_one_graph_serves_all_tasks_and_sizes_of_batches(backbone: Backbone, doubling: Doubling) -> None:
    for task, size in enumerate((4, 7, 4, 2)):
        backbone.requires_grad_(True)
        with torch.no_grad():
            next(backbone.parameters()).add_(task)
        features = backbone(images(size))
        assert torch.allclose(features, FACTOR * plain(backbone, images(size)))
        features.sum().backward()
        backbone.requires_grad_(False)
    assert doubling.graphs == 1
    gradient = next(backbone.parameters()).grad
    assert gradient is not None and gradient.abs().sum() > 0


def test_passes_without_gradients_on_a_cpu_and_counted_passes_are_plain(backbone: Backbone, doubling: Doubling) -> None:
    with torch.no_grad():
        assert torch.allclose(backbone(images(3)), plain(backbone, images(3)), atol=1e-6)
    counted, flops = count_flops(lambda: backbone(images(3)))
    assert torch.equal(counted, plain(backbone, images(3))) and doubling.graphs == 0
    assert flops == count_flops(lambda: plain(backbone, images(3)))[1] > 0


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.blocks[0].register_forward_hook(lambda *_: None),
        lambda model: setattr(model.blocks[0], "forward", model.blocks[0].forward),
        lambda model: setattr(model, "norm", nn.LayerNorm(model.num_features)),
        lambda model: setattr(model.blocks[1].attn.qkv, "weight", nn.Parameter(model.blocks[1].attn.qkv.weight * 2)),
        lambda model: model.blocks[0].add_module("adapter", nn.Identity()),
        lambda model: setattr(model, "_pos_embed", model._pos_embed),
    ],
    ids=["hook", "method", "module", "parameter", "new module", "own embedding"],
)
def test_a_changed_network_is_not_compiled_again(
    change: Callable[[Any], None], backbone: Backbone, doubling: Doubling
) -> None:
    change(backbone.model)
    assert torch.equal(backbone(images(3)), plain(backbone, images(3)))
    assert doubling.graphs == 0


def test_the_compiled_pass_equals_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.compiler.reset()
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")
    backbone = tiny_backbone(depth=2)
    backbone.compile_passes()
    backbone.requires_grad_(True)
    found, expected = backbone(images(5)), plain(backbone, images(5))
    assert torch.allclose(found, expected, atol=1e-6)
    parameters = list(backbone.parameters())
    for one, other in zip(
        torch.autograd.grad(found.square().sum(), parameters),
        torch.autograd.grad(expected.square().sum(), parameters),
        strict=True,
    ):
        assert torch.allclose(one, other, atol=1e-5)
    torch.compiler.reset()


def test_a_copy_is_not_compiled(backbone: Backbone, doubling: Doubling) -> None:
    other = copy.deepcopy(backbone)
    assert torch.equal(other(images(3)), plain(other, images(3))) and doubling.graphs == 0
    assert backbone._compiled


def test_compiled_features_have_a_key_of_their_own(backbone: Backbone) -> None:
    assert backbone.key != tiny_backbone(depth=2).key


def test_a_machine_that_cannot_compile_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("No working C++ compiler found\nand more")

    torch.compiler.reset()
    monkeypatch.setattr(compiled, "BACKEND", broken)
    with pytest.raises(UsageError, match=r"--compile does not work on this machine \(.+\); install a C\+\+ compiler"):
        compiled.check_compiler("cpu")
    torch.compiler.reset()
