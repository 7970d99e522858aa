"""Streams: an ordered list of training and evaluation events over a dataset, and the views a strategy learns from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cl.data.store import Dataset, ImageStore, IndexArray, TagArray
from cl.errors import ContractError
from cl.protocol import TASK

if TYPE_CHECKING:
    import torch

JSON = Any


@dataclass(frozen=True)
class Train:
    """Learn one experience."""

    experience: int


@dataclass(frozen=True)
class Evaluate:
    """Evaluate groups (columns of the accuracy matrix) on a split."""

    groups: tuple[int, ...]
    split: str = "test"


Event = Train | Evaluate


@dataclass(frozen=True, eq=False)
class Experience:
    """One chunk of training data: rows of `dataset.train`, and the positions of their classes.

    `name`: display name, the group's if there is one; may be empty. `tags` and `val_tags`, where an image may have
    several classes: those of each row of `train` and `val`, bool [rows, classes] with a column for each of `classes`.
    """

    train: IndexArray
    val: IndexArray
    classes: tuple[int, ...]
    name: str = ""
    tags: TagArray | None = None
    val_tags: TagArray | None = None


@dataclass(frozen=True, eq=False)
class Group:
    """One disjoint set of evaluation images: a column of the accuracy matrix.

    `rows` maps a split to rows of `Stream.store(split)`; `task` is the first experience after which all classes of the
    group have been seen. `tags`, where an image may have several classes: those of each row, by split, bool
    [rows, classes] with a column for each of `classes`; such a group is measured by mean average precision. `year` and
    `domain` (what the images show) are for reports; no part of the stream's identity.
    """

    name: str
    classes: tuple[int, ...]
    rows: Mapping[str, IndexArray]
    task: int
    tags: Mapping[str, TagArray] | None = None
    year: int | None = None
    domain: str = ""


@dataclass(frozen=True)
class StreamInfo:
    """What a strategy may know before it learns.

    `class_names` are ordered by position; `image_shape` is (channels, height, width). `train_fingerprint` identifies
    the training images, to recognise them in other data (see `cl.parts.unlabelled`).
    """

    name: str
    n_tasks: int
    n_classes: int
    classes_per_task: tuple[int, ...]
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    train_fingerprint: str = ""


@dataclass(frozen=True, eq=False)
class Stream:
    """A benchmark: events over a dataset. Classes are numbered by position, in the order in which they first appear.

    `options` are the resolved options, for display. `comparable` is a normal form of them for the identity: two ways to
    ask for the same stream have equal values. `family` replaces the name in the identity: a folder of images is the
    same stream under another name. Tasks with several classes per image need the setting task-incremental. `learned`
    is the number of experiences that were learned before the first event, by the learner that a run continues.
    """

    name: str
    version: str
    setting: str
    options: dict[str, JSON]
    dataset: Dataset
    class_order: IndexArray
    experiences: tuple[Experience, ...]
    groups: tuple[Group, ...]
    events: tuple[Event, ...]
    comparable: dict[str, JSON] = field(default_factory=dict)
    family: str = ""
    learned: int = 0

    def __post_init__(self) -> None:
        if self.multi_label and not self.setting == TASK:
            raise ContractError(f"{self.name}: tasks with several classes per image need the setting {TASK}.")

    @cached_property
    def multi_label(self) -> tuple[str, ...]:
        """The names of the tasks and groups whose images may have several classes."""
        learned = [each.name or f"task{task}" for task, each in enumerate(self.experiences) if each.tags is not None]
        return tuple(dict.fromkeys([*learned, *(group.name for group in self.groups if group.tags is not None)]))

    @cached_property
    def identity(self) -> dict[str, JSON]:
        """Everything that must be equal for two results to be comparable; JSON, the same in every process."""
        return {
            "name": self.family or self.name,
            "version": self.version,
            "setting": self.setting,
            "options": self.comparable or self.options,
            "class_order": [int(label) for label in self.class_order],
            "fingerprints": self.dataset.fingerprints,
            **({"tags_sha256": self._tags_sha256} if self.multi_label else {}),
        }

    @cached_property
    def _tags_sha256(self) -> str:
        """SHA-256 of the classes of all images that may have several."""
        tables = [table for each in self.experiences for table in (each.tags, each.val_tags)]
        tables += [table for group in self.groups for _, table in sorted((group.tags or {}).items())]
        digest = hashlib.sha256()
        for table in tables:
            shape = None if table is None else list(table.shape)
            digest.update(f"{shape}\n".encode() + (b"" if table is None else np.packbits(table).tobytes()))
        return digest.hexdigest()

    @cached_property
    def id(self) -> str:
        """SHA-256 of the identity."""
        text = json.dumps(self.identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def split(self) -> str:
        """The split that the run reports: test if it is evaluated, else the first split evaluated."""
        splits = [event.split for event in self.events if isinstance(event, Evaluate)]
        return splits[0] if splits and "test" not in splits else "test"

    @cached_property
    def info(self) -> StreamInfo:
        """What a strategy may know before it learns."""
        height, width, channels = self.dataset.train.image_shape
        return StreamInfo(
            name=self.name,
            n_tasks=len(self.experiences),
            n_classes=len(self.class_order),
            classes_per_task=tuple(len(experience.classes) for experience in self.experiences),
            class_names=tuple(self.dataset.class_names[label] for label in self.class_order),
            image_shape=(channels, height, width),
            train_fingerprint=self.dataset.train.fingerprint,
        )

    @cached_property
    def positions(self) -> IndexArray:
        """Position of each label of the dataset; -1 for classes that the stream leaves out."""
        positions = np.full(len(self.dataset.class_names), -1, dtype=np.int64)
        positions[self.class_order] = np.arange(len(self.class_order))
        return positions

    @cached_property
    def classes_return(self) -> bool:
        """Whether some class has training images in more than one experience."""
        return sum(len(experience.classes) for experience in self.experiences) > len(self.class_order)

    @cached_property
    def _seen(self) -> list[tuple[int, ...]]:
        """Classes seen after each experience, ascending."""
        seen: set[int] = set()
        found: list[tuple[int, ...]] = []
        for experience in self.experiences:
            if not seen.issuperset(experience.classes):
                seen |= set(experience.classes)
            found.append(found[-1] if found and len(found[-1]) == len(seen) else tuple(sorted(seen)))
        return found

    @property
    def seen_before(self) -> int:
        """The number of classes that the learner has seen before the first event."""
        return max(self._seen[self.learned - 1]) + 1 if self.learned else 0

    def store(self, split: str) -> ImageStore:
        """The images that rows of `split` index; held-out "val" images are training images."""
        return self.dataset.train if split in ("train", "val") else self.dataset.test

    def view(self, experience: int, *, past: bool = False) -> View:
        """A new view of one experience, with earlier training images if `past`. Raises `IndexError` for a wrong
        index."""
        current = self.experiences[experience]
        return View(
            task=experience,
            classes=current.classes,
            seen=self._seen[experience],
            last=experience == len(self.experiences) - 1,
            train=self._images(current.train, current.tags),
            val=self._images(current.val, current.val_tags) if len(current.val) else None,
            past=tuple(self._images(each.train, each.tags) for each in self.experiences[:experience]) if past else (),
        )

    def test_rows(self, groups: Sequence[int], split: str = "test") -> tuple[IndexArray, IndexArray, IndexArray]:
        """Rows of `store(split)`, their position labels and the group of each, group after group.

        Raises `ContractError` if a group has no such split.
        """
        chosen = []
        for group in groups:
            if split not in self.groups[group].rows:
                known = ", ".join(sorted(self.groups[group].rows))
                raise ContractError(
                    f"Group {self.groups[group].name!r} of {self.name} has no split {split!r}; it has: {known}."
                )
            chosen.append(self.groups[group].rows[split])
        rows = np.concatenate([np.empty(0, np.int64), *chosen])
        owner = np.repeat(np.asarray(groups, dtype=np.int64), [len(part) for part in chosen])
        return rows, self.positions[self.store(split).labels[rows]], owner

    def _images(self, rows: IndexArray, tags: TagArray | None = None) -> ImageSet:
        store = self.dataset.train
        return ImageSet(store, rows, self.positions[store.labels[rows]], tags)


class ImageSet:
    """Images of one view: the only access to training pixels. After `revoke`, any use raises `ContractError`."""

    __slots__ = ("_labels", "_rows", "_store", "_tags", "_whole")

    def __init__(self, store: ImageStore, rows: IndexArray, labels: IndexArray, tags: TagArray | None = None) -> None:
        self._store: ImageStore | None = store
        self._rows = rows
        self._labels = labels
        self._tags = tags
        self._whole: ImageSet | None = None

    def __len__(self) -> int:
        self._live()
        return len(self._rows)

    @property
    def labels(self) -> torch.LongTensor:
        """Position labels, int64 [N]; a copy."""
        import torch

        self._live()
        return torch.from_numpy(self._labels.copy())  # type: ignore[return-value]

    @property
    def tags(self) -> torch.BoolTensor | None:
        """Which classes each image has, bool [N, classes of the task] in the order of `View.classes`; a copy.

        None for a task whose images have one class each; else the label is the first of the classes, in the dataset's
        order, and that of the dataset's first class for an image without any.
        """
        import torch

        self._live()
        return None if self._tags is None else torch.from_numpy(self._tags.copy())  # type: ignore[return-value]

    @property
    def rows(self) -> IndexArray:
        """Rows of `store`, int64 [N]."""
        self._live()
        return self._rows

    @property
    def store(self) -> ImageStore:
        """The store of training images that `rows` index."""
        return self._live()

    def pixels(self, index: torch.Tensor | IndexArray | Sequence[int] | slice) -> torch.ByteTensor:
        """Pixels of the images at `index` (positions in this set), uint8 [B, C, H, W]; a copy."""
        import torch

        store = self._live()
        chosen = np.asarray(store.pixels[self._rows[index if isinstance(index, slice) else np.asarray(index)]])
        return torch.from_numpy(np.ascontiguousarray(chosen.transpose(0, 3, 1, 2)))  # type: ignore[return-value]

    def subset(self, index: torch.Tensor) -> ImageSet:
        """The images at positions `index` [K] as a separate set, which is revoked together with this one."""
        store, chosen = self._live(), index.numpy()
        tags = None if self._tags is None else self._tags[chosen]
        part = ImageSet(store, self._rows[chosen], self._labels[chosen], tags)
        part._whole = self
        return part

    def revoke(self) -> None:
        """Drop the images for good."""
        self._store = None
        self._rows = self._labels = np.empty(0, np.int64)
        self._tags = None

    def _live(self) -> ImageStore:
        if self._store is None or (self._whole is not None and self._whole._store is None):
            raise ContractError(
                "Views die after learn: keep what you need from a task in a memory part, not in the view."
            )
        return self._store


@dataclass(frozen=True, eq=False)
class View:
    """What `learn` sees of one experience: training images and metadata, no test images.

    `classes` and `seen` are positions; `seen` includes `classes`. `past` is empty unless the strategy has access to
    the past.
    """

    task: int
    classes: tuple[int, ...]
    seen: tuple[int, ...]
    last: bool
    train: ImageSet
    val: ImageSet | None = None
    past: tuple[ImageSet, ...] = ()

    def revoke(self) -> None:
        """Revoke every set of images; called by the loop after `learn`."""
        for images in (self.train, self.val, *self.past):
            if images is not None:
                images.revoke()
