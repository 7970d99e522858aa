"""Batch norms in a fit: measuring their running averages again without dropout."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd


def under_dropout(modules: Iterable[nn.Module]) -> tuple[list[Any], list[nn.Module]]:
    """The batch norms and dropout layers of the modules with dropout; both empty if there is no such batch norm.

    Dropout changes the variance that batch norms average in training, so the averages do not fit test images (Li et
    al., Understanding the disharmony between dropout and batch normalization by variance shift, CVPR 2019).
    """
    norms: list[Any] = []
    dropouts: list[nn.Module] = []
    for module in modules:
        parts = list(module.modules())
        drops = [part for part in parts if isinstance(part, _DropoutNd) and part.p > 0]
        if drops:
            norms += [part for part in parts if isinstance(part, _BatchNorm) and part.running_mean is not None]
            dropouts += drops
    return (norms, dropouts) if norms else ([], [])


@contextlib.contextmanager
def measured_anew(norms: Iterable[Any], dropouts: Iterable[nn.Module]) -> Iterator[None]:
    """Within a `with` block, measure running averages as the mean over the batches of the block, without dropout.

    Every batch is normalised by its own statistics, so the block must not change the weights or the training mode. The
    count of training batches is restored.
    """
    norms, dropouts = list(norms), list(dropouts)
    kept = [(norm, norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    modes = [(dropout, dropout.training) for dropout in dropouts]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # None means a plain average in PyTorch
    for dropout in dropouts:
        dropout.eval()
    try:
        yield
    finally:
        for dropout, training in modes:
            dropout.train(training)
        for norm, momentum, tracked in kept:
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(tracked)
