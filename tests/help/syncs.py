"""Finds the points of a training step at which the host would wait for an accelerator, on a CPU."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cl.training import fit

ROOT = __file__.partition("tests")[0]

WAITS = {
    "_local_scalar_dense": "reads a number",
    "nonzero": "has a size that depends on values",
    "masked_select": "has a size that depends on values",
    "_unique2": "has a size that depends on values",
    "unique_dim": "has a size that depends on values",
    "unique_consecutive": "has a size that depends on values",
    "repeat_interleave.Tensor": "has a size that depends on values",
    "lift_fresh": "copies Python numbers to the device",
}
"""Operators after which the host must wait if their tensors are on an accelerator. torch.bincount, too, but it runs in
no step."""

ALLOWED = {
    "cl/backbone/devices.py": "takes its CPU path here; on a CUDA device it copies without waiting, or once",
    "self._update()": "Adam counts its steps in numbers on the CPU",
    "self.optimizer.step()": "likewise",
    "tensor.grad[rows] = 0": "a fill by a kernel",
    "F.one_hot(": "checks its numbers on the CPU only",
    "_smallest(size.flatten().numpy(), k)": "a branch for CPUs",
}
"""Parts of the lines that may appear to wait on a CPU, and why they do not on an accelerator."""

NEEDED = {
    **dict.fromkeys(
        ("cl/parts/exemplars.py", "cl/stream.py", "rows.cpu()"),
        "the memory is on the CPU: the images that a step offers, and numbers kept of them, such as logits, go there",
    ),
    "cl/parts/heads/pairwise.py": "active units are counted; the pairs of all units of a wide layer cost far more",
}
"""Parts of the lines that do wait in each step, and what for."""

READS = ("tolist", "numpy", "cpu", "item", "__bool__", "__int__", "__float__", "__index__")
"""Methods of tensors that read values without an operator that a mode would see."""


def _place() -> str:
    """The line of this repository that is executing."""
    for frame in reversed(traceback.extract_stack()):
        name = frame.filename.removeprefix(ROOT)
        own = name != frame.filename and "site-packages" not in name  # an environment may be inside the checkout
        if own and not name.startswith("tests/help/syncs"):
            return f"{name}:{frame.lineno} {frame.line}"
    return "unknown"


class Waits(TorchDispatchMode):
    """Collects the lines that wait."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.steps = 0

    def note(self, what: str) -> None:
        place = _place()
        if not any(part in place for part in (*ALLOWED, *NEEDED)):
            self.found.add(f"{what}: {place}")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        overload = f"{name}.{func._overloadname}"
        masks = name in ("index", "index_put", "index_put_", "_unsafe_index") and any(
            each is not None and each.dtype in (torch.bool, torch.uint8) for each in args[1]
        )
        if name in WAITS or overload in WAITS or masks:
            self.note(overload)
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def watched_steps(monkeypatch: pytest.MonkeyPatch, steps: int = 2) -> Iterator[Waits]:
    """Watch the first `steps` steps of each fit as they would run on an accelerator; yields what was found so far."""
    watch = Waits()
    one_step = fit.Fit._one_step

    def quiet(self: fit.Fit, batch: Any, step: Any) -> None:
        self.reads_each_loss = False
        if step.epoch == 0 and 0 < step.step <= steps and step.step < step.steps - 1:
            watch.steps += 1
            with monkeypatch.context() as patch, watch:
                for name in READS:
                    patch.setattr(Tensor, name, _reading(watch, getattr(Tensor, name), name))
                one_step(self, batch, step)
        else:
            one_step(self, batch, step)

    with monkeypatch.context() as outer:
        outer.setattr(fit.Fit, "_one_step", quiet)
        yield watch


def _reading(watch: Waits, method: Any, name: str) -> Any:
    def read(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        watch.note(name)
        return method(self, *args, **kwargs)

    return read
