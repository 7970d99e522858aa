"""Diagonal Fisher information: mean squared gradients of a loss, in the variants found in implementations of EWC."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from cl.training.batches import Batch

Parameters = Mapping[str, Tensor]
Loss = Callable[[Parameters, Tensor, Tensor], Tensor]
"""`loss(parameters, x, y)`: the mean loss of a batch, a pure function of `parameters`."""

Found = tuple[dict[str, Tensor], Tensor]
"""Gradients [k, ...] by name, and values [k], of k losses."""

SQUARES = ("images", "padded", "batches", "scaled")
"""How squares are summed, with g_i the gradient of image i's loss and g_b the gradient of batch b's mean loss:
sum_i g_i^2 / images; sum_i g_i^2 / (batches x largest batch); sum_b g_b^2 / batches; sum_b |b| g_b^2 / batches."""

LABELS = ("truth", "argmax", "sampled")
"""The labels in the log-likelihood: true labels (empirical Fisher), predictions, or labels drawn from the model."""


def diagonal(
    loss: Loss,
    parameters: Parameters,
    batches: Iterable[Batch],
    squares: str = "images",
    *,
    by_probability: bool = False,
    clip: float = 0.0,
    chunk: int = 8,
    run: Callable[[Hashable, Callable[[], Found]], Found] = lambda _, call: call(),
) -> dict[str, Tensor]:
    """The diagonal of the Fisher information of each parameter, >= 0, in the shape of the parameter.

    `squares` is one of `SQUARES`; `by_probability` weighs each square by exp(-loss), the likelihood, as mammoth does;
    `clip` is an upper bound of the result (0: none). Gradients of single images are computed for `chunk` images at a
    time, which takes `chunk` times the memory of the parameters. `run(shape, call)` calls `call` for each batch, such
    as `Strategy.alike`.
    """
    held = {name: parameter.detach() for name, parameter in parameters.items()}
    total = {name: torch.zeros_like(parameter) for name, parameter in held.items()}
    per_image = squares in ("images", "padded")
    count = images = largest = 0
    for batch in batches:
        count, images, largest = count + 1, images + len(batch), max(largest, len(batch))
        size = chunk if per_image else len(batch)
        for x, y in zip(batch.x.split(size), batch.y.split(size), strict=True):
            gradients, values = run(tuple(x.shape), partial(_of_each if per_image else _of_batch, loss, held, x, y))
            weights = torch.exp(-values) if by_probability else torch.ones_like(values)
            if squares == "scaled":
                weights = weights * len(batch)
            for name, gradient in gradients.items():
                total[name] += torch.tensordot(weights.to(gradient.dtype), gradient.square(), dims=1)
    parts = {"images": images, "padded": count * largest, "batches": count, "scaled": count}[squares]
    fisher = {name: value / max(parts, 1) for name, value in total.items()}
    return {name: value.clamp(max=clip) for name, value in fisher.items()} if clip else fisher


def _of_batch(loss: Loss, held: Parameters, x: Tensor, y: Tensor) -> Found:
    """Gradients [1, ...] and value [1] of the mean loss; plain autograd, so batch norms may be in training mode."""
    leaves = {name: value.detach().requires_grad_(True) for name, value in held.items()}
    value = loss(leaves, x, y)
    found = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return {name: g[None] for name, g in zip(leaves, found, strict=True)}, value.detach()[None]


def _of_each(loss: Loss, held: Parameters, x: Tensor, y: Tensor) -> Found:
    """Gradients [B, ...] and values [B] of the loss of each image."""

    def one(parameters: Parameters, image: Tensor, label: Tensor) -> Tensor:
        return loss(parameters, image[None], label[None])

    each = torch.func.vmap(torch.func.grad_and_value(one), in_dims=(None, 0, 0), randomness="different")
    with sdpa_kernel(SDPBackend.MATH):  # fused attention has no rule for vmap on every device
        return each(dict(held), x, y)


@torch.no_grad()
def answers(kind: str, logits: Tensor, truth: Tensor, columns: Sequence[int], rng: torch.Generator) -> Tensor:
    """Labels [B] of `kind` (one of `LABELS`); predictions and draws (by `rng`) are over `columns` of logits [B, C]."""
    if kind == "truth":
        return truth
    places = torch.as_tensor(list(columns), device=logits.device)
    chosen = logits[:, places]
    if kind == "argmax":
        return places[chosen.argmax(1)]
    drawn = torch.multinomial(chosen.softmax(1).cpu(), 1, generator=rng).squeeze(1)  # one stream on every device
    return places[drawn.to(places.device)]
