"""Speed-up of CPU training with plain attention instead of the fused kernel: the ratio of images per second.

python benchmarks/cpu_attention.py
python benchmarks/cpu_attention.py --backbone vit_small_patch16_224@random --batch-size 8 --precision fp32
"""

from __future__ import annotations

import contextlib
import statistics
import time

import click
import torch
from torch import nn
from torch.nn import functional as F

from cl.backbone import load
from cl.backbone.attention import explicit, slow_to_differentiate


@click.command(help=__doc__)
@click.option("--backbone", "name", default="vit_micro_patch4_32.tinyimagenet_distill", show_default=True)
@click.option("--batch-size", default=16, show_default=True)
@click.option("--precision", default="bf16", show_default=True)
@click.option("--rounds", default=5, show_default=True, help="Alternating rounds; the median ratio is shown.")
@click.option("--steps", default=10, show_default=True, help="Training steps per round.")
def main(name: str, batch_size: int, precision: str, rounds: int, steps: int) -> None:
    torch.set_num_threads(1)
    backbone = load(name, precision=precision)
    head = nn.Linear(backbone.dim, 10)
    size = backbone.transform.size
    images, labels = torch.randn(batch_size, 3, size, size), torch.zeros(batch_size, dtype=torch.long)
    backbone.train().requires_grad_(True)
    optimizer = torch.optim.SGD([*backbone.parameters(), *head.parameters()], lr=1e-4, momentum=0.9, foreach=True)
    attention = slow_to_differentiate([backbone], torch.device("cpu"))

    def rate(plain: bool) -> float:
        """Images per second of CPU time."""
        clock = time.process_time()
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            with explicit(attention) if plain else contextlib.nullcontext():
                loss = F.cross_entropy(head(backbone(images)), labels)
            loss.backward()
            optimizer.step()
        return steps * batch_size / (time.process_time() - clock)

    rate(True), rate(False)  # to warm up
    pairs = [(rate(False), rate(True)) for _ in range(rounds)]
    ratios = sorted(plain / fused for fused, plain in pairs)
    fused, plain = (statistics.median(column) for column in zip(*pairs, strict=True))
    click.echo(
        f"{name}, {precision}, batches of {batch_size}: fused {fused:.0f}, plain {plain:.0f} images/s, "
        f"plain / fused {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


if __name__ == "__main__":
    main()
