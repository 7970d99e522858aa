"""The folder of a run while it is written: one process at a time, its log, and starting over."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from cl import leases
from cl.commits import guarded
from cl.errors import RunInUse
from cl.files import storage_error
from cl.leases import Held, Holder, acquire, is_lease
from cl.plan.config_file import CONFIG
from cl.records.record import RECORD

LOG = "log.txt"
LOCK = ".lock"
MARKS = (CONFIG, RECORD, "checkpoint")
"""Files that show that a folder holds a run."""

KEEP_LEARNER = (
    "run again with --save-learner --existing always (from Python: save_learner=True, existing='always') to keep it"
)

log = logging.getLogger("clbench")

_LOGGED = "_clbench_log"
"""Attribute of an exception whose traceback a log has: the path of the log."""


def clear(folder: Path) -> None:
    """Delete the files of an earlier run, except the lease, which we hold."""
    for path in folder.iterdir():
        if is_lease(path.name, LOCK):
            continue
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            raise storage_error(path, error) from error


@contextlib.contextmanager
def locked(folder: Path, tell: Callable[[str], None] = log.warning) -> Iterator[None]:
    """Hold a run's folder, so that files in it are committed (`cl.commits`); `tell` gets messages about its disk.

    Raises `RunInUse` if another process holds it. A process of another machine is watched until its counter changes,
    which takes seconds, or until it counts as dead.
    """
    try:
        held = acquire(folder / LOCK, wait=False)
    except Held:
        raise RunInUse(f"Another process is running {folder}; wait for it, or choose another --results.") from None
    except OSError as error:
        raise storage_error(folder / LOCK, error) from error
    try:
        with guarded(folder, held.check, tell):
            yield
    finally:
        held.release()


def holder(folder: Path) -> Holder | None:
    """Who is running the run of a folder, as far as this machine knows; it is not disturbed."""
    return leases.holder(folder / LOCK)


class _LogFile(logging.FileHandler):
    whole = True
    """Whether everything was written."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore a full disk here: writing the record will report it."""
        self.whole = False


def log_of(error: BaseException) -> Path | None:
    """The log that has the traceback of an error, None if none has: a complete run that is only checked writes none."""
    return getattr(error, _LOGGED, None)


@contextlib.contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Write the log of a run to its folder, with the traceback of an error that ends it."""
    try:
        handler = _LogFile(folder / LOG, encoding="utf-8")
    except OSError as error:
        raise storage_error(folder / LOG, error) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = log.level
    log.addHandler(handler)
    if log.getEffectiveLevel() > logging.INFO:
        log.setLevel(logging.INFO)
    try:
        yield
    except KeyboardInterrupt:
        log.info("interrupted")
        raise
    except Exception as error:
        log.error("%s: %s", type(error).__name__, error, exc_info=True)
        if handler.whole:
            with contextlib.suppress(AttributeError):  # of an exception with slots
                setattr(error, _LOGGED, folder / LOG)
        raise
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        with contextlib.suppress(OSError):  # a full disk: the error that ended the run reports it
            handler.close()
