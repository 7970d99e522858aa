"""Classes for declarations of datasets; the declarations themselves are in `cl.data.catalog`."""

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
    """One form of a dataset on disk: the names of files in one folder, and their reader.

    A name may be an absolute path, such as that of a system's package.
    """

    names: tuple[str, ...]
    read: Reader


@dataclass(frozen=True)
class Part:
    """A copy that holds a part of a dataset: its sizes, its fingerprints, and its number of classes if it has fewer."""

    sizes: tuple[int, int]
    fingerprints: dict[str, str]
    classes: int = 0


@dataclass(frozen=True)
class KnownDataset:
    """A dataset, declared once.

    `fingerprints` are the expected fingerprints of the decoded train and test stores in canonical order. If given, the
    content of any source must match; if not, the dataset is unverified (records still contain the fingerprints found).
    `checked` says how far clbench was tested on the real files, if it was not. The sizes of a tree of images are the
    number of all images and 0, because its split is an option. A dataset that is published in several files has the
    others in `more`. A copy may hold `part` of it; a dataset read from it says so in its notes. With `names_in_files`
    the files name the classes, and only their number is declared.
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
    more: tuple[RemoteFile, ...] = ()
    part: Part | None = None
    names_in_files: bool = False

    @property
    def archives(self) -> tuple[RemoteFile, ...]:
        """All files to download."""
        return (self.archive, *self.more)

    @property
    def n_classes(self) -> int:
        """Number of classes; the class names of a tree of images are those of its folders and are not declared."""
        return self.classes or len(self.class_names)

    @property
    def is_tree(self) -> bool:
        """Whether this is a tree of image files, which its stream splits and decodes (see `cl.data.trees`)."""
        return not self.class_names and not self.names_in_files


@dataclass(frozen=True)
class Copy:
    """A complete copy of a dataset on this machine: all files of one form."""

    paths: tuple[Path, ...]
    read: Reader
    sha256: str | None = None  # of the first archive, if the copy consists of archives

    def __str__(self) -> str:
        return " + ".join(str(path) for path in self.paths)
