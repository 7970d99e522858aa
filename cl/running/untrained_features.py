"""A remark on methods that predict with features of a network that was never trained."""

from __future__ import annotations

import torch
from torch import Tensor

from cl.strategy import Strategy


@torch.no_grad()
def remark(strategy: Strategy, name: str) -> str:
    """A sentence if no weight of the network that `strategy` predicts with was trained, by anyone; empty otherwise.

    No method declares this, so it is found out: the weights of the backbone are random and as they were drawn, and the
    method's extractor gives what the plain network makes of its input, which the method may have changed. Call it after
    an evaluation. Nothing is said of methods with several networks, whose weights may be elsewhere.
    """
    backbone = strategy.backbone
    if backbone.identity["pretraining"] != "none" or not strategy.one_network or not backbone.is_pristine:
        return ""
    given: list[Tensor] = []
    like = next(backbone.model.parameters())
    side = backbone.transform.size
    image = torch.linspace(-1, 1, backbone.transform.channels * side * side).view(1, -1, side, side).to(like)
    hook = backbone.model.register_forward_pre_hook(lambda _, args: given.append(args[0].clone()))
    try:
        found = strategy.extractor()(image)
    finally:
        hook.remove()
    if len(given) != 1 or not same(found, backbone(given[0])):
        return ""
    return (
        f"{name} trains no weight of {backbone.identity['name']}, and these weights are random, so its features are "
        "those of an untrained network; choose pretrained weights, or a method that trains the network, unless random "
        "features are what you want."
    )


def same(one: Tensor, two: Tensor) -> bool:
    """Whether features are equal up to rounding."""
    return one.shape == two.shape and torch.allclose(one, two, rtol=1e-4, atol=1e-6)
