"""Slow weights: moving averages of a learner's tensors, which can replace them temporarily."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from cl.errors import ContractError

Place = tuple[nn.Module, str]
"""A module and the name of a tensor in it."""


def places(holder: object) -> dict[str, Place]:
    """Places of the floating-point tensors of all modules in an object's public attributes, by name.

    Includes parameters and the buffers in `state_dict`, but neither integer buffers nor non-persistent ones.
    """
    found: dict[str, Place] = {}
    for attribute, module in vars(holder).items():
        if not isinstance(module, nn.Module) or attribute.startswith("_"):
            continue
        kept = module.state_dict(prefix=f"{attribute}.")
        for path, part in module.named_modules(prefix=attribute):
            tensors = [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
            for leaf, tensor in tensors:
                if tensor.is_floating_point() and f"{path}.{leaf}" in kept:
                    found[f"{path}.{leaf}"] = (part, leaf)
    return found


class SlowWeights:
    """Copies, by name, of tensors that are trained elsewhere, in float32 or wider."""

    stores = "parameters"

    def __init__(self, device: torch.device) -> None:
        # Parameters, because a backbone identifies its weights by identity and version of parameters
        self._tensors: dict[str, nn.Parameter] = {}
        self._device = device

    @torch.no_grad()
    def enter(self, fast: Mapping[str, Place], trained: Iterable[nn.Parameter]) -> None:
        """Start tracking the trained tensors and their buffers; tensors tracked already are left alone.

        Raises `ContractError` for a parameter that is not in `fast`.
        """
        ids = {id(parameter) for parameter in trained}
        names = {name for name, place in fast.items() if id(_at(place)) in ids}
        if len({id(_at(fast[name])) for name in names}) < len(ids):
            raise ContractError("what is interpolated must lie in modules that are attributes of the base strategy.")
        trains = {name.partition(".")[0] for name in names}
        for name, place in fast.items():
            tensor = _at(place)
            buffer = name.partition(".")[0] in trains and not isinstance(tensor, nn.Parameter)
            if (name in names or buffer) and name not in self._tensors:
                wide = tensor.to(torch.promote_types(tensor.dtype, torch.float32), copy=True)
                self._tensors[name] = nn.Parameter(wide, requires_grad=False)

    @torch.no_grad()
    def follow(self, fast: Mapping[str, Place], tau: float) -> None:
        """slow <- tau slow + (1 - tau) fast; exact for tau = 0 and tau = 1."""
        for name, slow in self._tensors.items():
            slow.lerp_(_at(fast[name]).to(slow.dtype), 1 - tau)

    @torch.no_grad()
    def copy_to(self, fast: Mapping[str, Place]) -> None:
        """fast <- slow."""
        for name, slow in self._tensors.items():
            _at(fast[name]).copy_(slow)

    @contextlib.contextmanager
    def standing_in(self, fast: Mapping[str, Place]) -> Iterator[None]:
        """Within a `with` block, let the modules use the slow tensors; afterwards the fast tensors (the same objects)
        are back, even after an exception."""
        before = {name: _at(fast[name]) for name in self._tensors}
        try:
            for name, slow in self._tensors.items():
                tensor = before[name]
                if slow.dtype != tensor.dtype:
                    slow = nn.Parameter(slow.to(tensor.dtype), requires_grad=False)
                setattr(*fast[name], slow if isinstance(tensor, nn.Parameter) else slow.detach())
            yield
        finally:
            for name, tensor in before.items():
                setattr(*fast[name], tensor)

    def get_state(self) -> dict[str, Tensor]:
        return {name: tensor.detach() for name, tensor in self._tensors.items()}

    def set_state(self, value: Mapping[str, Tensor]) -> None:
        self._tensors = {
            name: nn.Parameter(tensor.detach().to(self._device, copy=True), requires_grad=False)
            for name, tensor in value.items()
        }


def _at(place: Place) -> Tensor:
    module, leaf = place
    tensor: Tensor = getattr(module, leaf)
    return tensor
