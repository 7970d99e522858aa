"""`clbench data` for one dataset in official files: its places, its checksums, its files in the cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cl import registry
from cl.data import releases
from cl.data.official.release import Found, OfficialFile, Release, completed, find_in, here_in, in_part, places
from cl.data.sources import check_md5, check_sha256, recorded_sha256
from cl.declared.declaration import Declaration
from cl.errors import ClbenchError, DataError, sentence
from cl.housekeeping.datasets import CACHE, PATH, Place, in_data_path
from cl.housekeeping.releases import declared
from cl.paths import home

UNPUBLISHED = "no checksum is published"
UNPACKED = "unpacked: nothing to compare with"


@dataclass(frozen=True)
class FileCheck:
    """One file of one copy: what it was compared with ("SHA-256", "MD5", "size", or nothing), and how that ended."""

    where: str
    file: str
    compared: str
    state: str
    problem: str | None = None


def places_of(release: Release) -> list[Place]:
    """Every folder that is searched for a release, once for each form, in search order; the first whole one is used."""
    looked = []
    for folder in dict.fromkeys(places(release)):
        kind = CACHE if folder.is_relative_to(home() / "data") else PATH
        for form in release.forms:
            names = tuple(file.name for file in form)
            try:
                found = here_in(folder, form)
                looked.append(Place(kind, folder, names, found))
            except OSError as error:
                looked.append(Place(kind, folder, names, (), sentence(error)))
    return looked


def copies_of(release: Release) -> list[Found]:
    """The whole copies of a release on this machine, in search order."""
    found = [find_in(release, folder) for folder in dict.fromkeys(places(release))]
    found += [completed(release)] if not any(found) else []
    return [each for each in found if each is not None]


def checks_of(release: Release) -> list[FileCheck]:
    """Compare every file of every copy with what its authors publish. Raises `DataError` if there is no whole copy."""
    found = copies_of(release)
    if not found:
        part = f" ({part})" if (part := in_part(release)) else ""
        raise DataError(
            f"{release.title} is not whole on this machine{part}, so there is nothing to verify; "
            f"`clbench data get {release.name}` fetches it or says how to get it."
        )
    return [check for copy in found for check in _checks(copy)]


def _checks(copy: Found) -> Iterator[FileCheck]:
    for file, path in zip(copy.form, copy.packed, strict=True):
        if path is None:
            yield FileCheck(str(copy.folder), file.name, "", UNPACKED)
            continue
        recorded = recorded_sha256(path)
        if file.sha256 or file.md5:
            compared = " and ".join(name for name, digest in _digests(file) if digest)
        else:
            compared = "SHA-256 of the first download" if recorded else "size" if file.size else ""
        problem = _problem(file, path)
        state = "wrong" if problem else "ok" if file.sha256 or file.md5 or recorded else UNPUBLISHED
        yield FileCheck(str(path), file.name, compared, state, problem)


def _digests(file: OfficialFile) -> tuple[tuple[str, str | None], ...]:
    return ("SHA-256", file.sha256), ("MD5", file.md5)


def _problem(file: OfficialFile, path: Path) -> str | None:
    """What is wrong with a file, None if it is what was published as far as that is known."""
    try:
        check_sha256(path, file.sha256)
        check_md5(path, file.md5)
        size = path.stat().st_size
    except DataError as error:
        return str(error)
    except OSError as error:
        return sentence(error)
    if file.size and size != file.size and not (file.sha256 or file.md5):
        return f"{path} has {size:,} bytes, and {file.size:,} as published; delete it and get it again."
    return None


def removable_of(release: Release) -> list[Path]:
    """What the cache holds of a release in folders of its name, with partial downloads and recorded checksums.

    Folders that several datasets share are left alone, and so is what a link leads to: of a folder that is a link,
    it is the link alone.
    """
    root = home() / "data"
    names: list[str] = []
    for file in (file for form in release.forms for file in form):
        names += [file.name, *file.holds, *(f"{file.name}.{end}" for end in ("part", "sha256"))]
    folders = [root / folder for folder in (release.name, *release.folders)]
    found = [
        path for folder in folders for path in ((folder,) if folder.is_symlink() else (folder / name for name in names))
    ]
    real = root.resolve()
    return [
        path
        for path in dict.fromkeys(found)
        if os.path.lexists(path) and not in_data_path(path) and path.parent.resolve().is_relative_to(real)
    ]


def where_is(release: Release) -> tuple[str | None, str]:
    """The first whole copy of a release, None without one; and why a place cannot be read, else an empty string."""
    problem = ""
    for folder in dict.fromkeys(places(release)):
        try:
            if (found := find_in(release, folder)) is not None:
                return str(found), problem
        except OSError as error:
            problem = problem or sentence(error)
    rest = completed(release) if not problem else None
    return (None if rest is None else str(rest)), problem


def families() -> dict[str, list[str]]:
    """The names of the releases that each declared stream reads, and of those that none reads under "no stream"."""
    found: dict[str, list[str]] = {}
    for stream in registry.streams:
        if stream.endswith((":", "/")) or stream.startswith("*") or (declaration := _declaration(stream)) is None:
            continue
        entries = (*declaration.datasets, *declaration.unlearned)
        names = dict.fromkeys(entry.release or entry.also or entry.name for entry in entries)  # a pack: by its name
        if known := [name for name in names if name in releases.names()]:
            found[stream] = known
    read = {name for names in found.values() for name in names}
    if left := [name for name in releases.names() if name not in read]:
        found["no stream"] = left
    return found


def _declaration(stream: str) -> Declaration | None:
    try:
        return declared(stream)
    except ClbenchError:  # a plugin that cannot be imported; `clbench list streams` reports it
        return None
