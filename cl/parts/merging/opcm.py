"""OPCM: a new task vector is projected away from the leading directions of what was merged before."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from cl.parts.merging.vectors import Weights, check_alike


def projected(before: Tensor, change: Tensor, share: float = 0.5, *, diagonal: bool = True) -> Tensor:
    """`change` [out, in] without its part along the leading singular directions of `before` [out, in].

    Tang et al. 2025 (arXiv 2501.09522). With before = U S V^T and Z = U^T change V, the leading r x r block of Z
    becomes 0, where r is the number of singular values up to a `share` of their sum, and, unless `diagonal` is false,
    the diagonal of Z. Zeros in `before` (a layer that no task has changed) have no directions: `change` is returned.
    """
    if not bool(before.any()):
        return change
    u, s, vh = torch.linalg.svd(before, full_matrices=True)
    z = u.mT @ change @ vh.mT
    above = s.cumsum(0) / s.sum() > share
    r = int(above.float().argmax()) if bool(above.any()) else len(s)
    z[:r, :r] = 0
    if diagonal:
        z.diagonal().zero_()
    return u @ z @ vh


def opcm_step(
    merged: Weights,
    vector: Weights,
    *,
    scale: float,
    length: float,
    matrices: dict[str, int],
    share: float = 0.5,
    diagonal: bool = True,
) -> tuple[dict[str, Tensor], float]:
    """The merged task vector after one more task, and the new scale lambda.

    `merged` is the vector so far and `scale` its lambda (1 after the first task); `length` is the mean norm of the task
    vectors so far, the new one included, and becomes the norm of the result. `matrices` names the weights of linear
    layers, and how many of them a fused weight holds (3 for qkv), each of which is projected alone; other tensors are
    added. One SVD per matrix.
    """
    check_alike([merged, vector])
    found, total = {}, 0.0
    for name, change in vector.items():
        before = merged[name]
        if name in matrices:
            pairs: Iterator[tuple[Tensor, Tensor]] = zip(
                before.chunk(matrices[name]), change.chunk(matrices[name]), strict=True
            )
            change = torch.cat([projected(old, new, share, diagonal=diagonal) for old, new in pairs])
        found[name] = scale * before + change
        total += float(found[name].double().pow(2).sum())
    new_scale = total**0.5 / length
    return {name: tensor / new_scale for name, tensor in found.items()}, new_scale
