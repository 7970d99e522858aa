"""Running averages of batch norms that were taken under dropout, measured again without it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd


def under_dropout(modules: Iterable[nn.Module]) -> tuple[list[Any], list[nn.Module]]:
    """The batch norms that average under dropout while `modules` train, and these dropouts; nothing of other networks.

    What dropout does to a variance is absent from test images, and the averages do not fit these (Li et al.,
    Understanding the disharmony between dropout and batch normalization by variance shift, CVPR 2019).
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
    """Let running averages become the mean over the batches of the block, without dropout, and nothing else.

    Every batch is normalised by itself, so the weights of the network and its training mode must stand. The count of
    training batches is not touched.
    """
    norms, dropouts = list(norms), list(dropouts)
    kept = [(norm, norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    modes = [(dropout, dropout.training) for dropout in dropouts]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's way to say: the plain average
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
