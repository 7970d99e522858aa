"""Gaussian distributions over the weights of linear layers and convolutions: mean-field variational inference."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts.attached.attach import overridden
from cl.parts.weights.unit_gates import chain_of

TINY = 1e-9
"""Added to the variance of a unit: the root of 0 has no gradient."""

Layers = Mapping[str, nn.Module]
"""Linear layers and convolutions by name; a pass goes through them in this order."""


class MeanField:
    """An independent Gaussian for each weight and bias. Its mean is the layer's own tensor; its log variance is here.

    From `begin` to `end` of a task, `prior` holds the means and log variances that the distance `kl` is measured from:
    those before the task, or N(0, 1) for a layer that is new.
    """

    stores = "parameters"

    def __init__(self, log_variance: float, device: torch.device | str = "cpu") -> None:
        self.log_variances: dict[str, nn.Parameter] = {}
        self.prior: dict[str, list[Tensor]] = {}
        self._initial, self._device = log_variance, device

    def begin(self, layers: Layers) -> None:
        """Keep the distribution as the prior of a task; new layers start with a small variance."""
        for name, mean in _tensors(layers):
            known = self.log_variances.get(name)
            if known is not None:
                self.prior[name] = [mean.detach().clone(), known.detach().clone()]
            else:
                self.prior[name] = [torch.zeros_like(mean), torch.zeros_like(mean)]
                self.log_variances[name] = nn.Parameter(torch.full_like(mean, self._initial), requires_grad=False)

    def end(self) -> None:
        """Forget the prior: the distribution is that of the next task."""
        self.prior = {}

    def parameters(self, layers: Layers) -> list[Any]:
        """The means and log variances of some layers."""
        found = list(_tensors(layers))
        return [*(mean for _, mean in found), *(self.log_variances[name] for name, _ in found)]

    def kl(self, layers: Layers) -> Tensor:
        """The KL divergence of some layers from their prior, in nats."""
        terms = []
        for name, mean in _tensors(layers):
            own, (centre, prior) = self.log_variances[name], self.prior[name]
            terms.append((prior - own + (own.exp() + (mean - centre).square()) / prior.exp() - 1).sum())
        return torch.stack(terms).sum() / 2

    def sampling(
        self, layers: Layers, copies: int, *, factors: Sequence[Tensor] = (), generator: torch.Generator | None = None
    ) -> AbstractContextManager[None]:
        """Within a `with` block, passes through the layers draw their outputs (local reparameterisation).

        The first layer takes [B, ...] and gives [copies B, ...], one copy after another; so do all later ones. Each
        image has its own draws, or with a `generator` all images share them, so that a result does not depend on the
        other images. `factors` [copies, units] multiply the units of each layer at the input of the next one.
        Units of a convolution are drawn independently at each place, which is the usual approximation.
        """
        variances = {name: value.exp() for name, value in self.log_variances.items()}
        passes = []
        for number, (name, layer) in enumerate(layers.items()):
            before = factors[number - 1] if number and number <= len(factors) else None
            draw = functools.partial(_drawn, name, layer, variances, copies, number == 0, before, generator)
            passes.append((layer, "forward", draw))
        return overridden(passes)

    def get_state(self) -> dict[str, Any]:
        return {
            "log_variances": {name: value.detach() for name, value in self.log_variances.items()}, "prior": self.prior,
        }  # fmt: skip

    @torch.no_grad()
    def set_state(self, state: dict[str, Any]) -> None:
        if set(self.log_variances) != set(state["log_variances"]):
            self.log_variances = {
                name: nn.Parameter(value.to(self._device, copy=True), requires_grad=False)
                for name, value in state["log_variances"].items()
            }
        for name, value in state["log_variances"].items():
            self.log_variances[name].copy_(value)
        self.prior = {name: [value.to(self._device) for value in pair] for name, pair in state["prior"].items()}


def adapted(layers: Layers, factors: Sequence[Tensor]) -> AbstractContextManager[None]:
    """Within a `with` block, `factors` [1, units] multiply the units of each layer at the input of the next one."""
    pairs = zip(list(layers.values())[1:], factors, strict=False)
    return overridden((layer, "forward", functools.partial(_behind, layer, before)) for layer, before in pairs)


def normal(shape: Sequence[int], like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard normal draws; a generator is one of the CPU, so that its draws are the same on every device."""
    if generator is None:
        return torch.randn(shape, dtype=like.dtype, device=like.device)
    return torch.randn(shape, generator=generator).to(like)


def scaled(x: Tensor, factors: Tensor) -> Tensor:
    """Activations [copies B, ...] times factors [copies, units] of the units that they come from."""
    copies, units = factors.shape
    spread = factors.repeat_interleave(x.shape[1] // units, 1).view(copies, 1, -1, *[1] * (x.ndim - 2))
    return (x.unflatten(0, (copies, -1)) * spread).flatten(0, 1)


def gaussian_layers(backbone: Backbone, prefix: str = "") -> dict[str, nn.Module]:
    """The layers of a chain of plain linear layers and convolutions, by name, in the order of a pass.

    Raises `UsageError` for a network that has other parameters (norms, attention) or is no chain.
    """
    layers = dict(backbone.model.named_modules())
    for name, layer in layers.items():
        own = [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
        if own and type(layer) not in (nn.Linear, nn.Conv2d):
            raise UsageError(
                f"backbone {backbone.identity['name']} has {name or 'a network'}.{own[0][0]} in a "
                f"{type(layer).__name__}; distributions are over the weights of plain linear layers and convolutions "
                "only, so choose a network without norms and attention, such as mlp_2x256_28@random."
            )
    return {prefix + name: layers[name] for name in chain_of(backbone)}


def _tensors(layers: Layers) -> Iterator[tuple[str, nn.Parameter]]:
    for name, layer in layers.items():
        for kind, value in layer.named_parameters(recurse=False):
            yield f"{name}.{kind}", value


def _drawn(
    name: str, layer: nn.Module, variances: Mapping[str, Tensor], copies: int, first: bool, factors: Tensor | None,
    generator: torch.Generator | None, x: Tensor,
) -> Tensor:  # fmt: skip
    """The output of a layer, drawn from its distribution: Gaussian with the mean and the variance of each unit."""
    if factors is not None:
        x = scaled(x, factors)
    mean = _applied(layer, x, layer.weight, layer.bias)
    variance = _applied(layer, x.square(), variances[f"{name}.weight"], variances.get(f"{name}.bias"))
    apart = 1 if first else copies  # all copies have the same images, so the first layer is computed once
    mean, deviation = (values.unflatten(0, (apart, -1)) for values in (mean, (variance + TINY).sqrt()))
    shape = [copies, 1 if generator is not None else mean.shape[1], *mean.shape[2:]]
    return (mean + deviation * normal(shape, mean, generator)).flatten(0, 1)


def _behind(layer: nn.Module, factors: Tensor, x: Tensor) -> Tensor:
    return _applied(layer, scaled(x, factors), layer.weight, layer.bias)


def _applied(layer: Any, x: Tensor, weight: Any, bias: Any) -> Tensor:
    """The pass of a layer with other weights."""
    if isinstance(layer, nn.Conv2d):
        return layer._conv_forward(x, weight, bias)
    return F.linear(x, weight, bias)
