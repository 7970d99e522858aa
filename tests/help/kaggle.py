"""A stand-in for the library kagglehub, which behaves as its documentation says, and a way to hide the library."""

from __future__ import annotations

import sys
import zipfile
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import requests


class UnauthenticatedError(Exception):
    def __init__(self, message: str = "User is not authenticated") -> None:
        super().__init__(message)


class KaggleApiHTTPError(requests.HTTPError):
    def __init__(self, message: str, response: object = None) -> None:
        super().__init__(message)
        self.response = response  # type: ignore[assignment]


class DataCorruptionError(Exception):
    pass


@dataclass
class FakeKaggle:
    """Kaggle's archives by handle, their version, its cache, the handles asked for, and the error that it raises."""

    cache: Path
    archives: dict[str, Path] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    error: Exception | None = None
    version: int = 1

    def refuse(self, status: int) -> None:
        """Let every download end with an error of the server, whose message has several lines."""
        self.error = KaggleApiHTTPError(
            f"{status} Client Error.\n\nYou don't have permission.", SimpleNamespace(status_code=status)
        )

    def dataset_download(self, handle: str, path: str | None = None, *, force_download: bool = False) -> str:
        """The folder of the unpacked archive, in a folder of its version."""
        assert handle.count("/") == 1
        return self._unpacked(handle, self.cache / "datasets" / handle / "versions" / str(self.version))

    def competition_download(self, handle: str, path: str | None = None, *, force_download: bool = False) -> str:
        assert "/" not in handle
        return self._unpacked(handle, self.cache / "competitions" / handle)

    def _unpacked(self, handle: str, target: Path) -> str:
        self.asked.append(handle)
        if self.error is not None:
            raise self.error
        if not target.exists():
            with zipfile.ZipFile(self.archives[handle]) as archive:
                archive.extractall(target)
        return str(target)


def installed(monkeypatch: pytest.MonkeyPatch, cache: Path) -> FakeKaggle:
    """Install the stand-in in the place of kagglehub."""
    fake = FakeKaggle(cache)
    exceptions = ModuleType("kagglehub.exceptions")
    for error in (UnauthenticatedError, KaggleApiHTTPError, DataCorruptionError):
        setattr(exceptions, error.__name__, error)
    module = ModuleType("kagglehub")
    module.__spec__ = ModuleSpec("kagglehub", None)
    module.__dict__.update(
        exceptions=exceptions, dataset_download=fake.dataset_download, competition_download=fake.competition_download
    )
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    monkeypatch.setitem(sys.modules, "kagglehub.exceptions", exceptions)
    return fake


def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let kagglehub be not installed."""
    monkeypatch.setitem(sys.modules, "kagglehub", None)
