"""Batch norms that use the statistics of the current batch or of one task."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from cl.backbone import Backbone
from cl.parts.attached.attach import overridden


def batch_norms(backbone: Backbone) -> dict[str, Any]:
    """The batch norms of a backbone that hold running statistics, by name in the model."""
    modules = backbone.model.named_modules()
    return {name: norm for name, norm in modules if isinstance(norm, _BatchNorm) and norm.running_mean is not None}


@contextlib.contextmanager
def batch_statistics(backbone: Backbone) -> Iterator[None]:
    """Within a `with` block, let every batch norm use the statistics of its batch; running statistics do not change."""
    norms = batch_norms(backbone).values()
    with overridden((norm, "forward", functools.partial(_by_batch, norm)) for norm in norms):
        yield


def _by_batch(norm: Any, x: Tensor) -> Tensor:
    if x.numel() == x.shape[1]:  # one value per channel equals its mean
        x, mean = x * 0, torch.zeros_like(norm.running_mean)
        return F.batch_norm(x, mean, mean + 1, norm.weight, norm.bias, False, 0.0, norm.eps)
    return F.batch_norm(x, None, None, norm.weight, norm.bias, True, 0.0, norm.eps)


class TaskStatistics:
    """Mean and variance of the inputs of each batch norm, for each task.

    They are averages over batches, each normalised by its own statistics, without dropout: the expectation of a batch's
    statistics, but the same for every image.
    """

    stores = "statistics"

    def __init__(self, backbone: Backbone) -> None:
        self._names = tuple(batch_norms(backbone))
        self._device = next(backbone.parameters()).device
        self.values: list[list[Tensor]] = []  # per task and norm, [2, channels]

    @torch.no_grad()
    def add(self, backbone: Backbone, batches: Iterable[Tensor], forward: Any) -> None:
        """Measure the statistics of a task by calling `forward` with each batch of its images."""
        norms = batch_norms(backbone)
        sums: dict[str, Tensor] = {name: torch.zeros((), device=self._device) for name in norms}
        count = 0

        def measure(name: str, norm: nn.Module, x: Tensor) -> Tensor:
            dims = [dim for dim in range(x.ndim) if dim != 1]
            value = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
            sums[name] = sums[name] + size * torch.stack([value.mean(dims), value.var(dims, correction=0)])
            return _by_batch(norm, x)

        stand_ins = [(norm, "forward", functools.partial(measure, name, norm)) for name, norm in norms.items()]
        with overridden(stand_ins):
            for batch in batches if norms else ():
                size = len(batch)
                forward(batch)
                count += size
        self.values.append([value / count for value in sums.values()])

    def of(self, task: int) -> dict[str, Tensor]:
        """The statistics of a task by the names of the buffers that they replace."""
        found: dict[str, Tensor] = {}
        for name, (mean, variance) in zip(self._names, self.values[task], strict=True):
            found |= {f"{name}.running_mean": mean, f"{name}.running_var": variance}
        return found

    def get_state(self) -> list[list[Tensor]]:
        return self.values

    def set_state(self, state: list[list[Tensor]]) -> None:
        self.values = [[value.to(self._device) for value in task] for task in state]
