"""The functions of `clbench data` for datasets in official files: where each is, and fetching many of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from cl.data import releases
from cl.data.catalog import DATASETS, KnownDataset
from cl.data.official.files import is_archive
from cl.data.official.release import Found, Release, how_to_get, in_part, lacking, obtain, places, to_unpack, verify
from cl.data.sources import is_offline
from cl.data.store import Progress
from cl.declared.declaration import DatasetEntry, Declaration
from cl.declared.obtain import find as find_entry
from cl.declared.obtain import official
from cl.errors import ClbenchError, DataError, UsageError, did_you_mean, sentence
from cl.family import argument_of, family_of
from cl.housekeeping.datasets import obstacle, tree_size
from cl.paths import data_path, home

OFFICIAL = "official files"


@dataclass(frozen=True)
class State:
    """One dataset of a stream on this machine.

    `form` is "official files", "folder", "pack", "hub" or "stream" for what is here, else empty. `verified` says
    whether the archives have the published checksums: "yes", "unpacked", "unknown" without published ones, "no" for
    others, and empty if nothing was compared. `why` says what is missing and what to do. `checked` is how far clbench's
    reader was tested.
    """

    task: str
    name: str
    year: int | None
    form: str
    where: str
    bytes: int
    verified: str
    checked: str
    why: str


def declared(name: str) -> Declaration | None:
    """The declaration of a stream called `name`, None if there is no such stream or it is not a declared one."""
    from cl import registry

    if name not in registry.streams:
        return None
    family = family_of(name)
    found: Declaration | None = family.declaration(argument_of(name))
    return found


def only(name: str) -> KnownDataset | None:
    """The dataset called `name`, or that of the stream `name` if it has one; None for other streams and names."""
    from cl import registry

    if name in DATASETS:
        return DATASETS[name]
    if name not in registry.streams:
        return None
    return DATASETS.get(getattr(family_of(name), "dataset", ""))


def named(name: str, action: str) -> KnownDataset | Release:
    """The dataset called `name`, for `clbench data ACTION`; a name that both have is that of the known dataset.

    Raises `UsageError`: for a stream with the command for it, for other names with the nearest ones.
    """
    from cl import registry

    if name in DATASETS:
        return DATASETS[name]
    if name in releases.names():
        return releases.release(name)
    if (known := only(name)) is not None:
        raise UsageError(f"{name} is a stream of one dataset; use `clbench data {action} {known.name}`.")
    if declared(name) is not None:
        raise UsageError(f"{name} is a stream of several datasets; `clbench data status {name}` shows each of them.")
    if name in registry.streams:
        raise UsageError(f"{name} is no stream that reads datasets from files; `clbench data list` shows datasets.")
    hint = did_you_mean(name, [*DATASETS, *releases.names(), *registry.streams])
    raise UsageError(f"There is no dataset '{name}'.{hint or ' `clbench data list --all` shows all names.'}")


def states(declaration: Declaration, *, checksums: bool = False) -> Iterator[State]:
    """The state of every dataset of a stream, in its order, those that it leaves out last.

    `checksums` reads the archives and compares them with the published checksums.
    """
    for entry in (*declaration.datasets, *declaration.unlearned):
        yield _state(entry, declaration, checksums)


def _state(entry: DatasetEntry, declaration: Declaration, checksums: bool) -> State:
    name = entry.release or entry.also
    release = releases.release(name) if name else None
    next_to = declaration.where.parent if declaration.where is not None else None
    absent = State(
        task=entry.title or entry.name,
        name=entry.name,
        year=entry.year,
        form="",
        where="",
        bytes=0 if release is None else release.size,
        verified="",
        checked="" if release is None else release.checked,
        why="",
    )
    try:
        paths = find_entry(entry, next_to)
        if paths is None or (entry.hub and not paths):
            return replace(absent, why=_why(entry, release))
        copy = official(entry, next_to)
        if copy is None and entry.reader == "folder" and paths[0].is_file() and not is_archive(paths[0]):
            return replace(absent, why=_why(entry, release))
        for path in paths:
            _look_into(path)
        if copy is not None and (packed := to_unpack(copy)):
            return replace(absent, why=packed)
        form = OFFICIAL if copy is not None else entry.reader
        size = sum(tree_size(path)[0] for path in paths)
        where = " + ".join(str(path) for path in paths) or f"the data of {entry.stream}"
        verified = _verified(copy) if copy is not None and checksums else ""
    except OSError as error:  # of this dataset alone: the others are shown
        return replace(absent, why=sentence(error))
    return replace(absent, form=form, where=where, bytes=size, verified=verified)


def _look_into(path: Path) -> None:
    """Raise `OSError` for a file or folder that is there and cannot be read."""
    if path.is_dir():
        with os.scandir(path) as content:
            next(content, None)
    else:
        path.open("rb").close()


def _why(entry: DatasetEntry, release: Release | None) -> str:
    """What lacks and what to do, after what is in the way of a folder that is searched."""
    odd = [f"{folder} is {what}; " for folder in _searched(entry, release) if (what := obstacle(folder))]
    return f"{''.join(odd[:1])}{_needed(entry, release)}"


def _searched(entry: DatasetEntry, release: Release | None) -> Iterator[Path]:
    """The folders that are searched for a dataset, those of CLBENCH_DATA_PATH themselves first."""
    yield from data_path()
    if release is not None:
        yield from places(release)
    if entry.path:
        yield from (root / entry.path for root in [*data_path(), home() / "data"])


def _needed(entry: DatasetEntry, release: Release | None) -> str:
    if entry.hub and not is_offline():
        return f"a run downloads {entry.needs}"
    if release is None:
        return f"needs {entry.needs}{f' ({entry.source})' if entry.source else ''}"
    fetched = f"`clbench data get {release.name}` fetches it"
    how = fetched if release.downloadable else how_to_get(release)
    how = f"{fetched} from Kaggle" if release.from_kaggle else how
    return f"{part}; {how}" if (part := in_part(release)) else how


def _verified(found: Found) -> str:
    packed = [file for file, path in zip(found.form, found.packed, strict=True) if path is not None]
    if not packed:
        return "unpacked"
    try:
        verify(found)
    except ClbenchError:
        return "no"
    return "yes" if all(file.md5 or file.sha256 for file in packed) else "unknown"


@dataclass(frozen=True)
class Wanted:
    """What `clbench data get` of a stream would do: what is here, what can be fetched, and what a user has to get.

    `kaggle` is what kagglehub fetches with the user's account.
    """

    here: tuple[Release, ...]
    fetch: tuple[Release, ...]
    kaggle: tuple[Release, ...]
    by_hand: tuple[Release, ...]
    other: tuple[DatasetEntry, ...]  # not here, and without a declared release
    library: tuple[DatasetEntry, ...] = ()  # of the Hugging Face hub: a run downloads them
    others_here: int = 0  # datasets without a release that are here

    @property
    def bytes(self) -> int:
        """Bytes to fetch without an account, as far as published."""
        return sum(file.size for release in self.fetch for file in lacking(release))

    @property
    def unknown(self) -> int:
        """Datasets to fetch with a file of unknown size."""
        return sum(any(not file.size for file in lacking(release)) for release in self.fetch)


def wanted(declaration: Declaration) -> Wanted:
    """What is needed for a stream; a dataset that occurs twice counts once."""
    next_to = declaration.where.parent if declaration.where is not None else None
    here, fetch, kaggle, by_hand, other, library, others_here = [], [], [], [], [], [], 0
    for entry in {
        each.release or each.also or each.name: each for each in (*declaration.datasets, *declaration.unlearned)
    }.values():
        name = entry.release or entry.also
        release = releases.release(name) if name else None
        found = find_entry(entry, next_to)
        copy = official(entry, next_to) if found is not None else None
        if copy is not None and to_unpack(copy):
            by_hand.append(copy.release)
        elif entry.reader == "hub" and found == ():
            library.append(entry)
        elif found is not None:
            others_here += release is None
            here += [release] if release is not None else []
        elif release is None:
            other.append(entry)
        elif release.downloadable:
            fetch.append(release)
        elif release.from_kaggle:
            kaggle.append(release)
        else:
            by_hand.append(release)
    return Wanted(tuple(here), tuple(fetch), tuple(kaggle), tuple(by_hand), tuple(other), tuple(library), others_here)


def fetch_all(
    chosen: Sequence[Release], jobs: int, progress: Progress | None = None,
    done: Callable[[Release, ClbenchError | None], None] = lambda release, error: None,
) -> list[ClbenchError]:  # fmt: skip
    """Fetch several releases at a time into the cache and compare their checksums; `done` is called after each.

    One that fails does not stop the others; returns the errors. A download that was interrupted is continued.
    """
    errors: list[ClbenchError] = []

    def one(release: Release) -> None:
        verify(obtain(release, progress))

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        waiting = {pool.submit(one, release): release for release in chosen}
        try:
            for each in as_completed(waiting):
                error = each.exception()
                if error is not None and not isinstance(error, ClbenchError):
                    raise error
                errors += [error] if error is not None else []
                done(waiting[each], error)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return errors


def check_sizes(found: Found) -> None:
    """Raise `DataError` for the first archive without a published checksum that has not the published size."""
    for file, path in zip(found.form, found.packed, strict=True):
        if path is None or not file.size or file.sha256 or file.md5:
            continue
        if (size := path.stat().st_size) != file.size:
            raise DataError(
                f"{found.release.title} is here and is not what is published: {path} has {size:,} bytes, and "
                f"{file.size:,} as published; delete it and get it again."
            )


def get(name: str, progress: Progress | None = None) -> str:
    """Fetch one release, or find it; returns where it is. Raises `MissingData` with what to do if it needs a user, and
    `DataError` with the command for an archive that a user must unpack."""
    release = releases.release(name)
    found = obtain(release, progress)
    verify(found)
    if packed := to_unpack(found):
        raise DataError(f"{packed}.")
    return " + ".join(str(path) for path in found.paths)
