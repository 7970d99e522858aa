"""Gates on the units of a chain of layers, trained per task by embeddings (HAT)."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts.attached.attach import overridden
from cl.parts.weights.lend import Lent
from cl.parts.weights.masks import maskable

CLAMP = 50.0
"""Bound of s e in the compensation of an embedding's gradient."""


class UnitGates:
    """An embedding per unit of each convolution and linear layer, for every task, and the largest gates of all tasks.

    A gate multiplies the input of the next layer, or the features. The network is a chain, see `chain_of`.
    """

    stores = "parameters"

    def __init__(self, backbone: Backbone) -> None:
        self._names = chain_of(backbone)
        self._layers: list[Any] = [backbone.model.get_submodule(name) for name in self._names]
        device = self._layers[0].weight.device
        self.current: list[nn.Parameter] = []  # embeddings of the newest task
        self.tasks: list[list[Tensor]] = []  # those of the tasks that are done
        self.largest = [torch.zeros(len(layer.weight), device=device) for layer in self._layers]

    def __len__(self) -> int:
        return len(self.tasks)

    def add(self, generator: torch.Generator) -> None:
        """Draw the embeddings of a task from a normal distribution."""
        drawn = [torch.randn(gate.shape, generator=generator).to(gate) for gate in self.largest]
        self.current = [nn.Parameter(values, requires_grad=False) for values in drawn]

    def keep(self, scale: float) -> None:
        """End the task: keep its embeddings, and the largest gate of each unit."""
        self.tasks.append([values.detach().clone() for values in self.current])
        done = gates_of(self.tasks[-1], scale)
        self.largest = [torch.maximum(*pair) for pair in zip(self.largest, done, strict=True)]
        self.current = []

    def gated(self, gates: Sequence[Tensor]) -> AbstractContextManager[None]:
        """Within a `with` block, gates multiply the inputs of all layers but the first; features are left to
        `behind_gate`."""
        pairs = zip(self._layers[1:], gates[:-1], strict=True)
        return overridden((layer, "forward", functools.partial(_behind, layer, gate)) for layer, gate in pairs)

    def penalty(self, gates: Sequence[Tensor]) -> Tensor:
        """The mean of the gates, each weighted by 1 - its largest value in earlier tasks."""
        free = [1 - gate for gate in self.largest]
        open_ = torch.stack([(gate * room).sum() for gate, room in zip(gates, free, strict=True)]).sum()
        return open_ / torch.stack([room.sum() for room in free]).sum()

    def free(self, name: str) -> Tensor | None:
        """The factor of the gradient of a parameter: 1 - the smaller of the largest gates on both sides; None for one
        of another layer."""
        layer, _, kind = name.rpartition(".")
        if layer not in self._names:
            return None
        number = self._names.index(layer)
        after = self.largest[number]
        if kind == "bias":
            return 1 - after
        weight = self._layers[number].weight
        after = after.view(-1, *[1] * (weight.ndim - 1))
        if not number:
            return (1 - after).expand_as(weight)
        return (1 - torch.minimum(after, _spread(self.largest[number - 1], weight))).expand_as(weight)

    def used(self, scale: float, tasks: int | None = None) -> float:
        """The share of units with an open gate (above 1/2) in any of the first `tasks`."""
        each = [torch.cat(gates_of(values, scale)) > 0.5 for values in self.tasks[:tasks]]
        return float(torch.stack(each).any(0).float().mean()) if each else 0.0

    def get_state(self) -> dict[str, Any]:
        return {
            "current": [values.detach() for values in self.current], "tasks": self.tasks, "largest": self.largest,
        }  # fmt: skip

    @torch.no_grad()
    def set_state(self, state: dict[str, Any]) -> None:
        device = self.largest[0].device
        if len(self.current) != len(state["current"]):
            self.current = [nn.Parameter(values.to(device), requires_grad=False) for values in state["current"]]
        for values, new in zip(self.current, state["current"], strict=True):
            values.copy_(new)
        self.tasks = [[values.to(device) for values in task] for task in state["tasks"]]
        self.largest = [values.to(device) for values in state["largest"]]


class GatedExtractor(Lent):
    """A deterministic pass with the gates of a task, and with `tensors` in place of the backbone's own."""

    def __init__(
        self, backbone: Backbone, gates: UnitGates, values: Sequence[Tensor], tensors: dict[str, Tensor]
    ) -> None:
        self._gates, self._values = gates, list(values)
        self._tensors = tensors
        named = {f"gate {number}": value for number, value in enumerate(values)}
        key = Lent(backbone, {**tensors, **named}).key
        super().__init__(backbone, tensors, f"gated:{key}")

    def __call__(self, images: Tensor) -> Tensor:
        with self._gates.gated(self._values):
            return behind_gate(super().__call__(images), self._values[-1])


def behind_gate(features: Tensor, gate: Tensor) -> Tensor:
    """Features [B, dim] behind the gate of the last layer: of each unit, or of each channel at all its places."""
    return features * _spread(gate, features)


def gates_of(embeddings: Sequence[Tensor], scale: float) -> list[Tensor]:
    """sigmoid(scale * e) of the units of each layer."""
    return [torch.sigmoid(scale * values) for values in embeddings]


def compensated(embedding: Tensor, scale: float, largest: float) -> Tensor:
    """The factor that gives an embedding's gradient at this scale the size that it has at scale 1, times `largest`."""
    values = embedding.detach()
    top = torch.cosh((scale * values).clamp(-CLAMP, CLAMP)) + 1
    return largest / scale * top / (torch.cosh(values) + 1)


def chain_of(backbone: Backbone) -> tuple[str, ...]:
    """Names of the convolutions and linear layers in the order of a pass.

    Raises `UsageError` if they form no chain: with all gates of a layer shut, features may not depend on the image.
    """
    model, order, axes = backbone.model, list[str](), dict[str, int]()
    known = {
        name.removesuffix(".weight"): model.get_submodule(name.removesuffix(".weight")) for name in maskable(backbone)
    }

    def noted(name: str, layer: nn.Module, x: Tensor) -> Tensor:
        order.append(name)
        axes[name] = x.ndim
        return _own(layer, x)

    view = backbone.transform
    images = torch.randn(2, view.channels, view.size, view.size, generator=torch.Generator().manual_seed(0))
    images = images.to(next(model.parameters()))
    with torch.no_grad():
        with overridden((layer, "forward", functools.partial(noted, name, layer)) for name, layer in known.items()):
            backbone(images)
        for before, name in itertools.pairwise(order):
            widths = [len(known[each].weight) for each in (before, name)]  # type: ignore[arg-type]
            if len(set(order)) < len(order) or not _fits(known[name], widths[0], axes[name]):
                raise _no_chain(backbone, name)
            shut = functools.partial(_behind, known[name], images.new_zeros(widths[0]))
            with overridden([(known[name], "forward", shut)]):
                one, two = backbone(images)
            if not torch.equal(one, two):
                raise _no_chain(backbone, name)
    if backbone.dim % len(known[order[-1]].weight):  # type: ignore[arg-type]
        raise _no_chain(backbone, "the features")
    return tuple(order)


def _no_chain(backbone: Backbone, name: str) -> UsageError:
    return UsageError(
        f"backbone {backbone.identity['name']} is no chain of layers: images pass {name} by another way (a residual "
        "connection, say), or its inputs are not the outputs of the layer before; choose a network such as "
        "wsn_alexnet@random."
    )


def _fits(layer: Any, units: int, axes: int) -> bool:
    """Whether units can be gated along dimension 1 of a layer's input, which has so many axes.

    A linear layer on more than [B, units], such as tokens, has its units last, even if dimension 1 is as long.
    """
    inputs = layer.weight.shape[1] * getattr(layer, "groups", 1)
    return (
        getattr(layer, "groups", 1) == 1
        and inputs % units == 0
        and (layer.weight.ndim == 2 or inputs == units)
        and axes == layer.weight.ndim
    )


def _behind(layer: nn.Module, gate: Tensor, x: Tensor) -> Tensor:
    return _own(layer, x * _spread(gate, x))


def _own(layer: nn.Module, x: Tensor) -> Tensor:
    """The layer's own forward pass, which `overridden` hides."""
    found: Tensor = type(layer).forward(layer, x)
    return found


def _spread(gate: Tensor, x: Tensor) -> Tensor:
    """The gates of a layer along dimension 1 of what follows: channels, or channels times places after flattening."""
    if x.ndim == 2:
        return gate.repeat_interleave(x.shape[1] // len(gate))
    return gate.view(1, -1, *[1] * (x.ndim - 2))
