"""Diagonal Fisher information: mean squares of the gradient of a loss, in the forms that codes for EWC compute."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from cl.training.batches import Batch

Parameters = Mapping[str, Tensor]
Loss = Callable[[Parameters, Tensor, Tensor], Tensor]
"""`loss(parameters, x, y)`: the mean loss of a batch, a pure function of the parameters it is given."""

SQUARES = ("images", "padded", "batches", "scaled")
"""How squares are summed, g_i the gradient of one image's loss and g_b that of a batch's mean loss:
sum_i g_i^2 / images; the same / (batches x largest batch); sum_b g_b^2 / batches; sum_b |b| g_b^2 / batches."""

LABELS = ("truth", "argmax", "sampled")
"""Whose log-likelihood: the labels' (empirical Fisher), the predictions', or of labels drawn from the model."""


def diagonal(
    loss: Loss,
    parameters: Parameters,
    batches: Iterable[Batch],
    squares: str = "images",
    *,
    by_probability: bool = False,
    clip: float = 0.0,
    chunk: int = 8,
) -> dict[str, Tensor]:
    """The diagonal of the Fisher information of each parameter, shaped like it, >= 0.

    `squares` is one of `SQUARES`; `by_probability` weighs each square by exp(-loss), the likelihood, as mammoth does;
    `clip` bounds the result (0: no bound). Gradients of single images are taken `chunk` at a time: that many times
    the parameters are held in memory.
    """
    held = {name: parameter.detach() for name, parameter in parameters.items()}
    total = {name: torch.zeros_like(parameter) for name, parameter in held.items()}
    per_image = squares in ("images", "padded")
    count = images = largest = 0
    for batch in batches:
        count, images, largest = count + 1, images + len(batch), max(largest, len(batch))
        size = chunk if per_image else len(batch)
        for x, y in zip(batch.x.split(size), batch.y.split(size), strict=True):
            gradients, values = _of_each(loss, held, x, y) if per_image else _of_batch(loss, held, x, y)
            weights = torch.exp(-values) if by_probability else torch.ones_like(values)
            if squares == "scaled":
                weights = weights * len(batch)
            for name, gradient in gradients.items():
                total[name] += torch.tensordot(weights.to(gradient.dtype), gradient.square(), dims=1)
    parts = {"images": images, "padded": count * largest, "batches": count, "scaled": count}[squares]
    fisher = {name: value / max(parts, 1) for name, value in total.items()}
    return {name: value.clamp(max=clip) for name, value in fisher.items()} if clip else fisher


def _of_batch(loss: Loss, held: Parameters, x: Tensor, y: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Gradients [1, ...] and value [1] of the mean loss; plain autograd, so layers with batch statistics may train."""
    leaves = {name: value.detach().requires_grad_(True) for name, value in held.items()}
    value = loss(leaves, x, y)
    found = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return {name: g[None] for name, g in zip(leaves, found, strict=True)}, value.detach()[None]


def _of_each(loss: Loss, held: Parameters, x: Tensor, y: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Gradients [B, ...] and values [B] of each image's loss."""

    def one(parameters: Parameters, image: Tensor, label: Tensor) -> Tensor:
        return loss(parameters, image[None], label[None])

    each = torch.func.vmap(torch.func.grad_and_value(one), in_dims=(None, 0, 0), randomness="different")
    with sdpa_kernel(SDPBackend.MATH):  # fused attention has no rule for vmap on every device
        return each(dict(held), x, y)


@torch.no_grad()
def answers(kind: str, logits: Tensor, truth: Tensor, columns: Sequence[int], rng: torch.Generator) -> Tensor:
    """The labels [B] of `kind` (one of `LABELS`) over `columns` of logits [B, C], drawn from their softmax by `rng`."""
    if kind == "truth":
        return truth
    places = torch.as_tensor(list(columns), device=logits.device)
    chosen = logits[:, places]
    if kind == "argmax":
        return places[chosen.argmax(1)]
    drawn = torch.multinomial(chosen.softmax(1).cpu(), 1, generator=rng).squeeze(1)  # one stream on every device
    return places[drawn.to(places.device)]
