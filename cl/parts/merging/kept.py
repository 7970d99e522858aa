"""Task vectors that a method keeps: as they are, by low-rank factors, or as signs with one scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import torch
from torch import Tensor

from cl.errors import ContractError
from cl.parts.merging.average import smallest_kept
from cl.parts.merging.vectors import Weights, flat
from cl.parts.weights.masks import pack, unpack

FORMS = ("dense", "low-rank", "ternary")


class TaskVectors(Sequence[Weights]):
    """The task vectors of the tasks so far; each is decoded tensor by tensor when it is read.

    `dense` keeps all values. `low-rank` keeps `rank` singular directions of each matrix (convolutions as [out, rest])
    whose factors are smaller than the matrix, and other tensors as they are. `ternary` keeps the signs of a share
    `keep` of the largest values, in two bits each, and the mean of their sizes (after ComPEFT, Yadav et al. 2023,
    arXiv 2311.13171, whose scale is the standard deviation times a factor chosen on validation images).
    """

    stores = "parameters"

    def __init__(
        self, form: str = "dense", *, rank: int = 8, keep: float = 0.2, device: torch.device | str = "cpu"
    ) -> None:
        if form not in FORMS:
            raise ContractError(f"task vectors are kept {', '.join(FORMS)}, not {form!r}.")
        if rank < 1:
            raise ContractError(f"rank={rank}: give the singular directions to keep, at least 1.")
        self.form, self.rank, self.keep, self._device = form, rank, keep, torch.device(device)
        self.kept: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self.kept)

    def add(self, vector: Weights) -> None:
        """Keep the task vector of one more task."""
        self.kept.append(self._encoded(vector))

    @overload
    def __getitem__(self, index: int) -> Weights: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Weights]: ...

    def __getitem__(self, index: int | slice) -> Weights | Sequence[Weights]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        return Decoded(self.kept[index])

    def clear(self) -> None:
        """Forget all of them."""
        self.kept = []

    def _encoded(self, vector: Weights) -> dict[str, Any]:
        if self.form == "ternary":
            limit = max(smallest_kept(vector, self.keep), torch.finfo(torch.float32).tiny)
            sizes = flat(vector).abs()
            scale = sizes[sizes >= limit].mean() if bool((sizes >= limit).any()) else sizes.new_zeros(())
            return {name: _signs(tensor, limit, scale) for name, tensor in vector.items()}
        return {name: self._factors(tensor) if self.form == "low-rank" else tensor for name, tensor in vector.items()}

    def _factors(self, tensor: Tensor) -> Tensor | dict[str, Any]:
        matrix = tensor.flatten(1) if tensor.ndim > 1 else tensor[None]
        if self.rank * sum(matrix.shape) >= matrix.numel():
            return tensor
        wide = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
        u, s, vh = torch.linalg.svd(wide, full_matrices=False)
        b, a = u[:, : self.rank] * s[: self.rank], vh[: self.rank]
        return {"b": b.to(tensor.dtype).contiguous(), "a": a.to(tensor.dtype).contiguous(), "shape": list(tensor.shape)}

    def get_state(self) -> list[dict[str, Any]]:
        return self.kept

    def set_state(self, state: list[dict[str, Any]]) -> None:
        self.kept = [{name: _moved(value, self._device) for name, value in each.items()} for each in state]


class MergedVector:
    """One task vector, `values` by name; empty: zero. It is replaced as a whole, never changed in place."""

    stores = "parameters"

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.values: dict[str, Tensor] = {}
        self._device = torch.device(device)

    def get_state(self) -> dict[str, Tensor]:
        return self.values

    def set_state(self, state: dict[str, Tensor]) -> None:
        self.values = {name: tensor.to(self._device) for name, tensor in state.items()}


class Decoded(Mapping[str, Tensor]):
    """The values of a kept task vector; each access decodes one tensor."""

    def __init__(self, kept: dict[str, Any]) -> None:
        self._kept = kept

    def __getitem__(self, name: str) -> Tensor:
        kept = self._kept[name]
        if isinstance(kept, Tensor):
            return kept
        shape = torch.Size(kept["shape"])
        if "a" in kept:
            return (kept["b"] @ kept["a"]).reshape(shape)
        scale: Tensor = kept["scale"]
        return scale * (unpack(kept["above"], shape).to(scale.dtype) - unpack(kept["below"], shape).to(scale.dtype))

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def _signs(tensor: Tensor, limit: float, scale: Tensor) -> dict[str, Any]:
    """The signs of the values from `limit` on, a bit each for those above and those below 0."""
    above, below = pack(tensor >= limit), pack(tensor <= -limit)
    return {"above": above, "below": below, "scale": scale, "shape": list(tensor.shape)}


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _moved(item, device) for key, item in value.items()}
    return value
