"""The inner loop of meta-learning: SGD on one image at a time, for many trajectories; gradients can pass through it."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F


def adapted(network: nn.Module, x: Tensor, y: Tensor, lr: float, order: int = 2) -> dict[str, Tensor]:
    """Weights of `network` after a step of SGD by cross-entropy on each image in turn, apart for each trajectory.

    `x` [trajectories, steps, d] and `y` [trajectories, steps] give tensors [trajectories, ...] by the names of the
    parameters. `order=2`: their gradients pass through the steps; `order=1`: the steps count as constants.
    """
    start: dict[str, Tensor] = dict(network.named_parameters())

    def loss(weights: dict[str, Tensor], features: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(network, weights, (features[None],)), label[None])

    def steps(features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        weights = start
        for image, label in zip(features.unbind(), labels.unbind(), strict=True):
            slopes = grad(loss)(weights, image, label)
            if order == 1:
                slopes = {name: slope.detach() for name, slope in slopes.items()}
            weights = {name: value - lr * slopes[name] for name, value in weights.items()}
        return weights

    found: dict[str, Tensor] = vmap(steps)(x, y)
    return found


def losses(network: nn.Module, weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy [trajectories] of images `x` [trajectories, images, d], each trajectory by its own weights."""
    logits = vmap(functools.partial(functional_call, network))(weights, (x,))
    each = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none")
    return each.view(y.shape).mean(1)


def repeated(x: Tensor, times: int) -> Tensor:
    """The same images [images, ...] for each of `times` trajectories."""
    return torch.broadcast_to(x, (times, *x.shape))
