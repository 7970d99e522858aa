"""Encodings: features computed once per (extractor, image) and shared by strategies, seeds and runs.

Features are computed in fixed blocks of images of one class, so the bits of a feature do not depend on which run,
class order or batch size asked for it first.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from cl.backbone.transform import Transform
from cl.data.store import ImageStore
from cl.errors import DataError, StorageError
from cl.records.flops import COUNTED_BY
from cl.training import state
from cl.training.cost import Cost, count_flops

if TYPE_CHECKING:
    from cl.stream import Stream

log = logging.getLogger("clbench")

BLOCK = 64
"""Images per block; on an accelerator several blocks share a forward pass."""


MEMORY = 4 * 2**30
"""Bytes of features of changed backbones kept for the rest of a run, when another table begins; the oldest go first."""


class Extractor(Protocol):
    """A deterministic function of images with an identity, such as a frozen backbone.

    One that says `lasting = True` will not change any more in its run (an adapter of an earlier task): its features are
    kept. Of others that are not pristine, only the last few are.
    """

    transform: Transform
    dim: int

    @property
    def key(self) -> str: ...

    @property
    def is_pristine(self) -> bool: ...

    def __call__(self, images: Tensor) -> Tensor: ...


class _Table:
    """Features of one store under one extractor: values, which blocks are done, and what an image costs.

    Blocks hold one class; where `used` rows are given, they and the other rows of a class stand in blocks apart.
    """

    def __init__(self, store: ImageStore, dim: int, kept: str = "recent", used: np.ndarray | None = None) -> None:
        self.kept = kept  # pristine, lasting or recent
        owner = 2 * np.cumsum(np.r_[False, store.labels[1:] != store.labels[:-1]])
        if used is not None:
            owner += ~np.isin(np.arange(len(owner)), used)
        order = np.argsort(owner, kind="stable")
        sizes = np.bincount(owner)
        first = np.r_[0, np.cumsum(-(-sizes // BLOCK))]
        within = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        self.block_of = np.empty(len(owner), np.int64)
        self.block_of[order] = np.repeat(first[:-1], sizes) + within // BLOCK
        self.done = np.zeros(first[-1], dtype=bool)
        self.unsaved: list[int] = []
        # Zeros of numpy take no memory until they are written; those of torch do, for every image never asked for.
        self.values = torch.from_numpy(np.zeros((len(store.labels), dim), np.float32))
        self.flops_per_image: float | None = None  # not counted yet

    @property
    def flops(self) -> float:
        return self.flops_per_image or 0.0

    @property
    def nbytes(self) -> int:
        """Memory that its features take: rows of blocks that were not computed take none."""
        return int(self.done[self.block_of].sum()) * self.values.shape[1] * self.values.element_size()

    def rows_of(self, blocks: np.ndarray) -> np.ndarray:
        return np.flatnonzero(np.isin(self.block_of, blocks))


class Encodings:
    """Memoised features, in memory while in use and on disk for other runs.

    `folder` None keeps nothing on disk. Features of backbones that changed since loading live in memory only: of
    extractors that last up to `memory` bytes, of others those of the last `recent`. `cost` receives the FLOPs done, and
    those that an uncached run would have done.
    """

    def __init__(
        self, folder: Path | None = None, *, recent: int = 2, memory: int = MEMORY, exact: bool = False
    ) -> None:
        self.folder, self.recent, self.memory, self.exact = folder, recent, memory, exact
        self.cost = Cost()
        self._tables: dict[tuple[str, str], _Table] = {}
        self._used: dict[str, np.ndarray] = {}

    def expect(self, stream: Stream) -> None:
        """Learn which images a run will ask for, so that features no other run shares are computed of them alone."""
        for store in (stream.dataset.train, stream.dataset.test):
            splits = [
                group.rows[split] for group in stream.groups for split in group.rows if stream.store(split) is store
            ]
            learned = [rows for e in stream.experiences for rows in (e.train, e.val) if store is stream.dataset.train]
            self._used[store.fingerprint] = np.unique(np.concatenate([*splits, *learned, np.empty(0, np.int64)]))

    def get(
        self, extractor: Extractor, store: ImageStore, rows: np.ndarray, device: torch.device, *, charge: bool = True
    ) -> Tensor:
        """Features [len(rows), dim] float32 of `rows` of a store, on `device`.

        An uncached run is charged for them, unless `charge` is false: then whoever uses them charges every use.
        """
        table = self._table(extractor, store, device)
        missing = np.unique(table.block_of[rows])
        missing = missing[~table.done[missing]]
        executed = 0.0
        if len(rows) and (len(missing) or table.flops_per_image is None):
            with self.cost.timed("encode"):
                executed = self._count(extractor, store, table, device)
                executed += self._compute(extractor, store, table, missing, device)
        self.cost.add_flops(executed, len(rows) * table.flops if charge else 0.0)
        return table.values[torch.as_tensor(rows)].to(device)

    def flops_per_image(self, extractor: Extractor, store: ImageStore, device: torch.device) -> float:
        """What encoding one image costs; known once one was encoded."""
        return self._table(extractor, store, device).flops

    @torch.no_grad()
    def _count(self, extractor: Extractor, store: ImageStore, table: _Table, device: torch.device) -> float:
        """Count the FLOPs of an image, once; what that took itself.

        It is done on one image aside, so that counting cannot touch the features.
        """
        if table.flops_per_image is not None:
            return 0.0
        one = extractor.transform(pixels_of(store, np.arange(1)).to(device))
        table.flops_per_image = count_flops(lambda: extractor(one))[1]
        return table.flops_per_image

    @torch.no_grad()
    def _compute(
        self, extractor: Extractor, store: ImageStore, table: _Table, blocks: np.ndarray, device: torch.device
    ) -> float:
        executed = 0.0
        per_pass = 1 if device.type == "cpu" else 8
        for start in range(0, len(blocks), per_pass):
            part = blocks[start : start + per_pass]
            rows = table.rows_of(part)
            features = extractor(extractor.transform(pixels_of(store, rows).to(device)))
            table.values[torch.as_tensor(rows)] = features.float().cpu()
            table.done[part] = True
            executed += len(rows) * table.flops
        if extractor.is_pristine:
            table.unsaved.extend(int(block) for block in blocks)
        return executed

    def _table(self, extractor: Extractor, store: ImageStore, device: torch.device) -> _Table:
        key = (f"{extractor.key}:{device.type}", store.fingerprint)  # kinds of device round differently
        if key not in self._tables:
            kept = "recent"
            if extractor.is_pristine or getattr(extractor, "lasting", False):
                kept = "pristine" if extractor.is_pristine else "lasting"
            used = None if kept == "pristine" else self._used.get(store.fingerprint)
            table = _Table(store, extractor.dim, kept, used)
            self._make_room(table)
            self._tables[key] = table
            if extractor.is_pristine:
                self._read(key, table)
        return self._tables[key]

    def _make_room(self, new: _Table) -> None:
        """Forget the oldest tables of the new one's kind that would be too many, or that leave it no room."""
        alike = [key for key, table in self._tables.items() if table.kept == new.kept]
        if new.kept == "pristine":
            return
        while alike:
            size = sum(self._tables[key].nbytes for key in alike)
            if len(alike) < self.recent if new.kept == "recent" else size < self.memory:
                return
            del self._tables[alike.pop(0)]

    # -------------------------------------------------------------------------------------------------------- disk

    def flush(self) -> None:
        """Share new features of unchanged backbones with other runs; a full disk costs only the sharing."""
        for key, table in self._tables.items():
            if self.folder is None or not table.unsaved:
                continue
            blocks = np.unique(table.unsaved)
            rows = table.rows_of(blocks)
            value = {
                "blocks": torch.as_tensor(blocks),
                "values": table.values[torch.as_tensor(rows)],
                "flops_per_image": table.flops_per_image,
                "flops_counted_by": COUNTED_BY,
            }
            path = self._place(key) / f"{time.time_ns()}-{os.getpid()}.safetensors"
            try:
                state.save(path, value)
            except StorageError as error:
                log.warning("features are not shared with other runs: %s", error)
                self.folder = None
                return
            table.unsaved = []

    def _read(self, key: tuple[str, str], table: _Table) -> None:
        for path in sorted(self._files(key)):
            try:
                value = state.load(path)
                blocks = value["blocks"].numpy()
                table.values[torch.as_tensor(table.rows_of(blocks))] = value["values"]
            except (DataError, IndexError, RuntimeError) as error:
                log.warning("ignoring damaged features in %s: %s", path, error)
                continue
            table.done[blocks] = True
            if value.get("flops_counted_by") == COUNTED_BY:  # else it is counted anew
                table.flops_per_image = value["flops_per_image"]

    def _files(self, key: tuple[str, str]) -> Iterable[Path]:
        return self._place(key).glob("*.safetensors") if self.folder is not None else []

    def _place(self, key: tuple[str, str]) -> Path:
        assert self.folder is not None
        return self.folder / hashlib.sha256("\n".join(key).encode()).hexdigest()[:24]


def pixels_of(store: ImageStore, rows: np.ndarray) -> Tensor:
    """uint8 [B, C, H, W] of some rows."""
    return torch.from_numpy(np.ascontiguousarray(store.pixels[rows])).permute(0, 3, 1, 2).contiguous()
