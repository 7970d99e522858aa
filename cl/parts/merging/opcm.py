"""OPCM: a new task vector is projected away from the leading directions of what was merged before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from cl.errors import UsageError
from cl.parts.merging.vectors import Weights, check_finite, check_moved, check_vectors, norm


def projected(before: Tensor, change: Tensor, share: float = 0.5, *, diagonal: bool = True) -> Tensor:
    """`change` [out, in] without its part along the leading singular directions of `before` [out, in].

    Tang et al. 2025 (arXiv 2501.09522). With before = U S V^T and Z = U^T change V, the leading r x r block of Z
    becomes 0, where r is the number of singular values up to a `share` of their sum, and, unless `diagonal` is false,
    the diagonal of Z. Zeros in `before` (a layer that no task has changed) have no directions: `change` is returned.
    Only the entries of Z that become 0 are computed, so the singular vectors of the null spaces are not. Values in 16
    bits are projected in float32. Raises `UsageError` for tensors that are no matrices of one shape.
    """
    if before.ndim != 2 or before.shape != change.shape:
        raise UsageError(
            f"tensors of the shapes {list(before.shape)} and {list(change.shape)} cannot be projected; give two "
            "matrices of one shape."
        )
    if not bool(before.any()):
        return change
    if before.dtype != change.dtype or before.dtype.itemsize < 4:
        wide = torch.promote_types(torch.promote_types(before.dtype, change.dtype), torch.float32)
        return projected(before.to(wide), change.to(wide), share, diagonal=diagonal).to(change.dtype)
    u, s, vh = torch.linalg.svd(before, full_matrices=False)
    total = s.cumsum(0)
    r = int((total <= share * total[-1]).sum())
    removed = u.mT @ change @ vh.mT
    mask = torch.zeros_like(removed, dtype=torch.bool)
    mask[:r, :r] = True
    if diagonal:
        mask.diagonal().fill_(True)
    return change - u @ (removed * mask) @ vh


def linear_weights(model: nn.Module) -> dict[str, int]:
    """The weights of linear layers by name, and the number of matrices fused in each: the `matrices` of `opcm_step`.

    3 for query, key and value in one tensor (timm's qkv, the in_proj_weight of `nn.MultiheadAttention`), 2 for key and
    value (kv), 1 for other layers and for parts of unequal size.
    """
    found = {}
    for name, parameter in model.named_parameters():
        layer, kind = model.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]
        if isinstance(layer, nn.Linear) and kind == "weight":
            count = 3 if name.endswith("qkv.weight") else 2 if name.endswith("kv.weight") else 1
            found[name] = 1 if len(parameter) % count else count
        elif isinstance(layer, nn.MultiheadAttention) and kind == "in_proj_weight":
            found[name] = 3
    return found


def opcm_step(
    merged: Weights,
    vector: Weights,
    *,
    scale: float,
    length: float,
    matrices: Mapping[str, int],
    share: float = 0.5,
    diagonal: bool = True,
) -> tuple[dict[str, Tensor], float]:
    """The merged task vector after one more task, and the new scale lambda.

    `merged` is the vector so far and `scale` its lambda (1 after the first task); `length` is the mean norm of the task
    vectors so far, the new one included, and becomes the norm of the result. `matrices` names the weights of linear
    layers, and how many of them a fused weight holds (3 for qkv), each of which is projected alone (`linear_weights`);
    other tensors are added. One SVD per matrix. Raises `UsageError` if vectors of different networks, values that are
    not finite, or a sum of zero make the result undefined, and for `matrices` that the vectors do not have.
    """
    check_vectors([merged, vector])
    check_finite(merged)
    check_finite(vector)
    if not length > 0:
        raise UsageError(f"length={length}: give the mean norm of the task vectors, above 0.")
    _check_matrices(vector, matrices)
    found = {}
    for name, change in vector.items():
        before = merged[name]
        if name in matrices:
            pairs: Iterator[tuple[Tensor, Tensor]] = zip(
                before.chunk(matrices[name]), change.chunk(matrices[name]), strict=True
            )
            change = torch.cat([projected(old, new, share, diagonal=diagonal) for old, new in pairs])
        found[name] = scale * before + change
    check_moved(found, "the sum of the task vectors")
    new_scale = norm(found) / length
    for tensor in found.values():
        tensor.div_(new_scale)
    return found, new_scale


def _check_matrices(vector: Weights, matrices: Mapping[str, int]) -> None:
    for name, count in matrices.items():
        if name not in vector:
            raise UsageError(
                f"the task vectors have no tensor {name!r} to project; give the names from linear_weights(model)."
            )
        shape = list(vector[name].shape)
        if len(shape) != 2 or count < 1 or shape[0] % count:
            raise UsageError(f"tensor {name!r} has the shape {shape}, which is not that of {count} equal matrices.")
