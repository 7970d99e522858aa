"""Task vectors: what fine-tuning added to the weights of a network, as dicts of tensors by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from cl.errors import UsageError

Weights = Mapping[str, Tensor]
"""Tensors of a checkpoint, or of a task vector, by name."""


@torch.no_grad()
def task_vector(weights: Weights, origin: Weights) -> dict[str, Tensor]:
    """weights - origin, for the floating-point tensors of two checkpoints.

    Integer tensors, such as the batch counts of batch norms, have no place in a task vector. Raises `UsageError` for
    checkpoints with other names or shapes, and for a value that is not finite.
    """
    check_alike([origin, weights])
    vector = {name: weights[name] - tensor for name, tensor in origin.items() if tensor.is_floating_point()}
    check_finite(vector)
    return vector


def added(origin: Weights, vector: Weights, scale: float = 1.0) -> dict[str, Tensor]:
    """origin + scale * vector; tensors that the vector lacks are those of `origin`, not copied.

    Variances of batch norms that a merge made negative become 0. Raises `UsageError` for a vector of another network.
    """
    if odd := sorted(set(vector) - set(origin)):
        raise UsageError(f"the weights have no tensor {odd[0]!r} to add to; give the weights of the same network.")
    found = dict(origin)
    for name, change in vector.items():
        if change.shape != origin[name].shape:
            raise UsageError(
                f"tensor {name!r} has the shape {list(origin[name].shape)} in the weights and {list(change.shape)} in "
                "the vector; give the weights of the same network."
            )
        moved = origin[name] + scale * change
        found[name] = moved.clamp(min=0) if name.endswith("running_var") else moved
    return found


def norm(vector: Weights) -> float:
    """The Euclidean norm over all tensors, summed in float64."""
    return math.sqrt(sum(float(double(tensor).pow(2).sum()) for tensor in vector.values()))


def double(tensor: Tensor) -> Tensor:
    """The values in float64; in main memory if the device has no float64 (mps)."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def check_alike(checkpoints: Sequence[Weights]) -> None:
    """Raise `UsageError` unless there are tensors, of the same names, shapes and device in all checkpoints."""
    if isinstance(checkpoints, Mapping) or not isinstance(checkpoints, Sequence):
        raise UsageError(
            f"a {type(checkpoints).__name__} was given; give a list of checkpoints or task vectors, each a dict of "
            "tensors by name."
        )
    for number, checkpoint in enumerate(checkpoints):
        if not isinstance(checkpoint, Mapping):
            raise UsageError(
                f"checkpoint {number} is a {type(checkpoint).__name__}; give the dict of tensors by name, as "
                "model.state_dict() returns it."
            )
    if not len(checkpoints) or not len(checkpoints[0]):
        raise UsageError("there is nothing to merge; give at least one checkpoint or task vector, with tensors.")
    first = checkpoints[0]
    for number, other in enumerate(checkpoints):
        if odd := sorted(set(first) ^ set(other)):
            holder = 0 if odd[0] in first else number
            raise UsageError(
                f"only checkpoint {holder} has a tensor {odd[0]!r}; merge checkpoints of one network, with the same "
                "names of tensors."
            )
        for name, tensor in other.items():
            if not isinstance(tensor, Tensor):
                raise UsageError(
                    f"{name!r} of checkpoint {number} is a {type(tensor).__name__}, not a tensor; give the dict of "
                    "tensors by name, as model.state_dict() returns it."
                )
            if first[name].shape != tensor.shape:
                raise UsageError(
                    f"tensor {name!r} has the shape {list(first[name].shape)} in checkpoint 0 and "
                    f"{list(tensor.shape)} in checkpoint {number}; merge checkpoints of one network."
                )
            if first[name].device != tensor.device:
                raise UsageError(
                    f"tensor {name!r} is on {first[name].device} in checkpoint 0 and on {tensor.device} in checkpoint "
                    f"{number}; load all checkpoints with the same map_location."
                )


def check_vectors(vectors: Sequence[Weights]) -> None:
    """Raise `UsageError` unless the dicts are task vectors of one network: alike, and without whole numbers."""
    check_alike(vectors)
    for name, tensor in vectors[0].items():
        if not tensor.is_floating_point():
            raise UsageError(
                f"tensor {name!r} holds whole numbers, so this is a checkpoint; give task vectors, from "
                "task_vector(weights, pretrained)."
            )


def check_finite(vector: Weights) -> None:
    """Raise `UsageError` for a task vector with a value that is not finite."""
    for name, tensor in vector.items():
        if not bool(torch.isfinite(tensor).all()):
            raise UsageError(
                f"tensor {name!r} of a checkpoint has a value that is not finite; leave it out of the merge."
            )


def check_moved(vector: Weights, what: str = "a task vector") -> None:
    """Raise `UsageError` for a task vector of zeros, whose direction is undefined."""
    if not any(bool(tensor.any()) for tensor in vector.values()):
        raise UsageError(
            f"{what} is zero, so there is nothing to merge; leave it out, or raise the learning rate (for example "
            "--set lr=...) or the number of epochs of its training."
        )


def stacked(vectors: Sequence[Weights]) -> Iterator[tuple[str, Tensor]]:
    """Name and values [T, ...] of each tensor of T task vectors, one tensor after another.

    In addition to the vectors themselves, T times one tensor is in memory. Raises `UsageError` for vectors of different
    networks, and for a value that is not finite.
    """
    check_alike(vectors)
    for name in vectors[0]:
        values = torch.stack([vector[name] for vector in vectors])
        check_finite({name: values})
        yield name, values


def flat(vector: Weights) -> Tensor:
    """All values of a task vector, [d], float32 or wider; a copy."""
    values = torch.cat([tensor.flatten() for tensor in vector.values()])
    return values.to(torch.promote_types(values.dtype, torch.float32))


def order_statistic(vector: Weights, place: int) -> float:
    """The size |x| at a place in the order of the sizes of all values of a task vector; 0: the smallest.

    Tensors are read one after another, once for every 16 bits of a value.
    """
    dtype = torch.promote_types(next(iter(vector.values())).dtype, torch.float32)
    whole = torch.int64 if dtype == torch.float64 else torch.int32
    found = 0  # bits of sizes are ordered like the sizes, so the result is found 16 bits at a time, from the left
    for shift in range(8 * dtype.itemsize - 16, -1, -16):
        counts = torch.zeros(1 << 16, dtype=torch.int64)
        for tensor in vector.values():
            bits = tensor.to(dtype).abs().flatten().view(whole) >> shift
            counts += torch.bincount(bits[bits >> 16 == found] & 0xFFFF, minlength=1 << 16).cpu()
        below = counts.cumsum(0)
        digit = int(torch.searchsorted(below, place, right=True))
        place -= int(below[digit - 1]) if digit else 0
        found = found << 16 | digit
    return float(torch.tensor([found], dtype=whole).view(dtype))
