"""A tiny dataset, declared in the place of CIFAR-100, that a local server offers."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from cl.data import catalog
from cl.data.readers import Content, read_packs
from cl.data.sources import RemoteFile
from cl.data.store import Progress
from cl.files import sha256_of

Shown = pytest.CaptureFixture[str]
CLASSES = tuple(f"class{i}" for i in range(100))


def write_pack(path: Path, seed: int = 0) -> Path:
    """Three images of each of 100 classes: two to train on, one to test on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (300, 8, 8, 3), np.uint8)
    labels, split = np.repeat(np.arange(100), 3), np.tile([0, 0, 1], 100)
    np.savez(path, images=pixels, labels=labels, split=split, classes=np.array(CLASSES), meta=np.array("{}"))
    return path


def read(paths: tuple[Path, ...], progress: Progress | None) -> Content:
    return read_packs(paths, progress)


@dataclass
class Tiny:
    """The declared dataset, its archive on the server, and the cache it goes to."""

    served: Path
    cached: Path
    requests: list[str]


class Quiet(SimpleHTTPRequestHandler):
    """Notes requests instead of printing them."""

    requests: list[str] = []  # noqa: RUF012 - replaced for every test

    def log_message(self, *args: object) -> None:
        self.requests.append(self.path)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tiny]:
    """The dataset is declared and its server runs; nothing is in the cache yet."""
    served = write_pack(tmp_path / "server" / "tiny.npz")
    requests: list[str] = []
    monkeypatch.setattr(Quiet, "requests", requests)
    handler = functools.partial(Quiet, directory=str(served.parent))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("CLBENCH_OFFLINE")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/tiny.npz"
        content = read((served,), None)
        declared = replace(
            catalog.DATASETS["cifar100"],
            sizes=(200, 100),
            class_names=CLASSES,
            archive=RemoteFile("tiny.npz", (url,), sha256_of(served), served.stat().st_size),
            read_archive=read,
            sources=(catalog.Source(("tiny_pack.npz",), read),),
            fingerprints={split: store.fingerprint for split, store in content.splits.items()},
        )
        monkeypatch.setitem(catalog.DATASETS, "cifar100", declared)
        yield Tiny(served, tmp_path / "home" / "data" / "tiny.npz", requests)
        server.shutdown()
