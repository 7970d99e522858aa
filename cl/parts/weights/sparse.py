"""Dynamic sparse training: how many weights each layer has, which weights leave a mask, and which grow in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cl.errors import UsageError

GROWTH = ("random", "random-unfired", "gradient", "momentum")


def uniform_densities(shapes: Sequence[Sequence[int]], density: float) -> list[float]:
    """The same density for every layer."""
    return [density] * len(shapes)


def erk_densities(shapes: Sequence[Sequence[int]], density: float) -> list[float]:
    """Densities proportional to (sum of a shape) / (product), for an overall `density` (ERK).

    Layers that would exceed 1 become dense, and the others share what is left.
    """
    sizes = [math.prod(shape) for shape in shapes]
    raw = [sum(shape) / size for shape, size in zip(shapes, sizes, strict=True)]
    dense: set[int] = set()
    while True:
        rest = [i for i in range(len(shapes)) if i not in dense]
        if not rest:
            return [1.0] * len(shapes)
        scale = (density * sum(sizes) - sum(sizes[i] for i in dense)) / sum(raw[i] * sizes[i] for i in rest)
        largest = max(raw[i] for i in rest)
        if scale * largest <= 1:
            return [1.0 if i in dense else scale * raw[i] for i in range(len(shapes))]
        dense |= {i for i in rest if raw[i] == largest}


def check_layers(names: Sequence[str], shapes: Sequence[Sequence[int]], densities: Sequence[float]) -> None:
    """Raise `UsageError` for a layer that would have no weight."""
    for name, shape, density in zip(names, shapes, densities, strict=True):
        size = math.prod(shape)
        if density * size < 1:
            raise UsageError(
                f"a density of {density:.3g} leaves {name} empty: it has {size} weights; set density={1 / size:.2g} or "
                "more with init=uniform, a higher density, or choose a wider network."
            )


def draw_masks(
    shapes: Sequence[Sequence[int]], densities: Sequence[float], generator: torch.Generator, device: torch.device | str
) -> list[Tensor]:
    """A mask per layer, bool: each weight is in it with the layer's density, and at least one is."""
    found = []
    for shape, density in zip(shapes, densities, strict=True):
        drawn = torch.rand(tuple(shape), generator=generator)
        mask = drawn < density
        if not mask.any():
            mask.view(-1)[int(drawn.argmin())] = True
        found.append(mask.to(device))
    return found


def survivors(weight: Tensor, mask: Tensor, rate: float) -> Tensor:
    """The mask without the smallest weights: ceil(rate * n) of its n weights leave, and those that tie with them."""
    size = weight.detach().abs()
    count = int(mask.sum())
    leaving = mask.numel() - count + math.ceil(rate * count)
    if leaving == mask.numel() - count:
        return mask & (size > 0)
    return mask & (size > size.flatten().kthvalue(min(leaving, mask.numel())).values)


def grown(mask: Tensor, count: int, order: Tensor) -> Tensor:
    """The mask with the `count` weights outside it that are first by the size of `order`."""
    size = order.abs().masked_fill(mask, -1.0).flatten()
    new = mask.clone().view(-1)
    new[size.topk(min(count, int((~mask).sum()))).indices] = True
    return new.view_as(mask)


def grown_at_random(mask: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """The mask with others, each with the same probability: `count` in expectation."""
    free = int((~mask).sum())
    if not free:
        return mask
    drawn = torch.rand(mask.shape, generator=generator).to(mask.device)
    return mask | (drawn < count / free)


def grown_unfired(mask: Tensor, count: int, fired: Tensor, generator: torch.Generator) -> Tensor:
    """The mask with `count` weights that were in no mask before (`fired` is false); if there are fewer, all of them and
    others at random."""
    never = (~fired).flatten().nonzero().flatten()
    if count > len(never):
        return grown_at_random(mask | ~fired, count - len(never), generator)
    new = mask.clone().view(-1)
    new[never[torch.randperm(len(never), generator=generator)[:count].to(never.device)]] = True
    return new.view_as(mask)


def decayed(rate: float, step: int, steps: int, minimum: float = 0.005) -> float:
    """The share of weights that leave after `step` of `steps`: half a cosine from `rate` to `minimum`."""
    return minimum + (rate - minimum) * (1 + math.cos(math.pi * step / steps)) / 2
