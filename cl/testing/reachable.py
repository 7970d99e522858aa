"""Tensors and arrays that are reachable from an object, and differences between two states."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cl.backbone import Backbone
from cl.strategy import Strategy
from cl.training.trainer import Trainer

_LEAVES = (str, bytes, int, float, complex, bool, type(None), type, types.ModuleType, torch.dtype, torch.device)


def reachable(root: object) -> Iterator[tuple[str, Any]]:
    """Every object that attributes, containers and closures of `root` lead to, with the path to it.

    The trainer and the pretrained backbone are left out: a strategy does not answer for their size.
    """
    seen: set[int] = set()
    stack: list[tuple[str, Any]] = [("", root)]
    while stack:
        path, item = stack.pop()
        if id(item) in seen or isinstance(item, (*_LEAVES, Trainer, Backbone)):
            continue
        seen.add(id(item))
        yield path or type(item).__name__, item
        stack += [(f"{path}.{name}" if path else name, value) for name, value in _inside(item)]


def _inside(item: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(item, (Tensor, np.ndarray)):
        return
    if isinstance(item, dict):
        yield from ((repr(key), value) for key, value in item.items())
    elif isinstance(item, (list, tuple, set, frozenset)):
        yield from ((str(index), value) for index, value in enumerate(item))
    elif isinstance(item, types.FunctionType):
        cells = zip(item.__code__.co_freevars, item.__closure__ or (), strict=True)
        yield from ((name, cell.cell_contents) for name, cell in cells if cell != types.CellType())
    elif isinstance(item, types.MethodType):
        yield "__self__", item.__self__
    elif isinstance(item, functools.partial):
        yield from (("func", item.func), ("args", item.args), ("keywords", item.keywords))
    else:
        yield from getattr(item, "__dict__", {}).items()
        for kind in type(item).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(item, name):
                    yield name, getattr(item, name)


def reachable_bytes(strategy: Strategy) -> dict[str, int]:
    """Bytes of every tensor and array a strategy holds, public or private, by path; shared memory counts once."""
    found: dict[str, int] = {}
    counted: set[int] = set()
    for path, item in reachable(strategy):
        if isinstance(item, Tensor):
            place, size = item.untyped_storage().data_ptr(), item.untyped_storage().nbytes()
        elif isinstance(item, np.ndarray):
            owner = item
            while isinstance(owner.base, np.ndarray):
                owner = owner.base
            place, size = owner.ctypes.data, owner.nbytes
        else:
            continue
        if size and place not in counted:
            counted.add(place)
            found[path] = size
    return found


def differences(one: Any, two: Any, path: str = "state") -> Iterator[str]:
    """Yield every place where two states differ in a bit, with values."""
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        if one.shape != two.shape or one.dtype != two.dtype:
            yield f"{path} is {_shape(one)} in one and {_shape(two)} in the other"
        elif not torch.equal(torch.nan_to_num(one), torch.nan_to_num(two)):
            gap = (one.double() - two.double()).abs().max().item()
            yield f"{path} differs by up to {gap:.3g}"
    elif isinstance(one, dict) and isinstance(two, dict):
        for key in [*one, *(key for key in two if key not in one)]:
            if key not in one or key not in two:
                yield f"{path}.{key} is in one only"
            else:
                yield from differences(one[key], two[key], f"{path}.{key}")
    elif isinstance(one, (list, tuple)) and isinstance(two, (list, tuple)):
        if len(one) != len(two):
            yield f"{path} has {len(one)} items in one and {len(two)} in the other"
        for index, (left, right) in enumerate(zip(one, two, strict=False)):
            yield from differences(left, right, f"{path}[{index}]")
    elif type(one) is not type(two) or (one != two and not (one != one and two != two)):
        yield f"{path} is {one!r} in one and {two!r} in the other"


def _shape(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
