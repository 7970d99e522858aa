"""Finds and reads the datasets of a declared stream."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path

from cl import registry
from cl.data import hub, reads
from cl.data.label_tables import LabelTable
from cl.data.official.files import ARCHIVES, is_archive
from cl.data.official.listing import Listing, by_name, drawn
from cl.data.official.release import Found, in_part, load
from cl.data.official.release import find as find_release
from cl.data.readers import read_packs
from cl.data.releases import release
from cl.data.sources import candidates, check_sha256, next_to_or_candidates
from cl.data.sources import missing as not_here
from cl.data.store import Dataset, Progress
from cl.data.unpacking import unpacked
from cl.declared.declaration import DatasetEntry, Declaration
from cl.errors import DataError, MissingData, UsageError
from cl.family import make_stream
from cl.paths import data_path, home
from cl.protocol import CLASS

SUBFOLDERS = ("images",)
_TESTED = {"train-only": 0.0, "test-only": 1.0}
"""The test share of class folders without a split, if it is not a fifth."""


def find(entry: DatasetEntry, next_to: Path | None) -> tuple[Path, ...] | None:
    """The files or the folder of a dataset: next to the stream file (`next_to`), in CLBENCH_DATA_PATH, in the cache.

    None if it is not found; empty for a registered stream, which finds its own data, and for a dataset of the hub that
    can be downloaded now. A folder may also be there as an
    archive, or as the official files of the release `entry.also`.
    """
    if entry.reader == "stream":
        return ()
    if entry.reader == "hub":
        folder = hub.find(entry.hub, next_to)
        return (folder,) if folder is not None else () if hub.reachable() else None
    if (copy := official(entry, next_to)) is not None:
        return copy.paths
    if entry.reader == "official":
        return None
    return _named(entry, next_to) or (_archive(entry.path, next_to) if entry.path else None)


def official(entry: DatasetEntry, next_to: Path | None) -> Found | None:
    """The copy of official files that is read for a dataset; None if there is none, or if something else is read.

    For a folder that is a part of a release, such as a session, the folder is preferred.
    """
    if entry.release:
        return find_release(release(entry.release))
    if not entry.also or (release(entry.also).part is not None and _named(entry, next_to) is not None):
        return None
    return find_release(release(entry.also))


def _named(entry: DatasetEntry, next_to: Path | None) -> tuple[Path, ...] | None:
    names = entry.files or (entry.path,)
    if next_to is not None:
        return next_to_or_candidates(next_to, names, SUBFOLDERS)
    return next(candidates(names, SUBFOLDERS), None)


def _archive(path: str, next_to: Path | None) -> tuple[Path, ...] | None:
    """The archive that unpacks to a folder, or to one that it is in: data/a.zip or data.zip for data/a."""
    for folder in (Path(path), *Path(path).parents):
        for ending in ARCHIVES if folder.name else ():
            names = (f"{folder.as_posix()}{ending}",)
            found = (
                next(candidates(names, SUBFOLDERS), None)
                if next_to is None
                else next_to_or_candidates(next_to, names, SUBFOLDERS)
            )
            if found is not None:
                return found
    return None


def _folder(entry: DatasetEntry, found: Path) -> Path:
    """The folder of a dataset; an archive is unpacked once into the cache. Raises `DataError` if it has another one."""
    if found.is_dir():
        return found
    if not is_archive(found):
        raise DataError(
            f"{found} is a file and no archive, and {entry.name} needs a folder there; replace it and run again."
        )
    root, parts = unpacked(found), Path(entry.path).parts
    stem = found.name[: -max(len(ending) for ending in ARCHIVES if found.name.endswith(ending))]
    below = parts[len(parts) - 1 - parts[::-1].index(stem) :]
    for folder in (root.joinpath(*below), root.joinpath(*below[1:])):  # with or without its own name in it
        if folder.is_dir() and (folder != root or len(below) == 1):
            return folder
    raise DataError(
        f"{found} holds no folder {'/'.join(below)}, which {entry.name} needs; get the whole archive again."
    )


def available(declaration: Declaration, missing: str) -> tuple[list[DatasetEntry], list[DatasetEntry]]:
    """The available and the missing datasets; raises `DataError` if `missing` is "error" and one is missing, or if
    all are missing."""
    next_to = declaration.where.parent if declaration.where is not None else None
    here = [entry for entry in declaration.datasets if find(entry, next_to) is not None]
    absent = [entry for entry in declaration.datasets if entry not in here]
    hubs = list(dict.fromkeys(entry.needs for entry in absent if entry.reader == "hub"))
    if hubs and (error := not_here(f"Data of stream {declaration.name}", hubs)).downloads:
        raise error
    if absent and (missing == "error" or not here):
        names = ", ".join(f"{entry.name} ({_needed(entry)})" for entry in absent[:5])
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        near = [next_to.absolute()] if next_to is not None else []
        places = ", ".join(str(folder) for folder in dict.fromkeys([*near, *data_path(), home() / "data"]))
        for entry in absent:
            if entry.reader == "hub" and (folder := hub.unusable(entry.hub, next_to)) is not None:
                raise MissingData(
                    f"{folder} holds no Parquet files and no save_to_disk folder; put a copy of {entry.hub} there, or "
                    "unset CLBENCH_OFFLINE to download it."
                )
        forbidden = " and CLBENCH_OFFLINE forbids downloading it" if hubs else ""
        online = ", or unset CLBENCH_OFFLINE" if hubs else ""
        leave = ", or leave it out with --set stream.missing=skip" if here else ""
        raise MissingData(
            f"Stream {declaration.name} needs {names}{more}, not found in {places}{forbidden}; set CLBENCH_DATA_PATH "
            f"to a folder that holds it{online}{leave}."
        )
    return here, absent


def _needed(entry: DatasetEntry) -> str:
    """The files that a missing dataset needs; of a release that is here in part, those that lack."""
    return (in_part(release(entry.release)) if entry.release else "") or entry.needs


def read(
    declaration: Declaration, entry: DatasetEntry, size: int, progress: Progress | None = None, *,
    skip_damaged: bool = False,
) -> Dataset:  # fmt: skip
    """Read one available dataset; images of folders have `size`, others their own. Raises `DataError`, `UsageError`.

    `skip_damaged`: leave out images of folders that cannot be read.
    """
    next_to = declaration.where.parent if declaration.where is not None else None
    paths, copy = find(entry, next_to) or (), official(entry, next_to)
    if copy is None:  # else it is noted what is opened
        reads.note(*paths)
    for path, digest in zip(paths, entry.sha256, strict=False):
        check_sha256(path, digest)
    if entry.reader == "official" or copy is not None:
        if copy is None:
            raise DataError(f"The files of {entry.name} disappeared while they were read; put them back and run again.")
        dataset = load(copy, size, progress) if entry.release else _as_folder(declaration, entry, copy, size, progress)
    elif entry.reader == "pack":
        dataset = _pack(entry, paths, progress)
    elif entry.reader == "folder":
        from cl.data.folders import read_image_folder

        columns = (entry.image_column, entry.label_column, entry.split_column)
        dataset, _ = read_image_folder(
            _folder(entry, paths[0]),
            size=size,
            test_fraction=_TESTED.get(declaration.rule(entry), 0.2),
            split_seed=declaration.split_seed,
            labels=LabelTable(entry.labels, *columns) if entry.labels else None,
            next_to=next_to,
            skip_damaged=skip_damaged,
            progress=progress,
        )
    elif entry.reader == "hub":
        dataset = _hub(declaration, entry, paths, size, progress)
    else:
        dataset = _images_of(declaration, entry, progress)
    said = {key: getattr(entry, key) or getattr(dataset, key) for key in ("name", "licence", "citation")}
    return dataclasses.replace(dataset, **said)


def _as_folder(
    declaration: Declaration, entry: DatasetEntry, copy: Found, size: int, progress: Progress | None
) -> Dataset:
    """The dataset that the folder `entry.path` with the images of the release `entry.also` would give."""
    part = Path(entry.path).name if copy.release.part is not None else ""
    fraction = _TESTED.get(declaration.rule(entry), 0.2)

    def change(listing: Listing) -> Listing:
        listing = by_name(listing)
        return listing if fraction in (0, 1) else drawn(listing, fraction, declaration.split_seed)

    dataset = load(copy, size, progress, change, part)
    return dataclasses.replace(dataset, train=dataset.test, test=dataset.train) if fraction == 1 else dataset


_being_read: ContextVar[tuple[str, ...]] = ContextVar("streams being read", default=())


def _images_of(declaration: Declaration, entry: DatasetEntry, progress: Progress | None) -> Dataset:
    """The images of a registered stream; raises `UsageError` if they are those of the stream that is being read."""
    outer = _being_read.get()
    if entry.stream in outer:
        raise UsageError(
            f"{declaration.where or declaration.name}: dataset {entry.name} reads the stream {entry.stream}, which "
            "reads it again; name another stream."
        )
    token = _being_read.set((*outer, entry.stream))
    try:
        stream = make_stream(entry.stream, progress=progress)
    finally:
        _being_read.reset(token)
    if stream.multi_label:
        raise UsageError(
            f"{declaration.where or declaration.name}: dataset {entry.name} reads the stream {entry.stream}, in which "
            f"images of {stream.multi_label[0]} have several classes; declare its datasets instead."
        )
    return stream.dataset


def _hub(
    declaration: Declaration, entry: DatasetEntry, paths: Sequence[Path], size: int, progress: Progress | None
) -> Dataset:
    wanted = hub.HubDataset(entry.hub, entry.config, entry.revision, entry.image, entry.label)
    rule = declaration.rule(entry)
    return hub.read(
        wanted,
        paths[0] if paths else None,
        size,
        keep_val=rule.startswith("nevis"),  # which divides what has no test images itself
        test_fraction=_TESTED.get(rule, 0.2),
        split_seed=declaration.split_seed,
        progress=progress,
    )


def _pack(entry: DatasetEntry, paths: Sequence[Path], progress: Progress | None) -> Dataset:
    content = read_packs(paths, progress)
    where = " + ".join(map(str, paths))
    if absent := [split for split in ("train", "test") if split not in content.splits]:
        raise DataError(f"{where} holds no {absent[0]} images; add the pack that does to 'files' of {entry.name}.")
    return Dataset(
        name=entry.name,
        train=content.splits["train"],
        test=content.splits["test"],
        class_names=content.class_names,
        origin=where,
        licence=str(content.meta.get("licence", "")),
        citation=str(content.meta.get("paper", "")),
        verified=bool(entry.sha256),
    )


def dataset_of(name: str, progress: Progress | None = None) -> Dataset:
    """A dataset by the name of its pack (`NAME.npz`, or `NAME_train.npz` and `NAME_test.npz`) or of its stream.

    Raises `MissingData` for a pack that is not found, and the errors of `read`.
    """
    if name in registry.streams and registry.streams.split(name)[1] is None:
        entries = [DatasetEntry(name=name, reader="stream", stream=name)]
    else:
        forms = ((f"{name}.npz",), (f"{name}_train.npz", f"{name}_test.npz"))
        entries = [DatasetEntry(name=name, reader="pack", files=files) for files in forms]
    entry = next((each for each in entries if find(each, None) is not None), None)
    if entry is None:
        places = ", ".join(str(folder) for folder in [*data_path(), home() / "data"])
        wanted = " or ".join(each.needs for each in entries)
        raise MissingData(
            f"The dataset {name} ({wanted}) was not found in {places}; set CLBENCH_DATA_PATH to a folder that holds it."
        )
    return read(Declaration(name=name, setting=CLASS, size=64, datasets=(entry,)), entry, 64, progress)
