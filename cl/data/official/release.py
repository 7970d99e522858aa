"""Releases: datasets as their authors published them, with their files, terms and readers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cl.data import reads
from cl.data.official import kaggle
from cl.data.official.files import Files, Folder, Source, open_source
from cl.data.official.foreign import FOREIGN, how_to_unpack
from cl.data.official.listing import Listing, learnable
from cl.data.official.storing import stored
from cl.data.sources import TORCHVISION, RemoteFile, check_md5, check_sha256, fetch, is_offline, missing, searched
from cl.data.store import Dataset, ImageStore, Progress
from cl.errors import DataError, MissingData, counted
from cl.paths import data_path, home

OFFICIAL = 1
"""Version of the decoding of official files; increased when the same files would give other pixels."""

READ, TORCHVISIONS, HANDLERS, MINIATURE = "official files", "torchvision", "dm_nevis", "miniature"
"""How far a reader was tested (`Release.checked`): on the official files; on a miniature, equal to torchvision's loader
or to the handler of NEVIS'22; on a miniature alone."""


@dataclass(frozen=True)
class OfficialFile:
    """A file of a dataset: an archive or a single file.

    `holds` are paths that it leaves when it is unpacked, by which an unpacked copy is recognised; `into` is the folder
    that its content is put into.
    """

    name: str
    urls: tuple[str, ...] = ()
    size: int = 0
    md5: str | None = None
    sha256: str | None = None
    holds: tuple[str, ...] = ()
    into: str = ""

    @property
    def remote(self) -> RemoteFile:
        return RemoteFile(self.name, self.urls, self.sha256, self.size, self.md5)


@dataclass(frozen=True)
class Release:
    """A dataset as published.

    `read` lists the content of its files. `also` are other forms that people have (a mirror's archive), which the same
    `read` reads. `images` is their number in all splits, 0 if no source states it. `access` says what a user has to do
    before a download, and is empty if nothing. `kaggle` is the
    handle of a dataset (OWNER/NAME) or of a competition (NAME) of Kaggle that has the form of the one archive NAME.zip,
    for files that need an account. `folders` are other names of its folder. `checked` is one of `READ`,
    `TORCHVISIONS`, `HANDLERS`, `MINIATURE`. With `own_folder` it is looked for in folders of its name alone, because
    its files have the names of another dataset's. `version` is raised when the same files give other images. `part`
    lists one part of a dataset, such as a session, as images without a split.
    """

    name: str
    title: str
    files: tuple[OfficialFile, ...]
    read: Callable[[Files], Listing]
    classes: int
    images: int
    licence: str
    citation: str
    page: str
    checked: str
    access: str = ""
    also: tuple[tuple[OfficialFile, ...], ...] = ()
    folders: tuple[str, ...] = ()
    multi_label: bool = False
    own_folder: bool = False
    version: int = 1
    part: Callable[[Files, str], Listing] | None = None
    kaggle: str = ""

    @property
    def forms(self) -> tuple[tuple[OfficialFile, ...], ...]:
        """All forms, the published one first."""
        return (self.files, *self.also)

    @property
    def size(self) -> int:
        """Bytes of all files, as far as known."""
        return sum(file.size for file in self.files)

    @property
    def downloadable(self) -> bool:
        """Whether every file can be fetched without an account."""
        return not self.access and all(file.urls for file in self.files)

    @property
    def from_kaggle(self) -> bool:
        """Whether kagglehub is to fetch it: it needs an account, has a handle, and kagglehub is installed."""
        return bool(self.kaggle) and not self.downloadable and kaggle.installed()

    @property
    def unpacked_by_kaggle(self) -> tuple[str, ...]:
        """The paths by which what kagglehub unpacks is recognised and read."""
        archive = f"{self.kaggle.rpartition('/')[2]}.zip"
        return next(form[0].holds for form in self.forms if [file.name for file in form] == [archive])


@dataclass(frozen=True)
class Found:
    """A copy of a release on this machine: its folder, and the files of one form, each packed or unpacked."""

    release: Release
    folder: Path
    form: tuple[OfficialFile, ...]
    packed: tuple[Path | None, ...]  # of each file; None: it is unpacked in `folder`

    @property
    def paths(self) -> tuple[Path, ...]:
        """The archives, and the folders and files of what is unpacked."""
        found: list[Path] = []
        for file, path in zip(self.form, self.packed, strict=True):
            found += [path] if path is not None else [self.folder / each for each in file.holds]
        return tuple(dict.fromkeys(found))

    def __str__(self) -> str:
        return listed([str(path) for path in self.paths], " + ")

    def open(self) -> Files:
        """The files; raises `DataError` for a damaged archive."""
        sources: list[Source] = []
        for file, path in zip(self.form, self.packed, strict=True):
            sources.append(Folder(self.folder, file.holds) if path is None else open_source(path, file.into))
        return Files(sources, str(self.folder))


def places(release: Release) -> Iterator[Path]:
    """The folders that are searched, in order."""
    names = (release.name, *release.folders)
    for root in [*data_path(), home() / "data"]:
        for name in names:
            yield root / name
        if not release.own_folder:
            yield from (root, root / "images", root / TORCHVISION)
        yield from (root / TORCHVISION / name for name in names)


def find(release: Release) -> Found | None:
    """The first folder that has every file of a release, packed or unpacked; else one of which the cache has the rest.

    None if there is neither.
    """
    found = next((found for folder in places(release) if (found := find_in(release, folder)) is not None), None)
    found = found or completed(release)
    reads.note_search(found.paths if found is not None else (), release=release.name)
    return found


def find_in(release: Release, folder: Path) -> Found | None:
    """The copy of a release in one folder, packed or unpacked; None if there is none."""
    for form in release.forms:
        packed = [_there(folder, file) for file in form]
        if all(packed):
            return Found(release, folder, form, tuple(path if path != folder else None for path in packed))
    return None


def completed(release: Release) -> Found | None:
    """The copy of a release of which the cache has the files that another folder lacks; None if files lack."""
    folder, own = _fullest(release), home() / "data" / release.name
    if folder == own or lacking(release):
        return None
    there = [_there(folder, file) or own / file.name for file in release.files]
    return Found(release, folder, release.files, tuple(path if path != folder else None for path in there))


def lacking(release: Release) -> list[OfficialFile]:
    """The published files that are to be downloaded: neither in the folder that has most of them nor in the cache."""
    folder, own = _fullest(release), home() / "data" / release.name
    return [file for file in release.files if not _there(folder, file) and not (own / file.name).is_file()]


def _fullest(release: Release) -> Path:
    """The folder of its name that has most of the published files; the cache's own if none has any.

    A folder of several datasets may have another one's file of the same name.
    """
    names = (release.name, *release.folders)
    folders = [
        root / sub / name for root in [*data_path(), home() / "data"] for sub in ("", TORCHVISION) for name in names
    ]
    counts = [len(here_in(folder, release.files)) for folder in folders]
    return folders[counts.index(max(counts))] if any(counts) else home() / "data" / release.name


def here_in(folder: Path, form: Sequence[OfficialFile]) -> tuple[str, ...]:
    """The names of the files of a form that are in a folder, packed or unpacked."""
    return tuple(file.name for file in form if _there(folder, file))


def absent(release: Release) -> dict[Path, list[str]]:
    """For each searched folder that has some, but not all files of a form: the names of those that lack.

    Of several forms it is the one that lacks the fewest.
    """
    lacking: dict[Path, list[str]] = {}
    for folder in places(release):
        for form in release.forms:
            there = here_in(folder, form)
            names = [file.name for file in form if file.name not in there]
            if there and names and len(names) < len(lacking.get(folder, [*names, ""])):
                lacking[folder] = names
    return lacking


def in_part(release: Release) -> str:
    """ "FOLDER lacks FILES" for the first searched folder that has some files of a release, else an empty string."""
    for folder, names in absent(release).items():
        return f"{folder} lacks {listed(names, ', ')}"
    return ""


def listed(names: Sequence[str], between: str) -> str:
    """Names of files in a sentence; of many, their number, the first and the last."""
    return between.join(names) if len(names) < 9 else f"{len(names)} files, {names[0]} to {names[-1]}"


def _there(folder: Path, file: OfficialFile) -> Path | None:
    """The path of a file, the folder itself if the file is unpacked in it, None if it is not there.

    What is unpacked is preferred to an archive that clbench cannot unpack.
    """
    unpacked = bool(file.holds) and all((folder / path).exists() for path in file.holds)
    if (folder / file.name).is_file() and not (unpacked and file.name.lower().endswith(FOREIGN)):
        return folder / file.name
    return folder if unpacked else None


def obtain(release: Release, progress: Progress | None = None) -> Found:
    """The copy to use, downloaded into the cache if it is nowhere. Raises `MissingData` with what to do."""
    found = find(release)
    if found is not None:
        return found
    if not release.downloadable and not release.from_kaggle:
        part = f" ({part})" if (part := in_part(release)) else ""
        raise MissingData(f"{release.title} was not found in {searched()}{part}; {how_to_get(release)}")
    if is_offline():
        raise missing(release.title, [in_part(release) or listed([file.name for file in release.files], " + ")])
    if release.from_kaggle:
        kaggle.fetch(release.kaggle, release.title, release.unpacked_by_kaggle, home() / "data" / release.name)
    else:
        for file in lacking(release):
            name, remote = f"{release.name}/{file.name}", file.remote
            fetch(RemoteFile(name, remote.urls, remote.sha256, remote.size, remote.md5), progress)
    found = find(release)
    if found is None:
        raise DataError(f"{release.title} was downloaded and is not in {home() / 'data' / release.name}; run again.")
    return found


def how_to_get(release: Release) -> str:
    """One sentence without a capital letter: what to get where, and into which folder to put it."""
    names = listed([file.name for file in release.files], " and ")
    names += "," if len(release.files) > 8 else ""
    why = f"{release.access}, then put" if release.access else f"get it from {release.page} and put"
    there = f"{why} {names} (or what they unpack to) into a folder {release.name}/ of CLBENCH_DATA_PATH"
    if release.kaggle and not kaggle.installed():
        return f"{there}, or {kaggle.PIP} and run `clbench data get {release.name}`."
    return f"{there}."


def to_unpack(found: Found) -> str:
    """The sentence for a copy with an archive that a user must unpack first, without a full stop; else empty.

    Raises `OSError` for an archive that cannot be read.
    """
    for file, path in zip(found.form, found.packed, strict=True):
        if path is not None and (how := how_to_unpack(path, file.into)):
            return how
    return ""


def verify(found: Found) -> None:
    """Compare the archives with the published checksums. Raises `DataError` for the first that differs."""
    for file, path in zip(found.form, found.packed, strict=True):
        if path is not None:
            check_sha256(path, file.sha256)
            check_md5(path, file.md5)


def load(
    found: Found, size: int, progress: Progress | None = None, change: Callable[[Listing], Listing] | None = None,
    part: str = "",
) -> Dataset:  # fmt: skip
    """The dataset in a copy, decoded to [size, size] once and cached. Raises `DataError` for damaged or foreign files.

    Classes without training images are left out, which a note says. The test store is empty for a dataset without a
    split of its own. An official validation set is `Dataset.val`. The stores of a dataset with several classes per
    image have tags. `change` is applied to the listing first, `part` names the part to read.
    """
    release = found.release
    reads.note(*found.paths)
    files = found.open()
    if part and release.part is not None:
        whole, where = replace(release, images=0), f"{part} in {found.folder}"
        listing = checked(whole, release.part(files, part), where, files.lists)
    else:
        listing = checked(release, release.read(files), str(found.folder), files.lists)
    listing = learnable(listing if change is None else change(listing))
    if listing.multi_label != release.multi_label:  # a plan decides by the release what a method can learn
        raise DataError(f"{found.folder} is not {release.title}: it differs in whether images have several classes.")
    version = f"official {OFFICIAL} {release.name} {release.version}"
    stores = {
        split: stored(f"{release.title} {split}", f"{version} {split}", each, size, progress)
        for split, each in listing.splits.items()
    }
    train = stores["all"] if "all" in stores else stores["train"]
    none = np.empty((0, len(listing.class_names)), np.bool_) if listing.multi_label else np.empty(0, np.int64)
    empty = ImageStore.from_arrays(np.empty((0, *train.image_shape), np.uint8), none)
    return Dataset(
        name=release.name,
        train=train,
        test=stores.get("test", empty),
        val=stores.get("val"),
        class_names=listing.class_names,
        origin=str(found.folder),
        licence=release.licence,
        citation=release.citation,
        notes=listing.notes,
        shares={release.name: len(listing) / release.images} if release.images and not part else {},
    )


def checked(release: Release, listing: Listing, where: str, lists: Sequence[str] = ()) -> Listing:
    """The listing of what is in `where`, with a note if it has fewer or more images than the release.

    `lists` are the files that name images and classes, for an error.
    Raises `DataError` if the number of classes is another one, or a split has no images.
    """
    by = f" by {listed(list(dict.fromkeys(lists)), ', ')}" if lists else ""
    if len(listing.class_names) != release.classes:
        raise DataError(
            f"{where} is not {release.title}: it has {counted(len(listing.class_names), 'class')}, expected "
            f"{release.classes}{by}; get the whole dataset and run again."
        )
    if empty := [split for split, each in listing.splits.items() if not len(each)]:
        raise DataError(
            f"{where} has no {empty[0]} images of {release.title}{by}; get the whole dataset and run again."
        )
    if not release.images or len(listing) == release.images:
        return listing
    unseen = listing.unseen() if len(listing) < release.images else []
    of = f", none of {listed(unseen, ', ')}{by}," if unseen else ""
    note = (
        f"{release.title} has {counted(len(listing), 'image')} here{of} and {release.images:,} as "
        "published; results are not those of the whole dataset."
    )
    return Listing(listing.class_names, listing.splits, (*listing.notes, note))
