"""Training steps with LoRA, compared with steps of the frozen network, and weights per image with shared weights.

`python -m benchmarks.low_rank` measures on the embedded backbone and random images. The step of the frozen network
trains one bias before the first attention and the head, so its backward pass is as deep as that of LoRA.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, cast

import click
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.measuring import FIGURE_COLUMNS, Clock, Figure, median_interval, table
from cl.backbone import Backbone, load
from cl.parts.attached import LoRA
from cl.parts.attached.attach import blocks_of

LIMIT = 1.1
"""Upper bound of a step with LoRA at rank 8 / a step of the frozen network."""

CLASSES = 10
Step = Callable[[], Tensor]
"""One training step; returns the loss."""


def steps_of(backbone: Backbone, rank: int, slots: int, images: Tensor) -> dict[str, Step]:
    """The steps to compare, on one batch: frozen network, LoRA, LoRA with shared weights and with weights per image."""
    labels = torch.arange(len(images)) % CLASSES
    generator = torch.Generator().manual_seed(0)
    bias = cast(Any, blocks_of(backbone, "norm1")[0]).norm1.bias
    one, many = (LoRA(backbone, rank, ("attn.qkv",), slots=n, generator=generator) for n in (1, slots))
    shared = torch.rand(slots, generator=generator)
    passes: dict[str, tuple[Callable[[], Tensor], list[nn.Parameter]]] = {
        "frozen": (lambda: backbone(images), [bias]),
        "lora": (lambda: one(backbone, images), list(one.parameters())),
        "shared": (lambda: many(backbone, images, shared), list(many.parameters())),
        "per image": (lambda: many(backbone, images, shared.expand(len(images), -1)), list(many.parameters())),
    }
    return {name: _step(features, trained, backbone.dim, labels) for name, (features, trained) in passes.items()}


def _step(features: Callable[[], Tensor], trained: list[nn.Parameter], dim: int, labels: Tensor) -> Step:
    head = nn.Linear(dim, CLASSES)
    parameters = [*trained, *head.parameters()]
    optimizer = torch.optim.SGD(parameters, 0.0, momentum=0.9)

    def step() -> Tensor:
        for parameter in parameters:
            parameter.requires_grad_(True)
        optimizer.zero_grad()
        loss = F.cross_entropy(head(features()), labels)
        loss.backward()
        optimizer.step()
        for parameter in parameters:
            parameter.requires_grad_(False)
        return loss.detach()

    return step


def compare(backbone: Backbone, rank: int, slots: int, batch: int, rounds: int) -> dict[str, list[float]]:
    """Ratios of CPU seconds of `rounds` rounds after a warm-up; each round takes every step once."""
    size = backbone.transform.size
    images = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(1))
    steps = steps_of(backbone, rank, slots, images)
    ratios: dict[str, list[float]] = {"lora / frozen": [], "per image / shared": []}
    for number in range(-1, rounds):
        seconds = {}
        for name in sorted(steps, reverse=bool(number % 2)):
            clock = Clock()
            with clock.running():
                steps[name]()
            seconds[name] = clock.cpu
        if number >= 0:
            ratios["lora / frozen"].append(seconds["lora"] / seconds["frozen"])
            ratios["per image / shared"].append(seconds["per image"] / seconds["shared"])
    return ratios


@click.command()
@click.option("--backbone", default="vit_micro_patch4_32.tinyimagenet_distill", show_default=True)
@click.option("--rank", default=8, show_default=True, type=click.IntRange(1))
@click.option("--slots", default=10, show_default=True, type=click.IntRange(1))
@click.option("--batch", default=64, show_default=True, type=click.IntRange(1))
@click.option("--rounds", default=15, show_default=True, type=click.IntRange(1))
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
def main(backbone: str, rank: int, slots: int, batch: int, rounds: int, threads: int) -> None:
    """Measure CPU seconds of steps with LoRA / of the frozen network, and with weights per image / with shared ones."""
    os.environ["CLBENCH_OFFLINE"] = "1"
    torch.set_num_threads(threads)
    ratios = compare(load(backbone), rank, slots, batch, rounds)
    figures = [
        Figure(f"LoRA / frozen, rank {rank}, batch {batch}", median_interval(ratios["lora / frozen"]), LIMIT),
        Figure(f"weights per image / shared, {slots} slots", median_interval(ratios["per image / shared"])),
    ]
    click.echo(table(FIGURE_COLUMNS, [figure.row() for figure in figures]))


if __name__ == "__main__":
    main()
