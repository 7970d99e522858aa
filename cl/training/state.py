"""State of a learner as nested tensors and JSON scalars, saved in one safetensors file (never pickle)."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from cl.errors import ContractError, DataError
from cl.files import replace_file
from cl.training import kept

State = Any
"""Nested dict / list of tensors and JSON scalars."""


@runtime_checkable
class Part(Protocol):
    """An object with its own state; a part grows to fit the state it loads."""

    def get_state(self) -> State: ...

    def set_state(self, state: State) -> None: ...


# ------------------------------------------------------------------------------------------------ objects <-> state


def collect(owner: object, skip: frozenset[str] = frozenset()) -> dict[str, State]:
    """The state of every public attribute of `owner`; raises `ContractError` for an attribute that cannot be saved."""
    return {
        name: get(value, f"{type(owner).__name__}.{name}")
        for name, value in vars(owner).items()
        if not name.startswith("_") and name not in skip
    }


def restore(owner: object, state: dict[str, State], device: torch.device | str = "cpu") -> None:
    """Restore a state: parts and modules load in place, other attributes are assigned."""
    for name, value in state.items():
        setattr(owner, name, _set(getattr(owner, name, None), value, device))


def get(value: Any, name: str = "a value") -> State:
    """The state of one value; raises `ContractError`, with `name`, if it cannot be saved."""
    if isinstance(value, Part):
        return value.get_state()
    if isinstance(value, nn.Module) and not isinstance(value, (nn.ModuleList, nn.ModuleDict)):
        return dict(value.state_dict())
    if isinstance(value, Tensor) or value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple, nn.ModuleList)):
        return [get(item, f"{name}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, (dict, nn.ModuleDict)):
        return {key: get(item, f"{name}[{key!r}]") for key, item in value.items()}
    raise ContractError(
        f"{name} is a {type(value).__name__}, which cannot be saved; hold tensors, numbers, modules or parts, "
        "or start the attribute's name with '_' if it can be rebuilt."
    )


def structure(value: Any) -> Any:
    """The shapes, names, flags and whole numbers of a state-holding value, hashable; samples of a memory are left out.

    A value may have its own `structure`. Equal structures mean the same operators on tensors of the same shapes.
    """
    if (own := getattr(value, "structure", None)) is not None:
        return own()
    if getattr(value, "stores", "") == "samples":
        return "samples", nbytes(get(value)) > 0
    if isinstance(value, float):  # a weight of zero switches a term off
        return value != 0
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype
    if isinstance(value, (list, tuple)):
        return tuple(structure(item) for item in value)
    if isinstance(value, dict):
        return tuple((key, structure(item)) for key, item in value.items())
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return type(value).__name__ if inspect.isroutine(value) else structure(get(value))


def digest(structure: Any) -> str:
    """A short name of a structure."""
    return hashlib.sha256(repr(structure).encode()).hexdigest()[:16]


def _set(current: Any, value: State, device: torch.device | str) -> Any:
    if value is None and isinstance(current, nn.Module):
        return None  # a module that was dropped after use
    if isinstance(current, nn.Parameter) and isinstance(value, Tensor) and current.shape == value.shape:
        with torch.no_grad():
            current.copy_(value)
        return current
    if isinstance(current, Part):
        current.set_state(value)
        return current
    if isinstance(current, nn.Module) and not isinstance(current, (nn.ModuleList, nn.ModuleDict)):
        current.load_state_dict(value)
        return current
    if isinstance(current, (list, nn.ModuleList)) and isinstance(value, list) and len(current) == len(value):
        items = [_set(old, new, device) for old, new in zip(current, value, strict=True)]
        return current if isinstance(current, nn.ModuleList) else items
    if isinstance(current, (dict, nn.ModuleDict)) and isinstance(value, dict) and set(current) == set(value):
        updated = {key: _set(current[key], item, device) for key, item in value.items()}
        return current if isinstance(current, nn.ModuleDict) else updated
    if isinstance(current, (nn.ModuleList, nn.ModuleDict)) and value is not None:
        raise ContractError(
            f"a {type(current).__name__} has {len(current)} modules, but {len(value)} were saved; add its modules in "
            "`setup`, or hold them in an object with `get_state` and `set_state` that grows to fit."
        )
    return _to_device(value, device)


def _to_device(value: State, device: torch.device | str) -> State:
    if isinstance(value, Tensor):
        stays = value.dtype == torch.float64 and torch.device(device).type == "mps"  # mps has no float64
        return value if stays else value.to(device)
    if isinstance(value, list):
        return [_to_device(item, device) for item in value]
    if isinstance(value, dict):
        return {key: _to_device(item, device) for key, item in value.items()}
    return value


def _inside(value: Any) -> Iterable[Any]:
    """The items of a container, or the attributes of a part that is not a module."""
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, Part):
        return [item for name, item in vars(value).items() if not name.startswith("_")]
    return ()


def parameters_of(value: Any) -> Iterator[nn.Parameter]:
    """Every parameter reachable from a state-holding value."""
    if isinstance(value, nn.Parameter):
        yield value
    elif isinstance(value, nn.Module):
        yield from value.parameters()
    else:
        for item in _inside(value):
            yield from parameters_of(item)


def modules_of(value: Any) -> Iterator[nn.Module]:
    """The outermost modules of a state-holding value."""
    if isinstance(value, nn.Module):
        yield value
    else:
        for item in _inside(value):
            yield from modules_of(item)


def clone(state: State) -> State:
    """A deep copy of the tensors of a state."""
    if isinstance(state, Tensor):
        return state.detach().clone()
    if isinstance(state, dict):
        return {key: clone(item) for key, item in state.items()}
    if isinstance(state, (list, tuple)):
        return [clone(item) for item in state]
    return state


def nbytes(state: State) -> int:
    """Bytes of all tensors of a state."""
    if isinstance(state, Tensor):
        return state.numel() * state.element_size()
    if isinstance(state, dict):
        return sum(nbytes(item) for item in state.values())
    if isinstance(state, (list, tuple)):
        return sum(nbytes(item) for item in state)
    return 0


# ------------------------------------------------------------------------------------------------- state <-> file


def save(
    path: Path, state: State, *, durable: bool = True, refer: Callable[[dict[str, Tensor]], kept.Large] | None = None
) -> None:
    """Write a state atomically, with a digest of its content; raises `StorageError` if it cannot be written.

    `durable` is as for `cl.files.replace_file`. `refer` removes the tensors that another file of the folder holds and
    says where they are (`cl.training.kept`); without it the file holds the whole state.
    """
    tensors: dict[str, Tensor] = {}
    skeleton = json.dumps(_flatten(state, tensors, set()), allow_nan=False)
    large = json.dumps(found) if refer is not None and (found := refer(tensors)) else ""
    metadata = {"skeleton": skeleton, **({kept.LARGE: large} if large else {})}
    metadata[kept.DIGEST] = _digest(skeleton + large, tensors)

    def write(temporary: Path) -> None:
        try:
            save_file(tensors, str(temporary), metadata=metadata)
        except SafetensorError as error:  # the library wraps the operating system's error
            raise _system_error(error) from error

    replace_file(path, write, durable=durable)


def load(path: Path, fix: str = "delete it and run the same command again") -> State:
    """Read a file of `save`; raises `DataError`, which names `fix`, if its content is not what was written.

    Tensors that it refers to are read from their files, which are next to it. Files of version 0.1.0 have no digest.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if not {"skeleton"} <= metadata.keys() <= {"skeleton", kept.DIGEST, kept.LARGE}:
            raise ValueError("its header is not one that clbench writes")
        large = metadata.get(kept.LARGE, "")
        if kept.DIGEST in metadata and metadata[kept.DIGEST] != _digest(metadata["skeleton"] + large, tensors):
            raise ValueError("its content is not what was written")
        tensors |= kept.fetch(path.parent, json.loads(large)) if large else {}
        return _unflatten(json.loads(metadata["skeleton"]), tensors)
    except (SafetensorError, LookupError, TypeError, ValueError, RuntimeError, OSError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{path} is damaged ({reason}); {fix}.") from error


def peek(path: Path) -> State:
    """The scalars of a saved state, with None for every tensor; reads the header only, without checking the digest.

    Raises `DataError` for a header that cannot be read.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata()
            names = [*file.keys(), *json.loads(metadata.get(kept.LARGE, "{}"))]
            return _unflatten(json.loads(metadata["skeleton"]), dict.fromkeys(names))
    except (SafetensorError, LookupError, TypeError, ValueError, OSError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it and run the same command again.") from error


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """128-bit hash of a text, and of names, types, shapes and bytes: detects damage, not forgery."""
    digest = xxhash.xxh3_128(text.encode())
    for name, tensor in sorted(tensors.items()):
        kept.put(digest, name, tensor)
    return digest.hexdigest()


def _system_error(error: SafetensorError) -> OSError:
    text = str(error)
    found = re.search(r"os error (\d+)", text)
    return OSError(int(found.group(1)) if found else 0, text)


def _flatten(value: State, tensors: dict[str, Tensor], storages: set[int]) -> Any:
    """The state with names in place of tensors, which are put into `tensors`; `storages` are those taken so far."""
    if isinstance(value, Tensor):
        name, plain = str(len(tensors)), value.detach().to("cpu").contiguous()
        if plain.untyped_storage().data_ptr() in storages:  # safetensors refuses shared storage
            plain = plain.clone()
        storages.add(plain.untyped_storage().data_ptr())
        tensors[name] = plain
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _flatten(item, tensors, storages)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"list": [_flatten(item, tensors, storages) for item in value]}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ContractError(f"a {type(value).__name__} cannot be kept in a checkpoint; return tensors and JSON scalars.")


def _unflatten(value: Any, tensors: Mapping[str, Any]) -> State:
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "list" in value:
        return [_unflatten(item, tensors) for item in value["list"]]
    if "float" in value:
        return float(value["float"])
    return {key: _unflatten(item, tensors) for key, item in value["dict"]}
