"""Tensors that a file of a checkpoint folder does not write again, because an earlier event holds them.

Most of a state is often that of the event before: the networks of earlier tasks, masks, task vectors, memories. A file
names such tensors instead: each by the id of the file that holds it (its digest), its name there, and the hash of its
content. An event that others refer to outlives its place in the folder as `kept-ID.safetensors`. What a run writes then
grows with what it learns, not with the square of it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
import xxhash
from safetensors import SafetensorError, safe_open
from torch import Tensor

EVENT, BEFORE = "event.safetensors", "event-before.safetensors"

LEAST = 64 * 1024
"""Bytes of the smallest tensor that is not written again."""
SHARE = 0.5
"""Least share of a file that a new event must need. Below it the event writes what it needs, and the file can go: so
the folder holds at most twice what is needed, and a tensor is copied only after as many bytes were given up."""

DIGEST, LARGE = "xxh3_128", "large"
"""Keys of a file's metadata: the digest of the file, and its `Large` as JSON."""

Large = dict[str, list[str]]
"""Per large tensor of a state, by name: the hash of its content, then file and name there if another file holds it."""

_FAULTS = (SafetensorError, LookupError, TypeError, ValueError, OSError)


class Place(NamedTuple):
    """Where a tensor is: the id of a file, and its name there."""

    file: str
    name: str


def put(digest: xxhash.xxh3_128, name: str, tensor: Tensor) -> None:
    """Add the name, type, shape and bytes of a contiguous tensor on the CPU to a hash."""
    digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
    if tensor.numel():
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)


def hash_of(tensor: Tensor) -> str:
    """128-bit hash of the type, the shape and the bytes of a contiguous tensor on the CPU."""
    digest = xxhash.xxh3_128()
    put(digest, "", tensor)
    return digest.hexdigest()


def fetch(folder: Path, large: Large) -> dict[str, Tensor]:
    """The tensors that other files of `folder` hold, each with memory of its own.

    Raises `ValueError` or an error of reading if one is missing or is not what was written.
    """
    wanted: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    for name, (content, *place) in large.items():
        if place:
            wanted[place[0]][name] = (place[1], content)
    found, paths = {}, _files(folder) if wanted else {}
    for file, names in wanted.items():
        if file not in paths:
            raise ValueError(f"{_name(file)}, which holds some of its tensors, is missing")
        taken: set[str] = set()
        with safe_open(str(paths[file]), framework="pt") as opened:
            for name, (there, content) in names.items():
                tensor = opened.get_tensor(there)
                if hash_of(tensor) != content:
                    raise ValueError(f"{paths[file].name}, which holds some of its tensors, is not what was written")
                found[name] = tensor.clone() if there in taken else tensor  # a second read shares its memory
                taken.add(there)
    return found


class Kept:
    """The large tensors of the last event of a folder, which later files do not write again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._places: dict[str, Place] = {}  # by the hash of the content

    def follow(self, name: str) -> None:
        """Take the tensors of an event that was written or read just now."""
        self._places = _places(_header(self.folder / name))

    def refer(self, tensors: dict[str, Tensor], share: float = 0.0) -> Large:
        """Remove the tensors that an earlier file holds from `tensors`, which are to be written.

        A file stays in use only if it holds at least `share` of its bytes for this state.
        """
        hashes = {name: hash_of(tensor) for name, tensor in tensors.items() if _nbytes(tensor) >= LEAST}
        needed: dict[Place, int] = {
            self._places[content]: _nbytes(tensors[name]) for name, content in hashes.items() if content in self._places
        }
        sizes: dict[str, int] = defaultdict(int)
        for place, size in needed.items():
            sizes[place.file] += size
        paths = _files(self.folder) if sizes else {}
        good = {file for file, size in sizes.items() if file in paths and size >= share * paths[file].stat().st_size}
        found: Large = {}
        for name, content in hashes.items():
            where = self._places.get(content)
            found[name] = [content]
            if where is not None and where.file in good:
                found[name] += where
                del tensors[name]
        return found

    def set_aside(self) -> None:
        """Give the event before a lasting name if the event needs it, so that the event can take its place."""
        before, needed = "", set[str]()
        with contextlib.suppress(*_FAULTS):  # a file that is missing or damaged needs nothing, and nobody can need it
            before, needed = _header(self.folder / BEFORE)[DIGEST], _needed(_header(self.folder / EVENT))
        if before in needed:
            os.replace(self.folder / BEFORE, self.folder / _name(before))

    def tidy(self) -> None:
        """Delete the files that neither the event nor the event before needs; after a commit."""
        kept = list(self.folder.glob("kept-*.safetensors"))
        needed: set[str] = set()
        for name in (EVENT, BEFORE) if kept else ():
            try:
                needed |= _needed(_header(self.folder / name))
            except FileNotFoundError:
                continue
            except _FAULTS:
                return  # what a damaged file needs is not known; the next commit tidies
        for path in kept:
            if path.name not in map(_name, needed):
                path.unlink(missing_ok=True)


def _nbytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _name(file: str) -> str:
    return f"kept-{file}.safetensors"


def _header(path: Path) -> dict[str, str]:
    """The metadata of a file, without reading its tensors."""
    with safe_open(str(path), framework="pt") as file:
        return dict(file.metadata() or {})


def _places(header: Mapping[str, str]) -> dict[str, Place]:
    """Where the large tensors of a file are, by the hash of their content; none in a file of an earlier version."""
    large: Large = json.loads(header.get(LARGE, "{}"))
    own = header.get(DIGEST, "")
    return {content: Place(*place) if place else Place(own, name) for name, (content, *place) in large.items()}


def _needed(header: Mapping[str, str]) -> set[str]:
    """The files that a file refers to."""
    large: Large = json.loads(header.get(LARGE, "{}"))
    return {place[0] for _, *place in large.values() if place}


def _files(folder: Path) -> dict[str, Path]:
    """The files of a folder that may hold tensors of others, by id."""
    found = {}
    for name in (EVENT, BEFORE):
        with contextlib.suppress(*_FAULTS):  # missing or damaged
            found[_header(folder / name)[DIGEST]] = folder / name
    return found | {path.stem.partition("-")[2]: path for path in folder.glob("kept-*.safetensors")}
