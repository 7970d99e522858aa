"""What a declaration of a dataset holds; the declarations themselves stand in `cl.data.catalog`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cl.data.readers import Content
from cl.data.sources import RemoteFile
from cl.data.store import Progress

Reader = Callable[[tuple[Path, ...], Progress | None], Content]


@dataclass(frozen=True)
class Source:
    """One form in which a dataset may lie on a disk: names that stand together in a folder, and how to read them."""

    names: tuple[str, ...]
    read: Reader


@dataclass(frozen=True)
class KnownDataset:
    """A dataset, declared once.

    `fingerprints` are those of the decoded train and test store in canonical order; where they are given, content from
    any source must match them, and where they are not the dataset is unverified (the record still keeps what was
    found). `checked` says how far clbench has met the real files, where it has not. The sizes of a tree of images are
    all its images and 0, as its split is an option.
    """

    name: str
    title: str
    sizes: tuple[int, int]
    class_names: tuple[str, ...]
    sources: tuple[Source, ...]
    archive: RemoteFile
    read_archive: Reader
    licence: str
    citation: str
    subfolders: tuple[str, ...] = ("images",)
    fingerprints: dict[str, str] = field(default_factory=dict)
    classes: int = 0
    checked: str = ""

    @property
    def n_classes(self) -> int:
        """How many classes; a tree of images has the names of its folders, which are not declared."""
        return self.classes or len(self.class_names)

    @property
    def is_tree(self) -> bool:
        """Whether it is a tree of image files, which its stream splits and decodes (see `cl.data.trees`)."""
        return not self.class_names


@dataclass(frozen=True)
class Copy:
    """A dataset as it lies on this machine: the files of one form, all of them there."""

    paths: tuple[Path, ...]
    read: Reader
    sha256: str | None = None  # of the archive, where the copy is one

    def __str__(self) -> str:
        return " + ".join(str(path) for path in self.paths)
