"""`clbench data` on a tiny dataset that a local server offers: found, fetched, verified, removed."""

from __future__ import annotations

import functools
import io
import json
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from cl import registry
from cl.cli import call
from cl.data import catalog
from cl.data.readers import Content, read_packs
from cl.data.sources import RemoteFile
from cl.data.store import Progress
from cl.files import sha256_of
from cl.strategy import Strategy

Shown = pytest.CaptureFixture[str]
CLASSES = tuple(f"class{i}" for i in range(100))


class Zeros(Strategy):
    """Learns nothing."""

    def learn(self, view: Any) -> None:
        pass

    def predict(self, inputs: Any, task: int | None = None) -> torch.Tensor:
        return torch.zeros(len(inputs), 100)


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
    requests: list[str] = []  # noqa: RUF012 - replaced for every test

    def log_message(self, *args: object) -> None:
        self.requests.append(self.path)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tiny]:
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


def test_list_says_what_is_here_and_what_it_may_be_used_for(tiny: Tiny, capsys: Shown) -> None:
    assert call(["data", "list"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"\| cifar100 +\| not here +\|", shown) and "170.5 MB" in shown
    assert "Licence: none stated" in shown and "Cite: Krizhevsky" in shown
    assert call(["data", "get", "cifar100"]) == 0
    capsys.readouterr()
    assert call(["data", "list", "--json"]) == 0
    (found,) = [item for item in json.loads(capsys.readouterr().out) if item["name"] == "cifar100"]
    assert found["here"] == str(tiny.cached) and found["bytes"] == tiny.served.stat().st_size
    assert found["verified"] is True


def test_get_shows_licence_and_citation_before_it_downloads_and_downloads_once(
    tiny: Tiny, capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    serve = SimpleHTTPRequestHandler.do_GET

    def look(handler: SimpleHTTPRequestHandler) -> None:
        seen.append(capsys.readouterr().err)
        serve(handler)

    monkeypatch.setattr(Quiet, "do_GET", look)
    assert call(["data", "get", "cifar100"]) == 0
    assert "Downloading CIFAR-100" in seen[0] and "Licence: none stated" in seen[0] and "cite: Krizhevsky" in seen[0]
    assert f"CIFAR-100 is here now: {tiny.cached}" in capsys.readouterr().out
    assert call(["data", "get", "cifar100"]) == 0
    shown = capsys.readouterr()
    assert "was here already" in shown.out and "Downloading" not in shown.err
    assert len(tiny.requests) == len(seen) == 1


def test_a_run_that_downloads_says_so_on_stderr_first(tiny: Tiny, capsys: Shown) -> None:
    registry.strategies.register("zeros", Zeros)
    try:
        assert call(["run", "-s", "zeros", "--stream", "split-cifar100", "--max-tasks", "1"]) == 0
    finally:
        registry.strategies.unregister("zeros")
    shown = capsys.readouterr()
    assert "Licence: none stated" in shown.err and "Krizhevsky" in shown.err
    assert "Licence" not in shown.out
    assert shown.err.index("Licence") < shown.err.index("download tiny.npz")


def test_offline_and_unknown_names_are_one_sentence(tiny: Tiny, capsys: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    assert call(["data", "get", "cifar100"]) == 3
    assert "CLBENCH_OFFLINE forbids downloading it" in capsys.readouterr().err
    assert call(["data", "verify", "cifar100"]) == 3
    assert "`clbench data get cifar100` fetches it" in capsys.readouterr().err
    for action in ("get", "verify", "where", "remove"):
        assert call(["data", action, "cifar1000"]) == 2
        assert "There is no dataset 'cifar1000'. Did you mean cifar100" in capsys.readouterr().err
    assert tiny.requests == []


def test_where_shows_every_place_in_order(
    tiny: Tiny, capsys: Shown, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    second = write_pack(tmp_path / "b" / "images" / "tiny_pack.npz")
    monkeypatch.setenv("CLBENCH_DATA_PATH", os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert call(["data", "get", "cifar100"]) == 0  # found, not fetched
    assert tiny.requests == []
    write_pack(tiny.cached)
    capsys.readouterr()
    assert call(["data", "where", "cifar100", "--json"]) == 0
    places = json.loads(capsys.readouterr().out)
    assert [place["folder"] for place in places if place["names"] == ["tiny_pack.npz"]][::5] == [
        str(tmp_path / "a"), str(tmp_path / "b"), str(tiny.cached.parent),
    ]  # fmt: skip
    assert [(place["folder"], place["root"], place["used"]) for place in places if place["found"]] == [
        (str(second.parent), "CLBENCH_DATA_PATH", True),
        (str(tiny.cached.parent), "cache", False),
    ]
    assert call(["data", "where", "cifar100"]) == 0
    shown = capsys.readouterr().out
    assert "| used " in shown and "| found " in shown and "no such folder" in shown


def test_verify_compares_archive_and_content(tiny: Tiny, capsys: Shown, tmp_path: Path) -> None:
    assert call(["data", "get", "cifar100"]) == 0
    capsys.readouterr()
    assert call(["data", "verify", "cifar100", "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)
    assert [(check["what"], check["state"]) for check in checks] == [(w, "ok") for w in ("archive", "train", "test")]
    assert all(check["found"] == check["expected"] for check in checks)

    write_pack(tmp_path / "home" / "data" / "tiny_pack.npz", seed=1)  # the form of the dataset, another content
    assert call(["data", "verify", "cifar100"]) == 3
    shown = capsys.readouterr()
    assert "does not hold the train images of CIFAR-100" in shown.err and "| wrong |" in shown.out
    (tmp_path / "home" / "data" / "tiny_pack.npz").unlink()

    raw = bytearray(tiny.cached.read_bytes())
    raw[-1000] ^= 1
    tiny.cached.write_bytes(raw)
    assert call(["data", "verify", "cifar100"]) == 3
    shown = capsys.readouterr()
    assert shown.err.count("Error:") == 1 and "its SHA-256 is" in shown.err and "| archive | wrong |" in shown.out


def test_verify_reads_cached_pixels_again(tmp_path: Path, tiny: Tiny, capsys: Shown) -> None:
    write_pack(tiny.cached)
    with np.load(tiny.cached) as pack:
        arrays = {name: pack[name] for name in pack.files}
    files = []
    for image in arrays.pop("images"):
        Image.fromarray(image).save(buffer := io.BytesIO(), "png")
        files.append(buffer.getvalue())
    offsets = np.cumsum([0, *map(len, files)])
    data = np.frombuffer(b"".join(files), np.uint8)
    np.savez(tmp_path / "home" / "data" / "tiny_pack.npz", data=data, offsets=offsets, **arrays)
    tiny.cached.unlink()
    assert call(["data", "verify", "cifar100"]) == 0
    pixels = next(
        path for path in (tmp_path / "home" / "decoded").rglob("pixels.npy") if path.stat().st_size > 100 * 192 + 999
    )
    raw = bytearray(pixels.read_bytes())
    raw[-1] ^= 1
    pixels.write_bytes(raw)
    capsys.readouterr()
    assert call(["data", "verify", "cifar100"]) == 3
    assert "run `clbench cache clean decoded`" in capsys.readouterr().err
    assert call(["cache", "clean", "decoded", "--yes"]) == 0
    assert call(["data", "verify", "cifar100"]) == 0


def test_remove_takes_from_the_cache_only(
    tiny: Tiny, capsys: Shown, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    theirs = write_pack(tmp_path / "theirs" / "tiny_pack.npz")
    foreign = tiny.cached.with_name("foreign.txt")
    write_pack(tiny.cached)
    foreign.write_text("mine")
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(theirs.parent))
    assert call(["data", "remove", "cifar100", "--dry-run"]) == 0
    assert "Would free" in capsys.readouterr().out and tiny.cached.exists()
    assert call(["data", "remove", "cifar100"]) == 2  # nobody to ask
    assert "give --yes" in capsys.readouterr().err and tiny.cached.exists()
    assert call(["data", "remove", "cifar100", "--yes"]) == 0
    shown = capsys.readouterr().out
    assert "Freed 6" in shown and f"Stays, as it is not in the cache: {theirs}" in shown
    assert not tiny.cached.exists() and theirs.exists() and foreign.exists()
    assert call(["data", "remove", "cifar100", "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_remove_never_touches_a_data_folder_even_where_the_cache_lies_in_it(
    tiny: Tiny, capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pack(tiny.cached)
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tiny.cached.parent.parent))
    assert call(["data", "remove", "cifar100", "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().out and tiny.cached.exists()


@pytest.mark.parametrize(("answer", "code", "there"), [("y\n", 0, False), ("n\n", 1, True)])
def test_remove_asks(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: Shown, answer: str, code: int, there: bool
) -> None:
    write_pack(tiny.cached)
    monkeypatch.setattr("cl.cli.text.sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda *_: answer.strip())
    assert call(["data", "remove", "cifar100"]) == code
    assert tiny.cached.exists() is there


def test_remove_waits_for_nobody(tiny: Tiny, capsys: Shown) -> None:
    write_pack(tiny.cached)
    with FileLock(f"{tiny.cached}.lock"):
        assert call(["data", "remove", "cifar100", "--yes"]) == 1
    assert "Another process holds" in capsys.readouterr().err and tiny.cached.exists()
