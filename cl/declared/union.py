"""Several datasets as one: images of one size in RGB, which lie where their datasets have them decoded.

Only images of another size, or grey ones, are converted into memory-mapped arrays of their own, once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cl.data.decoded import Decode, decoded_in_order
from cl.data.images import resized
from cl.data.joined_pixels import joined_store
from cl.data.split import split_rows
from cl.data.store import Dataset, ImageStore, IndexArray, Progress, TagArray
from cl.declared.declaration import ONLY

UNION = 1
"""Version of the rule that resizes images (`cl.data.images.resized`) for the cache."""

TRAINED = ("train", "val")
"""Splits whose images are in the training store of a union; images of other splits are in its test store."""

Splits = Mapping[str, tuple[str, IndexArray]]
"""For each split: whether its images come from the "train", "val" or "test" images of a dataset, and their rows."""


@dataclass(frozen=True, eq=False)
class Part:
    """A dataset of a union; `labels[own label]` is its label in the union, -1 for a class that is left out."""

    dataset: Dataset
    labels: IndexArray
    splits: Splits


_Source = tuple[int, str]
"""A store of a union: the number of its dataset, and "train", "val" or "test"."""


@dataclass(frozen=True, eq=False)
class _Formed:
    """Images in the form of the union; `place`: the row here of each row of the dataset's store, None for the same."""

    store: ImageStore
    place: IndexArray | None = None

    def places(self, rows: IndexArray) -> IndexArray:
        """The rows here of rows of the dataset's own store."""
        return rows if self.place is None else self.place[rows]


@dataclass(frozen=True, eq=False)
class Tags:
    """Which classes of its dataset each image has, where it may have several: bool [R, classes of the dataset].

    `rows` [R] are rows of a store of a union, ascending.
    """

    rows: IndexArray
    sets: TagArray

    def of(self, rows: IndexArray) -> TagArray:
        """Those of some of the rows."""
        return self.sets[np.searchsorted(self.rows, rows)]


def splits_of(dataset: Dataset, rule: str, seed: int) -> Splits:
    """Rows of each split under a rule of `cl.declared.declaration.SPLITS`, drawn class by class with `seed`.

    NEVIS'22 draws train, dev and dev_test from the training images in shares of 70, 15 and 15 %. An official validation
    set is its dev_test, and 20 % of the training images are its dev; without official tests, the halves of the
    validation set are dev_test and test. A dataset without any split is drawn in shares of 56, 12, 12 and 20 %.

    The draw depends on the class's number only, so a dataset that occurs twice is split in the same way.
    """
    stores = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    every = {split: np.arange(len(store), dtype=np.int64) for split, store in stores.items() if store is not None}
    if rule == "official":
        return {split: (split, rows) for split, rows in every.items()}
    if rule in ONLY:
        split = "train" if rule == "train-only" else "test"
        return {split: (split, every[split])}
    if dataset.val is not None:
        return _with_validation(dataset, dataset.val, every, seed)
    if rule == "nevis-halves":
        train, dev = parted(dataset.train, every["train"], 0.2, seed, "dev")
        rest, dev_test = parted(dataset.test, every["test"], 0.5, seed, "dev_test")
        return _splits(("train", train), ("train", dev), ("test", dev_test), ("test", rest))
    learned, test = every["train"], ("test", every["test"])
    if not len(every["test"]):
        learned, drawn = parted(dataset.train, learned, 0.2, seed, "test")
        test = ("train", drawn)
    train, held = parted(dataset.train, learned, 0.1 if rule == "nevis-90" else 0.3, seed, "held out")
    dev, dev_test = parted(dataset.train, held, 0.5, seed, "dev_test")
    return _splits(("train", train), ("train", dev), ("train", dev_test), test)


def _with_validation(dataset: Dataset, val: ImageStore, every: Mapping[str, IndexArray], seed: int) -> Splits:
    train, dev = parted(dataset.train, every["train"], 0.2, seed, "dev")
    dev_test, test = ("val", every["val"]), ("test", every["test"])
    if not len(every["test"]):
        second, first = parted(val, every["val"], 0.5, seed, "dev_test")
        dev_test, test = ("val", first), ("val", second)
    return _splits(("train", train), ("train", dev), dev_test, test)


def _splits(
    train: tuple[str, IndexArray], val: tuple[str, IndexArray], dev_test: tuple[str, IndexArray],
    test: tuple[str, IndexArray],
) -> Splits:  # fmt: skip
    return {"train": train, "val": val, "dev_test": dev_test, "test": test}


def parted(store: ImageStore, rows: IndexArray, fraction: float, seed: int, what: str) -> tuple[IndexArray, IndexArray]:
    """Rows split in two, ascending: all but about `fraction` of each class, and the rest; `what` names the draw."""
    kept, taken = [rows[:0]], [rows[:0]]
    labels = store.labels[rows]
    for label in np.unique(labels):
        part, rest = split_rows(rows[labels == label], fraction, seed, what, int(label))
        kept.append(rest)
        taken.append(part)
    return np.sort(np.concatenate(kept)), np.sort(np.concatenate(taken))


def union(
    name: str, class_names: tuple[str, ...], parts: Sequence[Part], size: int, progress: Progress | None = None
) -> tuple[Dataset, list[dict[str, IndexArray]], list[dict[str, Tags]]]:
    """The union as one dataset, and the rows of each part by split: rows of its training store for train and val, of
    its test store for other splits; likewise the tags of parts with several classes per image, which the union's
    stores lack. A part may lack classes, and a class may come from several parts."""
    stores, rows, tags = {}, [dict[str, IndexArray]() for _ in parts], [dict[str, Tags]() for _ in parts]
    every = [
        (number, split, source, _used(part, source, chosen))
        for number, part in enumerate(parts)
        for split, (source, chosen) in part.splits.items()
    ]
    own: dict[_Source, ImageStore] = {
        (number, source): getattr(parts[number].dataset, source) for number, _, source, _ in every
    }
    used = dict[int, list[IndexArray]]()  # by store: several parts may be tasks of one dataset
    for number, _, source, chosen in every:
        used.setdefault(id(own[number, source]), []).append(chosen)
    made, formed = dict[int, _Formed](), dict[_Source, _Formed]()
    for (number, source), images in own.items():
        if id(images) not in made:
            what = f"{parts[number].dataset.name} {source}"
            made[id(images)] = _formed(images, used[id(images)], size, what, progress)
        formed[number, source] = made[id(images)]
    for kind in ("train", "test"):
        wanted = [each for each in every if (each[1] in TRAINED) == (kind == "train")]
        store, order = _store(f"{name} {kind}", parts, wanted, formed, size, progress)
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        start = 0
        for number, split, source, chosen in wanted:
            found = place[start : start + len(chosen)]
            rows[number][split] = np.sort(found)
            marks = own[number, source].tags
            if marks is not None:
                tags[number][split] = Tags(rows[number][split], marks[chosen[np.argsort(found)]])
            start += len(chosen)
        stores[kind] = store
    origins = dict.fromkeys(part.dataset.origin for part in parts)
    dataset = Dataset(
        name=name,
        train=stores["train"],
        test=stores["test"],
        class_names=class_names,
        origin=", ".join(origins),
        licence=_each(parts, "licence"),
        citation=_each(parts, "citation"),
        verified=all(part.dataset.verified for part in parts),
        notes=tuple(dict.fromkeys(f"{part.dataset.name}: {note}" for part in parts for note in part.dataset.notes)),
        shares={part.dataset.name: share for part in parts for share in part.dataset.shares.values()},
    )
    return dataset, rows, tags


def _used(part: Part, source: str, rows: IndexArray) -> IndexArray:
    store = getattr(part.dataset, source)
    return rows[part.labels[store.labels[rows]] >= 0]


def _store(
    what: str, parts: Sequence[Part], wanted: Sequence[tuple[int, str, str, IndexArray]],
    formed: Mapping[_Source, _Formed], size: int, progress: Progress | None,
) -> tuple[ImageStore, IndexArray]:  # fmt: skip
    """One store of the requested images, and the index of each of its rows among them."""
    sources: list[ImageStore] = [getattr(parts[number].dataset, source) for number, _, source, _ in wanted]
    counts = [len(rows) for *_, rows in wanted]
    rows = np.concatenate([chosen for *_, chosen in wanted])
    labels = np.concatenate(
        [
            parts[number].labels[store.labels[chosen]]
            for (number, _, _, chosen), store in zip(wanted, sources, strict=True)
        ]
    )
    digest = hashlib.sha256(json.dumps(["union", UNION, size, counts, [s.fingerprint for s in sources]]).encode())
    digest.update(np.ascontiguousarray(rows, "<i8").data)
    digest.update(np.ascontiguousarray(labels, "<i8").data)
    digest.update(b"joined")  # version 0.1.0 kept a copy of the images under the key without this
    starts, stores, total = dict[int, int](), list[ImageStore](), 0
    for number, _, source, _ in wanted:
        store = formed[number, source].store
        if id(store) not in starts:  # several parts may have the images of one dataset
            starts[id(store)] = total
            stores.append(store)
            total += len(store)
    place = [
        starts[id(formed[number, source].store)] + formed[number, source].places(chosen)
        for number, _, source, chosen in wanted
    ]
    shape = (size, size, 3)
    return joined_store(what, digest.hexdigest(), stores, np.concatenate(place), labels, shape, progress)


def _formed(store: ImageStore, used: Sequence[IndexArray], size: int, what: str, progress: Progress | None) -> _Formed:
    """The images at the rows that are `used`, in the form of the union; the store itself if it has that form."""
    if store.image_shape == (size, size, 3):
        return _Formed(store)
    rows = np.unique(np.concatenate(used))
    digest = hashlib.sha256(json.dumps(["formed", UNION, size, store.fingerprint]).encode())
    digest.update(np.ascontiguousarray(rows, "<i8").data)

    def source() -> Decode:
        pixels = store.pixels
        return lambda index: resized(np.asarray(pixels[rows[index]]), size)

    found, order = decoded_in_order(what, digest.hexdigest(), store.labels[rows], source, progress)
    place = np.full(len(store), -1, np.int64)
    place[rows[order]] = np.arange(len(order))
    return _Formed(found, place)


def _each(parts: Sequence[Part], what: str) -> str:
    """The text of every dataset, by name; a single text if all are equal."""
    said = {part.dataset.name: getattr(part.dataset, what) or "none stated" for part in parts}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return "; ".join(f"{name}: {text}" for name, text in said.items())
