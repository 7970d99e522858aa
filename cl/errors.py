"""Errors a user can act on: one clear sentence that names the fix, and its exit code."""

from __future__ import annotations

import difflib
import os
import re


class ClbenchError(Exception):
    """A run failed; the message is one sentence that names the fix."""

    exit_code = 1


class UsageError(ClbenchError):
    """A name, option or value is wrong."""

    exit_code = 2


class Incompatible(UsageError):
    """A strategy with these options does not support the stream; the other runs of a grid continue."""


class DataError(ClbenchError):
    """Data or weights are missing, cannot be read, or do not match their checksum."""

    exit_code = 3


class MissingData(DataError):
    """Data is not on this machine. With `downloads` a run would download it."""

    downloads: bool = False


class NonFiniteLoss(ClbenchError):
    """The loss became NaN or infinite."""

    exit_code = 4


class OutsideInterval(ClbenchError):
    """A reproduced number fell outside its expected interval."""

    exit_code = 5


class RunInUse(ClbenchError):
    """Another process is running this run."""


class ContractError(ClbenchError):
    """A strategy or stream broke the contract of `cl` (see docs/strategy-contract.md)."""


class StorageError(ClbenchError):
    """A file could not be written (full disk, read-only folder, size limit)."""


INTERRUPTED = 130
"""Exit code of a run stopped by the user; the same command continues it."""

TERMINATED = 143
"""Exit code after SIGTERM, which batch systems send; the same command continues a run."""


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters that move the cursor, colour the terminal or reorder text: C0, DEL, C1, line separators, overrides."""


def printable(text: str) -> str:
    r"""Text from a record, a plugin or a file name on one line, with control characters as \x1b and the like."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def sentence(error: BaseException) -> str:
    """An error message on one line; errors other than `ClbenchError` and of files are marked as unexpected."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        name = os.fsdecode(error.filename)
        name = name if len(name) <= 300 else f"{name[:150]}...{name[-150:]}"
        return f"cannot use {printable(name)}: {error.strerror}; check the path and its permissions."
    text = printable(" ".join(str(error).split()))
    return text if isinstance(error, ClbenchError) else f"unexpected {type(error).__name__}: {text}".rstrip(": ") + "."


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is 1: 1 class, 2 classes, 1,000 images."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


def did_you_mean(name: str, known: list[str]) -> str:
    """' Did you mean ...?' if a similar name is known, else an empty string."""
    lower = {candidate.lower(): candidate for candidate in known}
    close = [lower[match] for match in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.6)]
    return f" Did you mean {' or '.join(close)}?" if close else ""
