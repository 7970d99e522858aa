"""Sensitivity of a network's answers to its parameters: mean absolute gradients, without labels."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import partial

import torch
from torch import Tensor

from cl.parts.statistics.fisher import Found, Parameters, _of_batch, _of_each
from cl.training.batches import Batch


def sensitivity(
    outputs: Callable[[Parameters, Tensor], Tensor],
    parameters: Parameters,
    batches: Iterable[Batch],
    *,
    per_image: bool = True,
    chunk: int = 8,
    run: Callable[[Hashable, Callable[[], Found]], Found] = lambda _, call: call(),
) -> dict[str, Tensor]:
    """|d |f(x)|^2 / d theta|, summed over images and divided by their number, by name of the parameter.

    `outputs(parameters, x)` gives f [B, C], a pure function of `parameters`. Gradients are of single images, `chunk` of
    them at a time; with `per_image=False` of the sum over each batch, as if it were one image. `run(shape, call)` calls
    `call` for each batch, such as `Strategy.alike`.
    """
    held = {name: parameter.detach() for name, parameter in parameters.items()}
    total = {name: torch.zeros_like(parameter) for name, parameter in held.items()}
    images = 0

    def length(values: Parameters, x: Tensor, y: Tensor) -> Tensor:
        return outputs(values, x).square().sum()

    for batch in batches:
        images += len(batch)
        for x, y in zip(*(part.split(chunk if per_image else len(batch)) for part in (batch.x, batch.y)), strict=True):
            gradients, _ = run(tuple(x.shape), partial(_of_each if per_image else _of_batch, length, held, x, y))
            for name, gradient in gradients.items():
                total[name] += gradient.abs().sum(0)
    return {name: value / max(images, 1) for name, value in total.items()}
