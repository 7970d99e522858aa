"""Images that cannot be decoded, found before a dataset is read without them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cl.data.decoded import DAMAGE, publish, temporary_folder
from cl.data.images import UnreadableImage, decode_resized
from cl.data.progress import Bar
from cl.data.store import Progress
from cl.errors import DataError, counted, printable
from cl.files import write_text
from cl.leases import lease
from cl.paths import home, writing_nothing

log = logging.getLogger("clbench.data")

FOUND = "damaged.json"
"""The file of the cache with the damaged images of a folder."""
_SIDE = 8
_TOGETHER = 1024
_LISTED = 50
"""Images that a note names; the cache has them all."""


class DamagedImages(DataError):
    """Images of a user that cannot be decoded: the reason of each by its name. The message names the first fifty."""

    def __init__(self, found: Mapping[str, str]) -> None:
        them = "it" if len(found) == 1 else "them"
        super().__init__(
            f"Cannot read {counted(len(found), 'image')}: {listed(found)}; replace or remove {them}, or leave {them} "
            "out with --skip-damaged (from Python: skip_damaged=True)."
        )
        self.found = dict(found)


def listed(found: Mapping[str, str]) -> str:
    """Names of images with the reason why each cannot be read; of more than fifty the number of the others."""
    names = [f"{printable(name)} ({why})" for name, why in found.items()]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}"


def skipped(found: Mapping[str, str]) -> str:
    """The sentence about images that were left out."""
    return f"Skipped: {counted(len(found), 'damaged image')} ({listed(found)})."


def damaged(root: Path, paths: Sequence[Path], key: str, progress: Progress | None = None) -> dict[Path, str]:
    """The images that cannot be decoded, and why. All are decoded for it once; the cache keeps the result.

    `key` changes if a file does.
    """
    key = hashlib.sha256(f"damaged {key}".encode()).hexdigest()
    folder = home() / "decoded" / key
    found = _read(folder)
    if found is None:
        found = _looked(root, paths, progress) if writing_nothing() else _kept(folder, root, paths, progress)
    return {root / name: why for name, why in found.items()}


def note(root: Path, found: dict[Path, str]) -> tuple[str, ...]:
    """The sentence for users and records: how many images were skipped, and which."""
    if not found:
        return ()
    return (skipped({path.relative_to(root).as_posix(): why for path, why in sorted(found.items())}),)


def _kept(folder: Path, root: Path, paths: Sequence[Path], progress: Progress | None) -> dict[str, str]:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with lease(Path(f"{folder}.lock")) as held:
            found = _read(folder)
            if found is None:
                found = _looked(root, paths, progress)
                with temporary_folder(folder) as temporary:
                    write_text(temporary / FOUND, json.dumps(found))
                    write_text(temporary / "meta.json", json.dumps({"damaged": len(found)}))
                    held.check()
                    publish(temporary, folder)
            return found
    except OSError as error:
        log.warning("The damaged images are looked for by every run: %s cannot be written (%s).", folder.parent, error)
    return _looked(root, paths, progress)


def _looked(root: Path, paths: Sequence[Path], progress: Progress | None) -> dict[str, str]:
    def why(path: Path) -> str:
        try:
            decode_resized(path, _SIDE)
        except UnreadableImage as error:
            return error.reason
        return ""

    found = {}
    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool, Bar("look for damaged images", len(paths), progress) as bar:
        for start in range(0, len(paths), _TOGETHER):
            part = paths[start : start + _TOGETHER]
            for path, reason in zip(part, pool.map(why, part), strict=True):
                if reason:
                    found[path.relative_to(root).as_posix()] = reason
            bar.add(len(part))
    return found


def _read(folder: Path) -> dict[str, str] | None:
    """What an earlier process found; None if nothing is kept, or something damaged."""
    try:
        content = json.loads((folder / FOUND).read_bytes())
        count = json.loads((folder / "meta.json").read_bytes())["damaged"]
        if len(content) != count or not all(isinstance(why, str) for why in content.values()):
            raise ValueError("it has other values")
        return dict(content)
    except FileNotFoundError:
        return None
    except DAMAGE as error:
        log.warning("%s is damaged (%s); the images are looked at again.", folder, error)
        return None
