"""The functions of `clbench data`: where a dataset is searched and found, whether it is intact, what may be removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cl.data.catalog import Copy, KnownDataset, check_archives, checked, copies, forms
from cl.data.store import Fingerprint, ImageStore, Progress
from cl.errors import ClbenchError, DataError, sentence
from cl.files import storage_error
from cl.leases import Held, lease
from cl.paths import data_path, home

PATH, CACHE = "CLBENCH_DATA_PATH", "cache"


@dataclass(frozen=True)
class Place:
    """One place that is searched for a dataset: `names` in `folder`; `found` are the names that exist.

    `problem` says why the place cannot be read, if it cannot.
    """

    root: str  # PATH or CACHE
    folder: Path
    names: tuple[str, ...]
    found: tuple[str, ...]
    problem: str = ""

    @property
    def is_whole(self) -> bool:
        return self.names == self.found


@dataclass(frozen=True)
class Check:
    """One check of one copy: `found` against `expected`, which is None if not known in advance."""

    where: str
    what: str
    found: str | None
    expected: str | None
    problem: str | None = None

    @property
    def state(self) -> str:
        """ok, wrong, or unknown if there is nothing to compare with."""
        if self.problem is not None:
            return "wrong"
        return "unknown" if self.expected is None else "ok"


def places(declared: KnownDataset) -> list[Place]:
    """Every place in search order; the first complete one is used."""
    looked = []
    for form in forms(declared):
        for root in [*data_path(), home() / "data"]:
            kind = CACHE if root == home() / "data" else PATH
            for folder in (root, *(root / sub for sub in declared.subfolders)):
                try:
                    found = tuple(name for name in form.names if (folder / name).exists())
                    looked.append(Place(kind, folder, form.names, found))
                except OSError as error:
                    looked.append(Place(kind, folder, form.names, (), sentence(error)))
    return looked


def state_of_folder(folder: Path) -> str:
    """Why a path is no folder that can be searched, in a few words; empty for a folder."""
    try:
        return obstacle(folder) or ("" if folder.is_dir() else "no such folder")
    except OSError as error:
        return sentence(error)


def obstacle(folder: Path) -> str:
    """What is in the place of a folder, in a few words; empty for a folder, and for nothing."""
    if folder.is_dir():
        return ""
    if folder.exists():
        return "a file, not a folder"
    return "a link that leads nowhere" if folder.is_symlink() else ""


def verify(declared: KnownDataset, progress: Progress | None = None) -> list[Check]:
    """Check every copy on this machine: the archive's checksum, and the fingerprints of what is decoded from it.

    Fingerprints are computed from the pixels again, also for images from the cache of decoded images. Raises
    `DataError` if there is no copy.
    """
    found = list(copies(declared))
    if not found:
        raise DataError(
            f"{declared.title} is not on this machine, so there is nothing to verify; "
            f"`clbench data get {declared.name}` fetches it."
        )
    return [check for copy in found for check in _verify(declared, copy, progress)]


def _verify(declared: KnownDataset, copy: Copy, progress: Progress | None) -> Iterator[Check]:
    where = str(copy)
    if copy.paths[0].name == declared.archive.name:
        try:
            check_archives(declared, copy.paths)
        except DataError as error:
            yield Check(where, "archive", None, copy.sha256, str(error))
            return  # unknown contents
        yield Check(where, "archive", copy.sha256, copy.sha256)
    if declared.is_tree:
        yield Check(where, "content", None, None)  # without a published fingerprint
        return
    try:
        content = copy.read(copy.paths, progress)
        dataset = checked(declared, content, where)
    except DataError as error:
        yield Check(where, "content", None, None, str(error))
        return
    whole = declared.part is None or (len(dataset.train), len(dataset.test)) == declared.sizes
    expected = declared.fingerprints if whole or declared.part is None else declared.part.fingerprints
    for split, store in (("train", dataset.train), ("test", dataset.test)):
        yield Check(where, split, _fingerprint(store), expected.get(split), None)


def check_content(declared: KnownDataset, copy: Copy, progress: Progress | None = None) -> None:
    """Raise `DataError` if a copy does not hold the images of the dataset, as a run would; a tree of images may."""
    if declared.is_tree:
        return
    try:
        checked(declared, copy.read(copy.paths, progress), str(copy))
    except DataError as error:
        raise DataError(f"{declared.title} is here and is not what is published: {error}") from error


def _fingerprint(store: ImageStore) -> str:
    digest = Fingerprint(store.pixels.shape)
    digest.update(store.pixels)
    return digest.finish(store.labels)


def in_data_path(path: Path) -> bool:
    """Whether a path is in a folder of CLBENCH_DATA_PATH, which is only read, even if it contains the cache.

    A link is where it is itself, wherever it leads.
    """
    real = path.parent.resolve() / path.name
    return any(real.is_relative_to(folder.resolve()) for folder in data_path())


def removable(declared: KnownDataset) -> list[Path]:
    """The files and folders of a dataset in the cache, with partial downloads and recorded checksums.

    What a link to a folder outside of the cache leads to is left alone.
    """
    names = [name for form in forms(declared) for name in form.names]
    names += [f"{file.name}.{end}" for file in declared.archives for end in ("part", "sha256")]
    root = home() / "data"
    found = [folder / name for folder in (root, *(root / sub for sub in declared.subfolders)) for name in names]
    real = root.resolve()
    return [
        path
        for path in dict.fromkeys(found)
        if os.path.lexists(path) and not in_data_path(path) and path.parent.resolve().is_relative_to(real)
    ]


def reached_by_link(paths: Sequence[Path]) -> str:
    """ "LINK is a link to TARGET" for the first link below the cache that leads to one of the paths, else empty."""
    root = home() / "data"
    for path in paths:
        for each in (path, *path.parents):
            if each.is_symlink() and each.is_relative_to(root) and each != root:
                return f"{each} is a link to {each.resolve()}"
    return ""


def remove(paths: list[Path]) -> None:
    """Delete files and folders; links are unlinked, never followed.

    Raises `ClbenchError` if another process downloads one of them, `StorageError` if one cannot be deleted.
    """
    names = {path.with_name(path.name.removesuffix(".part").removesuffix(".sha256") + ".lock") for path in paths}
    with ExitStack() as leases:
        for name in sorted(names):
            try:
                leases.enter_context(lease(name, wait=False))
            except Held:
                raise ClbenchError(f"Another process holds {name}; wait for it and try again.") from None
            except OSError as error:
                raise storage_error(name, error) from error
        for path in paths:
            try:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
            except OSError as error:
                raise storage_error(path, error) from error


def tree_size(path: Path) -> tuple[int, int, float]:
    """Bytes, number of files and time of last use of a file or of all files below a folder; links are not followed.

    The last use is the later of the access and modification times, as far as the file system keeps them.
    """
    total, files, used = 0, 0, 0.0
    inside = [path] if not path.is_dir() or path.is_symlink() else []
    for folder, _, names in os.walk(path) if not inside else ():
        inside += [Path(folder, name) for name in names]
    for file in inside:
        try:
            status = file.lstat()
        except FileNotFoundError:  # another process has deleted it
            continue
        total, files, used = total + status.st_size, files + 1, max(used, status.st_atime, status.st_mtime)
    return total, files, used
