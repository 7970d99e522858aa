"""Speed of training and inference on a GPU, against the measured peak of a matrix product."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

from benchmarks.gpu.bench import Bench


@dataclass(frozen=True)
class Config:
    """One row of the table of speeds."""

    model: str
    precision: str
    compiled: bool
    training: bool
    batch: int


def configs(bench: Bench) -> Iterator[Config]:
    """The rows of the table, the most important first: the table ends when its time is over."""
    models: tuple[str, ...] = ("deit_tiny_patch16_224@random", "vit_base_patch16_224@random")
    precisions: tuple[str, ...] = ("bf16", "fp32", "tf32")
    batches: tuple[int, ...] = (64, 256, 16, 512, 128, 32)
    if bench.rehearse:
        models, precisions, batches = ("vit_micro_patch4_32.tinyimagenet_distill",), ("bf16", "fp32"), (2,)
    for model in models:
        for batch, precision, training in itertools.product(batches[:2], precisions, (True, False)):
            yield Config(model, precision, False, training, batch)
    for training in (True, False):
        yield Config(models[0], precisions[0], True, training, batches[0])
    for model in models:
        for batch, precision, training in itertools.product(batches[2:], precisions, (True, False)):
            yield Config(model, precision, False, training, batch)


def speed(bench: Bench) -> None:
    """Write the table of speeds: images per second, and the share of the peak of a matrix product."""
    import torch

    rows: list[dict[str, Any]] = []
    for config in configs(bench):
        if bench.left("speed") < (40 if config.compiled and not bench.rehearse else 5):
            if config.compiled:
                continue
            print("The time for the table of speeds is over.", flush=True)
            break
        try:
            rate, flops, memory = measured(bench, config)
        except torch.cuda.OutOfMemoryError:
            print(f"{config}: too large for this card", flush=True)
            torch.cuda.empty_cache()
            continue
        peak = peak_of(bench, config.precision)
        rows.append(
            {
                "card": bench.card, "torch": torch.__version__, **vars(config), "images_per_second": f"{rate:.1f}",
                "tflops": f"{rate * flops / 1e12:.3f}", "peak_tflops": f"{peak / 1e12:.3f}",
                "share": f"{rate * flops / peak:.3f}", "peak_memory_mib": round(memory / 2**20),
            }
        )  # fmt: skip
        print(" ".join(map(str, list(rows[-1].values())[2:])), flush=True)
        bench.table("", rows)


def repeated(bench: Bench, call: Callable[[], Any]) -> float:
    """Calls per second, after a warm-up."""
    import torch

    wait = functools.partial(torch.cuda.synchronize, bench.device) if bench.device.type == "cuda" else lambda: None
    least = 0.01 if bench.rehearse else 0.5
    for _ in range(1 if bench.rehearse else 3):
        call()
    wait()
    count, clock = 0, time.perf_counter()
    while (spent := time.perf_counter() - clock) < least or not count:
        for _ in range(1 if bench.rehearse else 5):
            call()
            count += 1
        wait()
    return count / spent


@functools.cache
def _peaks() -> dict[str, float]:
    return {}


def peak_of(bench: Bench, precision: str) -> float:
    """FLOP/s of a large square matrix product."""
    import torch

    from cl.backbone.devices import arithmetic

    if precision not in _peaks():
        size, dtype = 128 if bench.rehearse else 8192, torch.bfloat16 if precision == "bf16" else torch.float32
        with arithmetic(bench.device, precision):
            a, b = (torch.randn(size, size, device=bench.device, dtype=dtype) for _ in range(2))
            _peaks()[precision] = repeated(bench, lambda: a @ b) * 2 * size**3
    return _peaks()[precision]


def measured(bench: Bench, config: Config) -> tuple[float, float, int]:
    """Images per second, FLOPs per image, and peak memory in bytes."""
    import torch
    from torch import nn

    from cl.backbone import compiled, load
    from cl.backbone.devices import arithmetic
    from cl.training.cost import count_flops
    from cl.training.fit import fused
    from cl.training.optim import sgd

    cuda = bench.device.type == "cuda"
    backbone = load(config.model, device=bench.device, precision=config.precision)
    head = nn.Linear(backbone.dim, 100).to(bench.device)
    size = backbone.transform.size
    x = torch.randn(config.batch, 3, size, size, device=bench.device)
    y = torch.arange(config.batch, device=bench.device) % 100
    optimizer = (fused(sgd(1e-4)) if cuda else sgd(1e-4))([*backbone.parameters(), *head.parameters()])

    def train() -> None:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(head(backbone(x)), y).backward()
        optimizer.step()

    def infer() -> None:
        with torch.no_grad():
            head(backbone(x))

    backbone.requires_grad_(config.training)
    with arithmetic(bench.device, config.precision):
        flops = count_flops(train if config.training else infer)[1] / config.batch
        if config.compiled:
            with mock.patch.object(compiled, "BACKEND", "eager" if bench.rehearse else compiled.BACKEND):
                backbone.compile_passes()
        if cuda:
            torch.cuda.reset_peak_memory_stats(bench.device)
        rate = repeated(bench, train if config.training else infer) * config.batch
    return rate, flops, torch.cuda.max_memory_allocated(bench.device) if cuda else 0
