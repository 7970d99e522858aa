"""Plain training loops for methods without an oracle: the batches of a run, and SGD written out.

A run keeps its batches and what each fit started from; a loop in the test then trains a copy of the network by the
formulas of the paper, and must end in the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from cl.random import Seeds
from cl.training.batches import Batch, Rng, Source, without_single
from cl.training.fit import FitSpec
from cl.training.journal import Learner
from cl.training.trainer import Trainer

Tensors = dict[str, Tensor]


class Kept:
    """The batches of a source, which are kept as they pass."""

    def __init__(self, source: Source, seen: list[Batch]) -> None:
        self.source, self.seen = source, seen

    @property
    def steps(self) -> int:
        return self.source.steps

    def without_single(self) -> Kept:
        return Kept(without_single(self.source), self.seen)

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        for batch in self.source.epoch(epoch, rng, start):
            tags = None if batch.tags is None else batch.tags.clone()
            self.seen.append(Batch(batch.x.clone(), batch.y.clone(), tags=tags))
            yield batch


class Keeping(Trainer):
    """A trainer that keeps the batches of every fit, and the weights before it, by task and phase."""

    def __init__(self) -> None:
        super().__init__(seeds=Seeds())
        self.batches: dict[tuple[int, str], list[Batch]] = {}
        self.starts: dict[tuple[int, str], Tensors] = {}

    def fit(self, strategy: Learner, phase: str, spec: FitSpec) -> dict[str, Any]:
        seen: list[Batch] = []
        key = self.journal.task, phase
        self.batches[key], self.starts[key] = seen, weights(getattr(strategy, "base", strategy))
        return super().fit(strategy, phase, replace(spec, data=Kept(spec.data, seen)))


def weights(learner: Any) -> Tensors:
    """Copies of the parameters of the backbone, and of the head: all rows, or the newest head of a task."""
    found = {name: parameter.detach().clone() for name, parameter in learner.backbone.model.named_parameters()}
    blocks = getattr(learner.head, "blocks", ())
    if not blocks:  # SoftNet has a head in the first task only, which no loop starts from
        return found
    blocks = blocks[-1:] if hasattr(learner, "networks") else blocks
    found["head_weight"] = torch.cat([block.weight.detach() for block in blocks])
    found["head_bias"] = torch.cat([block.bias.detach() for block in blocks])
    return found


def logits(model: nn.Module, held: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Logits of normalised images by the weights `held`."""
    own = {name: value for name, value in held.items() if not name.startswith("head_")}
    features: Tensor = functional_call(model, own, (x,))
    return features @ held["head_weight"].T + held["head_bias"]


def descend(
    held: Tensors, batches: Sequence[Batch], loss: Callable[[Tensors, Batch], Tensor], lr: Callable[[int], float],
    *, momentum: float, decay: Callable[[str], float] = lambda name: 0.0, nesterov: bool = False,
    after: Callable[[int, Tensors], None] | None = None,
) -> Tensors:  # fmt: skip
    """SGD on `held`: v <- momentum v + g, g with the decay's term; w <- w - lr v, or lr (g + momentum v) for Nesterov.

    `after(step, weights)` is called after each step, from 0, and may change the weights.
    """
    held = {name: value.clone() for name, value in held.items()}
    speed = {name: torch.zeros_like(value) for name, value in held.items()}
    for step, batch in enumerate(batches):
        leaves = {name: value.detach().requires_grad_(True) for name, value in held.items()}
        found = torch.autograd.grad(loss(leaves, batch), list(leaves.values()), allow_unused=True)
        for (name, value), gradient in zip(held.items(), found, strict=True):
            g = (torch.zeros_like(value) if gradient is None else gradient) + decay(name) * value
            speed[name] = momentum * speed[name] + g
            held[name] = value - lr(step) * (g + momentum * speed[name] if nesterov else speed[name])
        if after is not None:
            after(step, held)
    return held


def close(ours: Mapping[str, Tensor], plain: Mapping[str, Tensor], atol: float = 1e-5) -> None:
    """Assert that weights agree up to rounding."""
    assert set(ours) == set(plain)
    for name, value in plain.items():
        apart = float((ours[name] - value).abs().max())
        assert apart <= atol, f"{name} differs by {apart:.3g}"
