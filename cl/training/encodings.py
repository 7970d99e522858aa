"""Encodings: features computed once per (extractor, image) and shared by strategies, seeds and runs.

Features of a frozen extractor are computed in fixed blocks of images of one class, so their bits do not depend on the
run, class order or batch size that needed them first. Features of an extractor that changes are used by its own run
only: its blocks hold images that the run uses together, such as the test images of a task.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from cl.backbone.transform import Transform
from cl.data.store import ImageStore
from cl.errors import DataError, StorageError
from cl.files import make_folder
from cl.leases import LEASES, Held, acquire
from cl.records.flops import COUNTED_BY
from cl.training import state
from cl.training.cost import Cost, count_flops
from cl.training.shared_tables import SharedTables

if TYPE_CHECKING:
    from cl.stream import Stream

log = logging.getLogger("clbench")

BLOCK = 64
"""Images per block; on an accelerator, a forward pass takes several blocks."""

FIRST = 16
"""Images per block for the first `BLOCK` images of a class, of which a limited run may need a few only."""

SHARED = 16
"""Blocks per lease: of several processes that need the same blocks, one computes them while the others wait."""

MEMORY = 4 * 2**30
"""Upper bound, in bytes, of kept features of changed extractors when a new table is made; the oldest are evicted."""


class Extractor(Protocol):
    """A deterministic function of images with an identity, such as a frozen backbone.

    `lasting`: the extractor no longer changes in its run (an adapter of an earlier task), so its features are kept. Of
    other changed extractors only the most recent are.
    """

    transform: Transform
    dim: int

    @property
    def key(self) -> str: ...

    @property
    def is_pristine(self) -> bool: ...

    def __call__(self, images: Tensor) -> Tensor: ...


class Table:
    """Features of one store by one extractor: values, finished blocks, and FLOPs per image.

    A block holds images of one class, or of one unit if `units` gives the unit of each row.
    """

    def __init__(self, store: ImageStore, dim: int, kept: str = "recent", units: np.ndarray | None = None) -> None:
        self.kept = kept  # pristine, lasting or recent
        owner = np.cumsum(np.r_[False, store.labels[1:] != store.labels[:-1]]) if units is None else units
        self._order = np.argsort(owner, kind="stable")
        owner = owner[self._order]
        first = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
        within = np.arange(len(owner)) - np.repeat(first, np.diff(np.r_[first, len(owner)]))
        # Of a class, a limited run uses the first images only: its first blocks are smaller
        size = np.where(within < BLOCK, BLOCK if units is not None else FIRST, BLOCK)
        self._starts = np.r_[np.flatnonzero(within % size == 0), len(owner)]
        self.block_of = np.empty(len(owner), np.int64)
        self.block_of[self._order] = np.repeat(np.arange(len(self._starts) - 1), np.diff(self._starts))
        self.done = np.zeros(len(self._starts) - 1, dtype=bool)
        self.unsaved: list[int] = []
        self.files: set[str] = set()  # names of the files that were read
        # NumPy's zeros take no memory until they are written; torch's would, even for images that are never used.
        self.values = torch.from_numpy(np.zeros((len(store.labels), dim), np.float32))
        self.flops_per_image: float | None = None  # not counted yet

    @property
    def flops(self) -> float:
        return self.flops_per_image or 0.0

    @property
    def nbytes(self) -> int:
        """Memory used by features; rows of blocks that were not computed use none."""
        return int(self.done[self.block_of].sum()) * self.values.shape[1] * self.values.element_size()

    def rows_of(self, blocks: np.ndarray) -> np.ndarray:
        """The rows in some blocks, block after block."""
        parts = [self._order[self._starts[block] : self._starts[block + 1]] for block in blocks]
        return np.concatenate([np.empty(0, np.int64), *parts])


class Encodings:
    """Memoised features, in memory while in use and on disk for other runs.

    With `folder` None nothing is kept on disk. Features of extractors that changed since loading are kept in memory
    only: up to `memory` bytes for lasting extractors, and the tables of the `recent` latest other extractors. `shared`
    holds tables of pristine extractors for later runs of this process. `cost` receives the executed FLOPs and the
    FLOPs of an uncached run; features that an earlier run computed count alike from memory and from disk.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        recent: int = 2,
        memory: int = MEMORY,
        exact: bool = False,
        shared: SharedTables | None = None,
    ) -> None:
        self.folder, self.recent, self.memory, self.exact = folder, recent, memory, exact
        self.shared = shared if shared is not None else SharedTables(0)
        self.cost = Cost()
        self._tables: dict[tuple[str, str], Table] = {}
        self._units: dict[str, np.ndarray] = {}
        self._flops: dict[tuple[Hashable, torch.Size], float] = {}  # per image, by layout of the extractor

    def expect(self, stream: Stream) -> None:
        """Tell which images a run will use, and which together: blocks of extractors that change hold only these."""
        for store in (stream.dataset.train, stream.dataset.test):
            units = [
                group.rows[split] for group in stream.groups for split in group.rows if stream.store(split) is store
            ]
            units += [rows for e in stream.experiences for rows in (e.train, e.val) if store is stream.dataset.train]
            self._units[store.fingerprint] = _unit_of(store, units)

    def expect_rows(self, store: ImageStore, rows: np.ndarray) -> None:
        """Tell that the images at `rows` of a store will be used together, unless the stream has this store too."""
        self._units.setdefault(store.fingerprint, _unit_of(store, [rows]))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Within a `with` block, features cost the run nothing and evict no others; those of networks that change are
        dropped at the end."""
        cost, recent, before = self.cost, self.recent, set(self._tables)
        self.cost, self.recent = Cost(), recent + 2  # the training and test images of a data set
        try:
            yield
        finally:
            self.cost, self.recent = cost, recent
            for key in [key for key, table in self._tables.items() if key not in before and table.kept == "recent"]:
                del self._tables[key]

    def get(
        self,
        extractor: Extractor,
        store: ImageStore,
        rows: np.ndarray,
        device: torch.device,
        *,
        charge: bool = True,
        ahead: np.ndarray | None = None,
    ) -> Tensor:
        """Features [len(rows), dim] float32 of `rows` of a store, on `device`.

        They count in the FLOPs of an uncached run, unless `charge` is false: then the caller charges every use. `ahead`
        are rows of later calls. Features that are shared on disk are computed for all of them at once, because leases
        and files for each small call cost more than the features.
        """
        table = self._table(extractor, store, device)
        shares = extractor.is_pristine and self.folder is not None
        missing = np.unique(table.block_of[rows if ahead is None or not shares else ahead])
        missing = missing[~table.done[missing]]
        executed = 0.0
        if len(rows) and (len(missing) or table.flops_per_image is None):
            with self.cost.timed("encode"), self.cost.uncounted():
                executed = self._count(extractor, store, table, device)
                if shares:
                    executed += self._compute_shared(extractor, store, table, missing, device)
                else:
                    executed += self._compute(extractor, store, table, missing, device)
        with self.cost.uncounted():  # a count in progress did not see them
            self.cost.add_flops(executed, len(rows) * table.flops if charge else 0.0)
        return table.values[torch.as_tensor(rows)].to(device)

    def flops_per_image(self, extractor: Extractor, store: ImageStore, device: torch.device) -> float:
        """FLOPs to encode one image; known once an image has been encoded."""
        return self._table(extractor, store, device).flops

    @torch.no_grad()
    def _count(self, extractor: Extractor, store: ImageStore, table: Table, device: torch.device) -> float:
        """Count the FLOPs per image, once; return the FLOPs executed to do so.

        A separate pass over one image is counted, so that counting cannot affect the features.
        """
        if table.flops_per_image is not None:
            return 0.0
        one = extractor.transform(pixels_of(store, np.arange(1)).to(device))
        layout = getattr(extractor, "layout", None)
        known = self._flops.get((layout, one.shape)) if layout is not None else None
        if known is not None:
            table.flops_per_image = known
            return 0.0
        table.flops_per_image = count_flops(lambda: extractor(one))[1]
        if layout is not None:
            self._flops[layout, one.shape] = table.flops_per_image
        return table.flops_per_image

    @torch.no_grad()
    def _compute(
        self, extractor: Extractor, store: ImageStore, table: Table, blocks: np.ndarray, device: torch.device
    ) -> float:
        executed = 0.0
        per_pass = 1 if device.type == "cpu" else 8
        for start in range(0, len(blocks), per_pass):
            part = blocks[start : start + per_pass]
            rows = table.rows_of(part)
            features = extractor(extractor.transform(pixels_of(store, rows).to(device)))
            table.values[torch.as_tensor(rows)] = features.float().cpu()
            table.done[part] = True
            if table.kept == "pristine":  # at once: after Ctrl-C a later run of the process saves them
                table.unsaved.extend(part.tolist())
            executed += len(rows) * table.flops
        return executed

    def _compute_shared(
        self, extractor: Extractor, store: ImageStore, table: Table, blocks: np.ndarray, device: torch.device
    ) -> float:
        """Compute blocks that no other process computes, and read the others once they are done."""
        key = self._key(extractor, store, device)
        executed = 0.0
        waiting = np.unique(blocks // SHARED).tolist()
        for wait in (False, True):
            for group in list(waiting):
                with self._claimed(key, group, wait=wait) as ours:
                    if not ours:
                        continue
                    self._read(key, table)
                    part = blocks[(blocks // SHARED == group) & ~table.done[blocks]]
                    executed += self._compute(extractor, store, table, part, device)
                    self._save(key, table)
                waiting.remove(group)
        return executed

    @contextmanager
    def _claimed(self, key: tuple[str, str], group: int, *, wait: bool) -> Iterator[bool]:
        """Whether this process holds the lease of a group of blocks; where none can be written every process does."""
        if self.folder is None:
            yield True
            return
        held = None
        leases = self._place(key) / LEASES
        try:
            make_folder(leases)
            held = acquire(leases / str(group), wait=wait)
        except Held:
            yield False
            return
        except (OSError, StorageError) as error:
            log.info("features are computed without a lease: %s", error)
        try:
            yield True
        finally:
            if held is not None:
                held.release()

    def _table(self, extractor: Extractor, store: ImageStore, device: torch.device) -> Table:
        key = self._key(extractor, store, device)
        if key not in self._tables:
            if extractor.is_pristine:
                self._tables[key] = self._pristine_table(extractor, store, key)
            else:
                kept = "lasting" if getattr(extractor, "lasting", False) else "recent"
                table = Table(store, extractor.dim, kept, self._units.get(store.fingerprint))
                self._make_room(table)
                self._tables[key] = table
        return self._tables[key]

    def _pristine_table(self, extractor: Extractor, store: ImageStore, key: tuple[str, str]) -> Table:
        """The table of an earlier run of this process, else a new one with the features on disk."""
        place = str(self.folder), *key
        table: Table | None = self.shared.get(place)
        if table is None:
            table = Table(store, extractor.dim, "pristine")
            self._read(key, table)
            self.shared.put(place, table)
        return table

    def _key(self, extractor: Extractor, store: ImageStore, device: torch.device) -> tuple[str, str]:
        return f"{extractor.key}:{device.type}", store.fingerprint  # types of device round differently

    def _make_room(self, new: Table) -> None:
        """Evict the oldest tables of the same kind until the new one fits."""
        alike = [key for key, table in self._tables.items() if table.kept == new.kept]
        while alike:
            size = sum(self._tables[key].nbytes for key in alike)
            if len(alike) < self.recent if new.kept == "recent" else size < self.memory:
                return
            del self._tables[alike.pop(0)]

    # -------------------------------------------------------------------------------------------------------- disk

    def flush(self) -> None:
        """Write new features of pristine extractors for other runs; a full disk only logs a warning."""
        for key, table in self._tables.items():
            self._save(key, table)

    def _save(self, key: tuple[str, str], table: Table) -> None:
        if self.folder is None or not table.unsaved:
            return
        blocks = np.unique(table.unsaved)
        value = {
            "key": list(key),
            "blocks": torch.as_tensor(blocks),
            "rows": torch.as_tensor(table.rows_of(blocks)),
            "values": table.values[torch.as_tensor(table.rows_of(blocks))],
            "flops_per_image": table.flops_per_image,
            "flops_counted_by": COUNTED_BY,
        }
        path = self._place(key) / f"{time.time_ns()}-{os.getpid()}.safetensors"
        try:
            state.save(path, value, durable=False)
        except StorageError as error:
            log.warning("features are not shared with other runs: %s", error)
            self.folder = None
            return
        table.files.add(path.name)
        table.unsaved = []

    def _read(self, key: tuple[str, str], table: Table) -> None:
        """Read the files that are new since the last call; damaged ones are removed, and computed again."""
        for path in sorted(self._files(key)):
            if path.name in table.files:
                continue
            table.files.add(path.name)
            try:
                value = state.load(path)
                blocks = value["blocks"].numpy()
                if value.get("key", list(key)) != list(key):
                    raise ValueError("its features are of other images or another network")
                rows = torch.as_tensor(table.rows_of(blocks))
                if not torch.equal(value["rows"], rows):
                    raise ValueError("its images are divided into other blocks")
                if value["values"].shape != table.values[rows].shape:
                    raise ValueError(f"its features have the shape {list(value['values'].shape)}")
            except (DataError, LookupError, RuntimeError, ValueError, TypeError, AttributeError) as error:
                if path.exists():  # else another process has removed it
                    log.warning("%s is damaged; its features are computed again.", path)
                    log.info("%s", error)
                    with suppress(OSError):
                        path.unlink()
                continue
            table.values[rows] = value["values"]
            table.done[blocks] = True
            if value.get("flops_counted_by") == COUNTED_BY:  # else it is counted again
                table.flops_per_image = value["flops_per_image"]

    def _files(self, key: tuple[str, str]) -> Iterable[Path]:
        return self._place(key).glob("*.safetensors") if self.folder is not None else []

    def _place(self, key: tuple[str, str]) -> Path:
        assert self.folder is not None
        layout = f"blocks of {FIRST} and {BLOCK}"  # decides the last bits
        return self.folder / hashlib.sha256("\n".join([*key, layout]).encode()).hexdigest()[:24]


def pixels_of(store: ImageStore, rows: np.ndarray) -> Tensor:
    """Pixels of some rows, uint8 [B, C, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(store.pixels[rows])).permute(0, 3, 1, 2).contiguous()


def _unit_of(store: ImageStore, units: Sequence[np.ndarray]) -> np.ndarray:
    """The unit of every image of a store; those in no unit have a number of their own."""
    unit_of = np.full(len(store), len(units), np.int64)
    for number, rows in reversed(list(enumerate(units))):
        unit_of[rows] = number
    return unit_of
