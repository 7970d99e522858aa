"""What batch norms of a network ask of its training batches."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def has_batch_norms(modules: Iterable[nn.Module]) -> bool:
    """Whether a module contains a batch norm."""
    return any(isinstance(part, _BatchNorm) for module in modules for part in module.modules())


def least_batch(model: nn.Module, image: Tensor) -> int:
    """Images that a training batch of a model in evaluation mode needs, from a pass of one image [1, C, s, s].

    2 if some batch norm sees a single value per channel of one image, which leaves nothing to normalise; else 1.
    """
    single: list[bool] = []

    def note(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        single.append(inputs[0].numel() == inputs[0].shape[1])

    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    try:
        if norms:
            with torch.no_grad():
                model(image)
    finally:
        for hook in hooks:
            hook.remove()
    return 2 if any(single) else 1
