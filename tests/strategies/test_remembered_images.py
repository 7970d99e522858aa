"""All methods with a memory of images: it is bounded and counted in bytes, and no image survives outside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cl import registry
from cl.options import options_of
from cl.parts.memory import Memory
from cl.strategies.er_ace import ErAce
from cl.strategy import Strategy, View
from cl.testing.reachable import reachable, reachable_bytes
from cl.testing.workbench import tiny_clip
from tests.conftest import make, tiny_stream
from tests.help.exemplars import BYTES, FAST, Learn

SIZE, TASKS = 9, 3
QUICK: dict[str, dict[str, Any]] = {
    "atlas": {"batch_size": 16, "epochs": 1},
    "foster": {**FAST, "epochs": 1, "boost_epochs": 1, "compress_epochs": 1},
    "bic": {**FAST, "bias_epochs": 2},
    "si": {**FAST, "loss": "global"},
    "zero-shot": {**FAST, "loss": "global", "trains": "all"},
    **{name: {**FAST, "loss": "global"} for name in ("ewc", "l2", "mas", "center-loss", "feat-kd", "pred-kd")},
}
"""Options of methods that do not take `FAST` alone."""

METHODS = [
    name
    for name in registry.strategies.names()
    if not name.startswith("avalanche/") and "memory_size" in options_of(registry.strategies.get(name).Options)
]


def made(name: str) -> Any:
    method = make(registry.strategies.get(name), **QUICK.get(name, FAST), memory_size=SIZE)
    if name == "zero-shot":
        method.backbone = tiny_clip()
    return method


def forms(views: list[Tensor], method: Strategy) -> Iterator[tuple[str, np.ndarray]]:
    """Images [N, size] as they may be kept: bytes of both layouts, and floating point."""
    pixels = torch.cat(views)
    for kind, each in (("C, h, w", pixels), ("h, w, C", pixels.permute(0, 2, 3, 1))):
        yield kind, each.flatten(1).numpy()
    plain = pixels.float()
    for kind, each in (("0 to 255", plain), ("0 to 1", plain / 255), ("normalised", method.backbone.transform(pixels))):
        yield kind, each.flatten(1).numpy()


def outside(method: Strategy, views: list[Tensor]) -> list[str]:
    """Where a method keeps images, its memory left out."""
    kept, found = list(forms(views, method)), []
    mine = [item.pixels.untyped_storage().data_ptr() for _, item in reachable(method) if isinstance(item, Memory)]
    for path, item in reachable(method):
        if isinstance(item, Tensor) and item.untyped_storage().data_ptr() in mine:
            continue
        if not isinstance(item, Tensor | np.ndarray):
            continue
        values = item.detach().cpu().float().numpy() if isinstance(item, Tensor) else item.astype(np.float32)
        for kind, images in kept:
            if not values.size or values.size % images.shape[1]:
                continue
            gap = np.abs(values.reshape(-1, 1, images.shape[1]) - images[None].astype(np.float32)).max(2)
            if gap.min() < 1e-3:
                found.append(f"{path} ({kind})")
    return found


@pytest.mark.parametrize("name", METHODS)
def test_no_image_survives_outside_the_memory(name: str, learn: Learn) -> None:
    method, views = made(name), list[Tensor]()

    def after(strategy: Any, view: View) -> None:
        views.append(view.train.pixels(range(len(view.train))))
        memories = [item for _, item in reachable(strategy) if isinstance(item, Memory)]
        held = sum(len(memory) for memory in memories)
        assert 0 < held <= SIZE, "the bound holds after every task"
        samples = strategy.stored()["samples"]
        width = next((memory.values.shape[1] for memory in memories if hasattr(memory, "values")), 0)
        assert samples == held * (BYTES + 4 * width), "pixels, labels and numbers beside them"
        owned = {id(tensor) for memory in memories for tensor in vars(memory).values() if isinstance(tensor, Tensor)}
        paths = {path for path, item in reachable(strategy) if id(item) in owned}
        really = sum(size for path, size in reachable_bytes(strategy).items() if path in paths)
        assert really == samples, "no view keeps the images of a task alive"
        assert not outside(strategy, views)

    learn(method, tiny_stream(), TASKS, after)


@pytest.mark.parametrize("kind", ["bytes", "array", "closure", "normalised"])
def test_an_image_kept_elsewhere_is_found(kind: str, learn: Learn) -> None:
    class Leaks(ErAce):
        def remember(self, view: View) -> None:
            super().remember(view)
            first = view.train.pixels(range(1))
            self._hoard = {
                "bytes": first, "array": first.numpy(), "closure": [lambda: first],
                "normalised": (self.backbone.transform(first),),
            }[kind]  # fmt: skip

    method, views = make(Leaks, **FAST, memory_size=SIZE), list[Tensor]()
    learn(method, tiny_stream(), 1, lambda s, view: views.append(view.train.pixels(range(len(view.train)))))
    found = outside(method, views)
    assert found and all(path.startswith("_hoard") for path in found)
