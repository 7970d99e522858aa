"""Files of Kaggle, downloaded by its own library kagglehub: an optional package."""

from __future__ import annotations

import os
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cl.errors import ClbenchError, DataError, MissingData, StorageError, UsageError

PIP = "pip install 'clbench[kaggle]'"
_ACCOUNT = (
    "create a token at https://www.kaggle.com/settings, put it where kagglehub looks for it (~/.kaggle, or "
    "KAGGLE_USERNAME and KAGGLE_KEY) and run the same command"
)
_FAILURES = (OSError, ValueError, EOFError, zipfile.BadZipFile, tarfile.TarError)
"""What a download or an archive raises, apart from the library's own errors; those of requests are `OSError`."""
_ONE = threading.Lock()
"""kagglehub shows a progress bar of its own and does not say that threads may share it."""


def installed() -> bool:
    """Whether kagglehub is installed; it is not imported, which takes a second."""
    return find_spec("kagglehub") is not None


def page(handle: str) -> str:
    """The address of a dataset (OWNER/NAME) or of a competition (NAME)."""
    return f"https://www.kaggle.com/{'datasets' if '/' in handle else 'competitions'}/{handle}"


def fetch(handle: str, title: str, names: Sequence[str], target: Path) -> None:
    """Download a dataset or a competition into kagglehub's cache, and link `names` of it into the folder `target`.

    kagglehub compares the checksum that Kaggle sends, unpacks the archive and deletes it. What its cache has is not
    downloaded again. Raises `UsageError` if kagglehub cannot be imported, `MissingData` if Kaggle refuses the account,
    `DataError` if the download fails or lacks a name, `StorageError` if a folder cannot be written.
    """
    from filelock import FileLock

    first = target / names[0]
    try:
        first.parent.mkdir(parents=True, exist_ok=True)
        with _ONE, FileLock(f"{first}.lock"):  # `clbench data remove` looks for this lock
            source = _download(handle, title)
            if lacking := [name for name in names if not (source / name).exists()]:
                raise DataError(
                    f"{page(handle)} has no {lacking[0]}, from which clbench reads {title}: its layout has changed; "
                    f"put the earlier files into a folder {target.name}/ of CLBENCH_DATA_PATH."
                )
            for name in names:
                _link(source / name, target / name)
    except OSError as error:  # of the folder, its lock and its links; _download handles failed downloads
        raise StorageError(f"The cache {target} cannot be written; set CLBENCH_HOME to a folder you own.") from error


def _download(handle: str, title: str) -> Path:
    """The folder of kagglehub's cache with the files."""
    try:
        import kagglehub
        from kagglehub import exceptions
    except ImportError as error:
        raise UsageError(f"kagglehub is installed, but cannot be imported: {error}; install it again.") from error
    own = [each for each in vars(exceptions).values() if isinstance(each, type) and issubclass(each, Exception)]
    failures: tuple[type[Exception], ...] = (*own, *_FAILURES)
    try:
        return Path(kagglehub.dataset_download(handle) if "/" in handle else kagglehub.competition_download(handle))
    except exceptions.UnauthenticatedError as error:
        raise MissingData(f"{title} comes from {page(handle)}, which needs a Kaggle account; {_ACCOUNT}.") from error
    except failures as error:
        raise _failure(handle, title, error) from error


def _failure(handle: str, title: str, error: Any) -> ClbenchError:
    """The error in one sentence; most messages of kagglehub have several lines."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return MissingData(
            f"Kaggle refuses {title} (HTTP {status}); accept its terms at {page(handle)} with your account, and if you "
            f"have no token {_ACCOUNT}."
        )
    if status == 404:
        return DataError(
            f"{title} is not at {page(handle)} any more (HTTP 404); put its files into a folder of CLBENCH_DATA_PATH "
            "that has its name."
        )
    if isinstance(error, OSError) and error.errno and not isinstance(error, (ConnectionError, TimeoutError)):
        return StorageError(
            f"kagglehub cannot write {error.filename or 'its cache'} ({error.strerror}); free space, or set "
            "KAGGLEHUB_CACHE to another folder, and run the same command again."
        )
    said = "" if isinstance(error, OSError) else ": " + " ".join(str(error).split())  # those of requests are very long
    what = f"HTTP {status}" if status else f"{type(error).__name__}{said}".rstrip(": .")
    return DataError(
        f"{title} could not be downloaded from {page(handle)} ({what}); check the network and your Kaggle token, and "
        "run the same command again."
    )


def _link(source: Path, target: Path) -> None:
    """Make `target` a link to `source`, or move it there on a file system without links; files are left as they are."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink():  # of an earlier download, which may have been deleted
        target.unlink()
    elif target.exists():
        return
    try:
        os.symlink(source.resolve(), target, target_is_directory=source.is_dir())
    except (NotImplementedError, PermissionError):  # Windows without the privilege, exFAT
        shutil.move(source, target)
