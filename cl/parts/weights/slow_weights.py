"""Slow weights: copies of a learner's tensors that follow them at a distance and can stand in for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from cl.errors import ContractError

Place = tuple[nn.Module, str]
"""A module and the name of a tensor in it."""


def places(holder: object) -> dict[str, Place]:
    """Where the floating-point tensors of the modules in an object's public attributes are, by name.

    Parameters and the buffers that `state_dict` keeps; integer buffers and what can be rebuilt are left out.
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
    """Copies, by name, of tensors that train elsewhere, in float32 at least."""

    stores = "parameters"

    def __init__(self, device: torch.device) -> None:
        # Parameters, because a backbone knows by their identity and version which weights it computes with
        self._tensors: dict[str, nn.Parameter] = {}
        self._device = device

    @torch.no_grad()
    def enter(self, fast: Mapping[str, Place], trained: Iterable[nn.Parameter]) -> None:
        """Follow what is trained, and the buffers beside it, from where they are now; what is followed goes on.

        Raises `ContractError` for a parameter that is at none of the places.
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
        """slow <- tau slow + (1 - tau) fast; exact at tau = 0 and tau = 1."""
        for name, slow in self._tensors.items():
            slow.lerp_(_at(fast[name]).to(slow.dtype), 1 - tau)

    @torch.no_grad()
    def copy_to(self, fast: Mapping[str, Place]) -> None:
        """fast <- slow."""
        for name, slow in self._tensors.items():
            _at(fast[name]).copy_(slow)

    @contextlib.contextmanager
    def standing_in(self, fast: Mapping[str, Place]) -> Iterator[None]:
        """Let the modules compute with the slow tensors; the fast ones, the same objects, come back in any case."""
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
