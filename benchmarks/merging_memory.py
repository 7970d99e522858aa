"""Peak memory of the merging functions, in sizes of the network, for two and for more task vectors.

`python -m benchmarks.merging_memory` merges vectors that are made tensor by tensor when they are read, as files or kept
factors are, each merge in a process of its own. So what is measured is the merge: its result and what it holds besides.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

import click
import psutil
import torch
from torch import Tensor

from benchmarks.measuring import table
from cl.parts.merging import (
    Weights,
    average,
    linear_weights,
    model_stock,
    norm,
    opcm_step,
    pcb,
    running_average,
    task_arithmetic,
    ties,
)

ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
"""Freed tensors go back to the system at once, else what the allocator keeps of them would count."""


class Made(Mapping[str, Tensor]):
    """A task vector of random values that holds none of them; each access makes one tensor."""

    def __init__(self, shapes: Mapping[str, torch.Size], seed: int) -> None:
        self._shapes, self._seed = shapes, seed

    def __getitem__(self, name: str) -> Tensor:
        place = list(self._shapes).index(name)
        return torch.randn(self._shapes[name], generator=torch.Generator().manual_seed(1000 * self._seed + place))

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)


def _one_by_one(
    vectors: list[Weights], step: Callable[[Mapping[str, Tensor], Weights, int], dict[str, Tensor]]
) -> Mapping[str, Tensor]:
    """Merge as models arrive: the result so far and one vector more."""
    merged = dict(vectors[0])
    for count, vector in enumerate(vectors[1:], 2):
        merged = step(merged, vector, count)
    return merged


def merges(matrices: Mapping[str, int]) -> dict[str, Callable[[list[Weights]], object]]:
    """The merges to measure, by name."""

    def opcm(merged: Mapping[str, Tensor], vector: Weights, count: int) -> dict[str, Tensor]:
        return opcm_step(merged, vector, scale=1.0, length=norm(vector), matrices=matrices)[0]

    return {
        "average": average,
        "task arithmetic": task_arithmetic,
        "TIES": ties,
        "Model Stock": model_stock,
        "PCB-Merging": pcb,
        "average, one by one": lambda vectors: _one_by_one(vectors, running_average),
        "TIES, one by one": lambda vectors: _one_by_one(vectors, lambda a, b, count: ties([a, b])),
        "OPCM, one by one": lambda vectors: _one_by_one(vectors, opcm),
    }


def measure(backbone: str, merge: str, count: int) -> dict[str, float]:
    """Bytes of the network and of its largest tensor, and by how much the merge raised the peak of this process."""
    import timm  # the parent process does not need it

    model = timm.create_model(backbone, num_classes=0)
    shapes, matrices = {name: value.shape for name, value in model.named_parameters()}, linear_weights(model)
    del model
    small = {name: torch.Size([2, 2]) for name in ("a", "b")}
    merges({})[merge]([Made(small, seed) for seed in (1, 2)])  # what a first call loads is not the merge's
    before = psutil.Process().memory_info().rss
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts again from here
    merges(matrices)[merge]([Made(shapes, seed) for seed in range(count)])
    with open("/proc/self/status") as file:
        (peak,) = (int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    sizes = [4 * shape.numel() for shape in shapes.values()]
    return {"network": sum(sizes), "largest": max(sizes), "peak": peak - before}


@click.command()
@click.option("--backbone", default="vit_base_patch16_224", show_default=True)
@click.option("--count", "counts", default=(2, 8), show_default=True, type=click.IntRange(2), multiple=True)
@click.option("--only", multiple=True, type=click.Choice(list(merges({}))), help="merge to measure; several times")
@click.option("--child", hidden=True)
def main(backbone: str, counts: tuple[int, ...], only: tuple[str, ...], child: str | None) -> None:
    """Measure the peak memory of merging so many task vectors (Linux)."""
    if child:
        click.echo(json.dumps(measure(backbone, child, counts[0])))
        return
    rows = []
    for merge in only or merges({}):
        row = [merge]
        for count in counts:
            command = [sys.executable, "-m", "benchmarks.merging_memory", "--backbone", backbone]
            command += ["--count", str(count), "--child", merge]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", **ALLOCATOR}
            found = json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
            row.append(f"{found['peak'] / found['network']:.2f}")
        rows.append(row)
    click.echo(table(["peak / size of the network", *(f"{count} vectors" for count in counts)], rows))


if __name__ == "__main__":
    main()
