"""Releases whose published files a local server offers: those of their miniatures."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from cl.data import releases
from cl.data.official.release import Release
from tests.help.releases import written
from tests.help.tiny_dataset import Quiet


def served(release: Release, folder: Path, url: str) -> Release:
    """The release with the addresses, sizes and checksums of its miniature in FOLDER/NAME."""
    written(release.name, folder)
    files = []
    for file in release.files:
        data = (folder / release.name / file.name).read_bytes()
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        files.append(replace(file, urls=(f"{url}/{release.name}/{file.name}",), size=len(data), md5=digest))
    return replace(release, files=tuple(files), access="")


@contextmanager
def server_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """The address of a server of a folder, and the paths that it is asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    requests: list[str] = []
    monkeypatch.setattr(Quiet, "requests", requests)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("CLBENCH_OFFLINE", raising=False)
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
        server.shutdown()


def replaced(monkeypatch: pytest.MonkeyPatch, *changed: Release) -> None:
    """Let `cl.data.releases.release` give these releases."""
    known = {release.name: release for release in changed}
    original = releases.release

    def release(name: str) -> Release:
        return known[name] if name in known else original(name)

    for module in ("cl.data.releases", "cl.declared.declaration", "cl.declared.obtain"):
        monkeypatch.setattr(f"{module}.release", release)
