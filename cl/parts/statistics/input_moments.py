"""Second moments of the inputs of layers, measured during passes of images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from cl.parts.attached.attach import overridden


class InputMoments:
    """Uncentred second moments x^T x / n, [d, d], of the inputs [..., d] of some layers over all tokens of all images.

    Products are formed on the device, in float32 also if the pass runs under bf16 autocast, and summed on the CPU in
    float64: a product rounded to bf16 has negative eigenvalues, larger than the energy of the least used directions.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._layers = list(layers)
        self._sums: list[Any] = [0.0] * len(self._layers)
        self._counts = [0] * len(self._layers)

    def measuring(self) -> AbstractContextManager[None]:
        """Within a `with` block, the inputs of the layers are added to the sums."""
        return overridden(
            (layer, "forward", functools.partial(self._note, number, layer.forward))
            for number, layer in enumerate(self._layers)
        )

    def _note(self, number: int, forward: Callable[..., Any], x: Tensor, *more: Any, **options: Any) -> Any:
        rows = x.detach().flatten(0, -2)
        rows = rows if rows.dtype == torch.float64 else rows.float()
        with torch.autocast(x.device.type, enabled=False):
            self._sums[number] = self._sums[number] + (rows.mT @ rows).cpu().double()
        self._counts[number] += len(rows)
        return forward(x, *more, **options)

    def values(self) -> list[Tensor]:
        """The moment of each layer, float64 on the CPU."""
        return [total / count for total, count in zip(self._sums, self._counts, strict=True)]
