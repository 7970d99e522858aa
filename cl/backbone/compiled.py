"""A network compiled by PyTorch, for passes that its graph covers; other passes take the plain network."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

from cl.errors import UsageError

BACKEND = "inductor"


def check_compiler(device: torch.device | str) -> None:
    """Compile a sum; raises `UsageError` if this machine cannot, for example without a C++ compiler."""
    try:
        torch.compile(lambda x: x + 1, backend=BACKEND)(torch.ones(2, device=device))
    except Exception as error:  # what PyTorch raises depends on what is missing
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UsageError(
            f"--compile does not work on this machine ({reason}); install a C++ compiler such as g++, or leave "
            "--compile out."
        ) from error


class Compiled:
    """The compiled forward pass of a network; batches of any size share one graph per mode.

    A network that has changed since (a module or a parameter joined or was replaced, a hook was added) is not compiled
    again for each task: it takes the plain path. So do passes under a mode that sees every operator, such as the FLOP
    counter.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.used = False
        self._parts = _parts(network)

        def run(images: Tensor) -> Any:
            return network(images)

        self._run = torch.compile(run, dynamic=True, backend=BACKEND)

    def covers(self, images: Tensor) -> bool:
        """Whether the compiled pass may be used; without gradients on a CPU, `CpuInference` is faster."""
        if type(images) is not Tensor or (images.device.type == "cpu" and not torch.is_grad_enabled()):
            return False
        parts = _parts(self.network)
        return parts is not None and parts == self._parts and _get_current_dispatch_mode() is None

    def __call__(self, images: Tensor) -> Any:
        self.used = True
        return self._run(images)


def _parts(network: nn.Module) -> tuple[Any, ...] | None:
    """The modules and parameters, which a graph assumes to stay; None for a network with hooks or replaced methods."""
    if _altered(network):
        return None
    return tuple(map(id, network.modules())), tuple(map(id, network.parameters()))


def layout(network: nn.Module) -> Hashable:
    """Kinds of modules, and names and shapes of tensors; None for a network with hooks or replaced methods."""
    if _altered(network):
        return None
    tensors = (*network.named_parameters(), *network.named_buffers())
    return tuple(map(type, network.modules())), tuple((name, tensor.shape) for name, tensor in tensors)


def _altered(network: nn.Module) -> bool:
    """Whether a module has a hook, or a method of its own in place of that of its class."""
    for module in network.modules():
        hooks = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
        if hooks or module._backward_pre_hooks:
            return True
        if any(callable(value) and callable(getattr(type(module), name, None)) for name, value in vars(module).items()):
            return True
    return False
