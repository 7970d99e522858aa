"""Weights of a backbone: where they are, in which forms files hold them, and loading them into the network.

A file is read without running code in it. The names of its tensors depend on the code that saved them; see `fitting`.
"""

from __future__ import annotations

import argparse
import os
import pickle
import pickletools
import tarfile
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cl.backbone import hub
from cl.backbone.library import timm
from cl.data.sources import find_file, is_offline
from cl.errors import DataError

Build = Callable[..., nn.Module]
Tensors = dict[str, Tensor]

WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model", "model_state_dict", "teacher", "network", "net")
"""Keys under which checkpoints hold the weights, the preferred one first."""

HEADS = (
    "fc", "head", "heads", "classifier", "head_dist", "classif", "linear", "last_linear", "logits", "mlp_head",
    "projector", "projection", "projection_head", "proj_head", "predictor", "prototypes", "last_layer",
)  # fmt: skip
"""First components of the names of classifiers and projection heads, which features do not need."""

_COPIES = ("momentum", "encoder_k", "target", "student", "ema")  # in the names of a second encoder
_MISFITS = (KeyError, ValueError, RuntimeError, AttributeError, TypeError)  # of timm's converters and of PyTorch
_UNREADABLE = (SafetensorError, pickle.UnpicklingError, EOFError, KeyError, ValueError, RuntimeError, OSError)
_SHOWN = 200  # characters of a library's message


def find_weights(arch: str, source: str) -> Path | None:
    """The local file of the weights, or None if the hub must be used; raises `DataError` for a missing file."""
    if hub.is_hub(arch):
        return hub.weights(arch)
    if source:
        return find_file(source, kind="weights")
    config = timm().get_pretrained_cfg(arch)
    if config is not None and config.file:
        return Path(config.file)
    full = f"{arch.partition('.')[0]}.{config.tag}" if config is not None and config.tag else arch
    try:
        return find_file(f"{full}.safetensors", kind="weights")
    except DataError:
        return None


def build_pretrained(name: str, arch: str, path: Path | None, build: Build) -> nn.Module:
    """Build the model of backbone `name` with the weights of a file, or of the hub if `path` is None.

    Raises `DataError` for weights that are missing, cannot be read or do not fit.
    """
    arch = hub.read(name).architecture if hub.is_hub(name) else arch
    if path is not None and not path.is_file():
        raise DataError(f"the weights file {path} is missing; reinstall clbench.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # timm warns when it converts weights
        return _from_hub(name, arch, build) if path is None else _from_file(name, arch, path, build)


def _from_hub(name: str, arch: str, build: Build) -> nn.Module:
    if is_offline():
        os.environ["HF_HUB_OFFLINE"] = "1"
    if timm().is_model(arch.partition(".")[0]) and is_offline():
        config = timm().get_pretrained_cfg(arch)
        where = (config.hf_hub_id or config.url) if config is not None else None
        raise DataError(
            f"the weights of backbone {name!r} are not here and CLBENCH_OFFLINE is set; unset it to download them"
            f"{f' from {where}' if where else ''}, put {arch}.safetensors in a folder of CLBENCH_DATA_PATH, "
            "or use arch@file."
        )
    try:
        return build(pretrained=True)
    except (SafetensorError, KeyError, ValueError, RuntimeError, OSError) as error:
        raise DataError(
            f"cannot load the weights of backbone {name!r} from the hub ({_first_line(error)}); check the name and the "
            "network, put the weights in a folder of CLBENCH_DATA_PATH, or use arch@file or arch@random."
        ) from error


# ------------------------------------------------------------------------------------------------------- local files


def _from_file(name: str, arch: str, path: Path, build: Build) -> nn.Module:
    known = timm().is_model(arch.partition(".")[0])
    if is_arrays(path):
        return _from_arrays(name, arch, path, build)
    content = read_checkpoint(path)
    config = timm().get_pretrained_cfg(arch) if known else None
    named = (config.classifier or ()) if config is not None else ()

    def loaded(tensors: Tensors) -> nn.Module:
        if not tensors:  # timm would then take other weights, from the hub
            raise ValueError("it holds no tensors")
        if not known:  # timm cannot load weights into it
            model = build(pretrained=False)
            model.load_state_dict(tensors)
            return model
        model = build(pretrained=True, pretrained_cfg_overlay={"state_dict": dict(tensors), "num_classes": 0})
        getattr(model, "pretrained_cfg", {}).pop("state_dict", None)  # otherwise it keeps the tensors in memory
        return model

    tensors = _as_timm_reads(content, (named,) if isinstance(named, str) else tuple(named))
    try:
        return loaded(tensors)
    except _MISFITS:
        own = cast(Tensors, build(pretrained=False).state_dict())
        tensors = fitting(content, own)
    try:
        return loaded(tensors)
    except _MISFITS as error:
        raise DataError(
            f"cannot load the weights of backbone {name!r} from {path}: {_misfit(tensors, own) or _first_line(error)}; "
            "give the architecture that these weights belong to, or a file of its weights."
        ) from error


def _as_timm_reads(content: Mapping[Any, Any], heads: tuple[str, ...]) -> Tensors:
    """The tensors under timm's names for wrappers and without the classifier, which timm's converters expect."""
    key = next((key for key in WRAPPERS[:4] if isinstance(content.get(key), Mapping)), None)
    tensors = timm().models.clean_state_dict(_tensors(content if key is None else content[key]))
    return {k: v for k, v in tensors.items() if k.rpartition(".")[0] not in heads}


def fitting(content: Mapping[Any, Any], own: Mapping[str, Tensor]) -> Tensors:
    """The tensors of a checkpoint that a network with the tensors `own` takes, under the network's names.

    Takes the wrapper (`WRAPPERS` first) and the prefix (`module.`, `model.`, `module.base_encoder.`, ...) under which
    most names of the network are found. Tensors with another prefix are left out (a momentum encoder, a text tower, a
    loss), and so are classifiers and projection heads (`HEADS`).
    """
    candidates = list(_wrapped(content))
    best: tuple[int, Tensors, str] = (0, max(candidates, key=len, default={}), "")
    for tensors in candidates:
        counts = Counter(prefix for each in tensors for prefix in _prefixes(each, own))
        for prefix in sorted(counts, key=lambda each: any(copy in each for copy in _COPIES)):
            if counts[prefix] > best[0]:
                best = counts[prefix], tensors, prefix
    _, tensors, prefix = best
    named = {each.removeprefix(prefix): tensor for each, tensor in tensors.items() if each.startswith(prefix)}
    return {each: tensor for each, tensor in named.items() if each in own or each.partition(".")[0] not in HEADS}


def _prefixes(name: str, own: Mapping[str, Tensor]) -> Iterator[str]:
    """Prefixes without which a name is one of the network's."""
    parts = name.split(".")
    for start in range(len(parts)):
        if ".".join(parts[start:]) in own:
            yield "".join(f"{part}." for part in parts[:start])


def _wrapped(content: Mapping[Any, Any], depth: int = 3) -> Iterator[Tensors]:
    """Dictionaries with tensors in a checkpoint, those under `WRAPPERS` first."""
    tensors = _tensors(content)
    if tensors:
        yield tensors
    if depth:
        inner = {key: value for key, value in content.items() if isinstance(value, Mapping)}
        order = {key: place for place, key in enumerate(WRAPPERS)}
        for key in sorted(inner, key=lambda each: (order.get(each, len(order)), str(each) in _COPIES)):
            yield from _wrapped(inner[key], depth - 1)


def _tensors(content: Mapping[Any, Any]) -> Tensors:
    return {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}


def _misfit(tensors: Tensors, own: Tensors) -> str:
    """The first missing, unexpected and misshapen tensor; empty if all names and shapes fit."""
    if not tensors:
        return "it holds no tensors"
    missing = [each for each in own if each not in tensors]
    unexpected = [each for each in tensors if each not in own]
    other = [each for each in own if each in tensors and tensors[each].shape != own[each].shape]
    other.sort(key=lambda each: each == "pos_embed")  # last: it is resampled for another image size
    texts = [
        f"{len(names)} {'tensor is' if len(names) == 1 else 'tensors are'} {what} ({names[0]}"
        f"{' first' if len(names) > 1 else ''})"
        for names, what in ((missing, "missing"), (unexpected, "unexpected"))
        if names
    ]
    if other:
        first = other[0]
        here, there = tuple(tensors[first].shape), tuple(own[first].shape)
        texts.append(f"{first} has the shape {here} in the file and {there} in the network")
    return ", ".join(texts)


# ----------------------------------------------------------------------------------------------- reading without code


class Ignored:
    """A placeholder for any object in a checkpoint that is no tensor; it takes all data and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take any arguments."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Ignored:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Take any state."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Take any item."""

    def append(self, item: Any) -> None:
        """Take any item."""

    def extend(self, items: Any) -> None:
        """Take any items."""


def read_checkpoint(path: Path) -> Mapping[Any, Any]:
    """The content of a safetensors file or of a file of `torch.save`, without running code that it names.

    Objects other than tensors, numbers, texts and their lists and dictionaries become `Ignored`. Raises `DataError` for
    a file that is empty, damaged, no checkpoint, or a whole pickled network.
    """
    refuse_other_files(path)
    try:
        if _is_safetensors(path):
            return load_file(path)
        content = _unpickled(path)
    except _UNREADABLE as error:
        reason = "" if isinstance(error, pickle.UnpicklingError) else f" ({_first_line(error)})"  # it advises danger
        raise DataError(
            f"cannot read the weights file {path}{reason}; it is damaged, no file of weights, or needs code to run: "
            "get it again, or save the tensors with torch.save(model.state_dict(), FILE)."
        ) from error
    if not isinstance(content, Mapping):
        raise DataError(
            f"{path} holds no named tensors but an object of another kind, such as a whole pickled network, which "
            "would run code; save the tensors with torch.save(model.state_dict(), FILE)."
        )
    return content


def _unpickled(path: Path) -> Any:
    serialization = torch.serialization
    if tarfile.is_tarfile(path):
        raise pickle.UnpicklingError("a file of PyTorch 0.1, which releases from 2.6 refuse with `weights_only`, too")
    if not hasattr(serialization, "get_unsafe_globals_in_checkpoint"):
        return _unpickled_before_2_6(path)
    foreign = serialization.get_unsafe_globals_in_checkpoint(path) if zipfile.is_zipfile(path) else ()
    stand_ins: list[Any] = [(Ignored, each) for each in foreign] or [argparse.Namespace]
    with serialization.safe_globals(stand_ins):
        return torch.load(path, map_location="cpu", weights_only=True)


def _unpickled_before_2_6(path: Path) -> Any:
    """The same where PyTorch does not list the classes that a file names, and runs a TorchScript archive.

    It does so in spite of `weights_only` (CVE-2025-32434). What the archive holds is asked of PyTorch's own reader, as
    another one could be shown other content.
    """
    allowed: list[Any] = list(torch.serialization.get_safe_globals())
    stand_ins: list[Any] = [argparse.Namespace]
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            file.seek(0)
            reader: Any = torch._C.PyTorchFileReader(file)
            if reader.has_record("constants.pkl"):
                raise pickle.UnpicklingError("a TorchScript archive")
            named = set(_named_classes(reader.get_record("data.pkl")))
            named -= {(each.__module__, each.__name__) for each in allowed}
            stand_ins = [type(name, (Ignored,), {"__module__": module}) for module, name in named]
    torch.serialization.add_safe_globals([*stand_ins, *allowed])
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed)


def _named_classes(content: bytes) -> Iterator[tuple[str, str]]:
    """Module and name of what a pickle of protocol 2 imports, but for modules that later releases refuse, too."""
    for operation, argument, _ in pickletools.genops(content):
        if operation.name == "GLOBAL":
            module, _, name = cast(str, argument).partition(" ")
            module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
            if module not in ("sys", "os", "posix", "nt"):
                yield module, name


def refuse_other_files(path: Path) -> None:
    """Raise `DataError` for an empty file, a web page and a Git LFS pointer, which downloads leave behind."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise DataError(
            f"cannot read the weights file {path} ({_first_line(error)}); check its permissions."
        ) from error
    if not start:
        raise DataError(f"the weights file {path} is empty; download it again.")
    if start.startswith(b"version https://git-lfs"):
        raise DataError(f"{path} is a Git LFS pointer, not the weights; run `git lfs pull` in its repository.")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise DataError(f"{path} is a web page, not a file of weights; download the file that the page links to.")


def _is_safetensors(path: Path) -> bool:
    if path.suffix == ".safetensors":
        return True
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"  # after the length of the header, 8 bytes


# -------------------------------------------------------------------------------------------------- arrays of JAX code


def is_arrays(path: Path) -> bool:
    """Whether a file is an archive of NumPy arrays, as Google published Vision Transformers (`.npz`)."""
    if not zipfile.is_zipfile(path):
        return path.suffix == ".npz"
    with zipfile.ZipFile(path) as archive:
        return any(each.endswith(".npy") for each in archive.namelist())


def _from_arrays(name: str, arch: str, path: Path, build: Build) -> nn.Module:
    """Load arrays with timm's loader, which stores them under the names of Google's code."""
    refuse_other_files(path)
    plain: Any = build(pretrained=False)
    if not hasattr(plain, "load_pretrained"):
        raise DataError(
            f"{path} holds NumPy arrays, which timm cannot load into backbone {name!r}; use a file of torch.save or "
            "safetensors."
        )
    try:
        with np.load(path, allow_pickle=False) as arrays:
            depth = _blocks(arrays)
        if depth and depth != len(getattr(plain, "blocks", ())):
            raise ValueError(f"the file holds {depth} blocks, the network has {len(plain.blocks)}")
        return build(pretrained=True, pretrained_cfg_overlay={"file": str(path), "custom_load": True, "num_classes": 0})
    except (KeyError, ValueError, RuntimeError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"cannot load the arrays of {path} into backbone {name!r} ({_first_line(error)}); give the Vision "
            "Transformer that these arrays belong to."
        ) from error


def _blocks(arrays: Any) -> int:
    """Number of transformer blocks in an archive; timm itself reads as many as the network has."""
    stacked = [each for each in arrays.files if each.endswith("Transformer/encoderblock/LayerNorm_0/scale")]
    if stacked:
        return len(arrays[stacked[0]])
    found = {part for each in arrays.files for part in each.split("/") if part.startswith("encoderblock_")}
    return len(found)


def _first_line(error: BaseException) -> str:
    """The first line of a library's message, shortened."""
    return (str(error).splitlines() or [type(error).__name__])[0][:_SHOWN]
