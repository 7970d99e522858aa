"""The bound of VCL and CLAW on a chain of two layers and a head, in plain formulas, and Adam written out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts import variational
from cl.parts.weights import unit_adaptation
from tests.help.plain_loops import Keeping

Tensors = dict[str, Tensor]
LAYERS = ("fc1", "fc2", "head")


class Draws:
    """Keeps the noise of weights and the uniform draws of switches, in the order in which a fit draws them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.noise: list[Tensor] = []
        self.switches: list[Tensor] = []
        normal, concrete = variational.normal, unit_adaptation.concrete

        def kept(shape: Any, like: Tensor, generator: Any = None) -> Tensor:
            self.noise.append(normal(shape, like, generator))
            return self.noise[-1]

        def uniform(logits: Tensor, copies: int, temperature: float, generator: Any = None) -> Tensor:
            before = torch.get_rng_state()
            self.switches.append(torch.rand(copies, len(logits)))
            torch.set_rng_state(before)
            return concrete(logits, copies, temperature, generator)

        patch.setattr(variational, "normal", kept)
        patch.setattr(unit_adaptation, "concrete", uniform)

    def take(self) -> tuple[Iterator[Tensor], Iterator[Tensor]]:
        """What was drawn since the last call."""
        found = iter(self.noise), iter(self.switches)
        self.noise, self.switches = [], []
        return found


class Starting(Keeping):
    """A trainer that keeps the batches of every fit, and the distributions before it."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[tuple[int, str], Tensors] = {}

    def fit(self, strategy: Any, phase: str, spec: Any) -> dict[str, Any]:
        self.before.setdefault((self.journal.task, phase), tensors_of(strategy))
        return super().fit(strategy, phase, spec)


def tensors_of(learner: Any) -> Tensors:
    """Means, log variances (`rho.NAME`) and the current adaptation (`adapt.NUMBER`)."""
    head, number = learner.head.blocks[-1], len(learner.head) - 1
    parts = {"fc1": learner.backbone.model.fc1, "fc2": learner.backbone.model.fc2, "head": head}
    found = {}
    for name, layer in parts.items():
        stored = f"head.{number}" if name == "head" else f"backbone.{name}"
        for kind in ("weight", "bias"):
            found[f"{name}.{kind}"] = getattr(layer, kind)
            if learner.posterior.log_variances:
                found[f"rho.{name}.{kind}"] = learner.posterior.log_variances[f"{stored}.{kind}"]
    adaptation = getattr(learner, "adaptation", None)
    current = [] if adaptation is None else adaptation.current or (adaptation.tasks[-1] if adaptation.tasks else [])
    found |= {f"adapt.{number}": value for number, value in enumerate(current)}
    return {name: value.detach().clone() for name, value in found.items()}


def factors_of(values: Tensor, uniform: Tensor, temperature: float) -> Tensor:
    logit = values[0] + torch.log(uniform) - torch.log(1 - uniform)
    return 1 + torch.sigmoid(logit / temperature) * (torch.exp(values[2]) / (1 + torch.exp(-values[1])) - 1)


def logits(held: Tensors, x: Tensor, copies: int, noise: Iterator[Tensor], factors: list[Tensor]) -> Tensor:
    """[copies, B, classes]: each unit is drawn from the Gaussian that its inputs give it."""
    x = x.flatten(1).expand(copies, -1, -1)
    for number, name in enumerate(LAYERS):
        mean = x @ held[f"{name}.weight"].T + held[f"{name}.bias"]
        variance = x**2 @ held[f"rho.{name}.weight"].exp().T + held[f"rho.{name}.bias"].exp()
        x = mean + (variance + 1e-9) ** 0.5 * next(noise)
        if name != "head":
            x = x.relu() * (factors[number][:, None] if factors else 1.0)
    return x


def kl(held: Tensors, prior: Tensors, names: list[str]) -> Tensor:
    total = torch.zeros(())
    for name in names:
        q, p = held[f"rho.{name}"].exp(), prior[f"rho.{name}"].exp()
        total = total + (0.5 * (p.log() - q.log()) + (q + (held[name] - prior[name]) ** 2) / (2 * p) - 0.5).sum()
    return total


def cross_entropy(found: Tensor, targets: Tensor) -> Tensor:
    return torch.stack([F.cross_entropy(each, targets) for each in found]).mean()


def minimised(
    held: Tensors, rates: dict[str, float], batches: list[Any], loss: Callable[[Tensors, Any], Tensor]
) -> Tensors:
    """Adam on the tensors with a rate, over the batches of a fit."""
    held = dict(held)
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    for step, batch in enumerate(batches, 1):
        leaves = {name: held[name].clone().requires_grad_(True) for name in rates}
        found = torch.autograd.grad(loss({**held, **leaves}, batch), list(leaves.values()))
        for name, gradient in zip(rates, found, strict=True):
            first[name] = 0.9 * first.get(name, 0.0) + 0.1 * gradient
            second[name] = 0.999 * second.get(name, 0.0) + 0.001 * gradient**2
            size = (second[name] / (1 - 0.999**step)).sqrt() + 1e-8
            held[name] = held[name] - rates[name] * first[name] / (1 - 0.9**step) / size
    return held


def assert_alike(ours: Tensors, plain: Tensors, kinds: tuple[str, ...] = ("fc", "head", "rho")) -> None:
    """Almost all values are equal up to rounding. Adam makes whole steps of gradients that are rounding errors only."""
    for kind in kinds:
        apart = torch.cat(
            [(ours[name] - value).abs().flatten() for name, value in plain.items() if name.startswith(kind)]
        )
        assert float(apart.max()) < 0.02, f"{kind}: {float(apart.max()):.3g}"
        assert float((apart < 2e-4).float().mean()) > 0.98, f"{kind}: {float((apart > 2e-4).sum())} of {len(apart)}"
