"""Look-up order, downloads from a local server (resumed, checked, mirrored), and what users are told."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cl.data import sources
from cl.data.reads import recording
from cl.data.sources import RemoteFile, candidates, check_sha256, fetch, find_file, found_again
from cl.errors import DataError, StorageError

BODY = bytes(range(256)) * 2000

SHA = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves BODY under /good; /plain ignores ranges, /cut breaks off half-way, /wrong sends something else."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None]] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name, wanted = self.path.strip("/"), self.headers.get("Range")
        self.server.requests.append((name, wanted))
        if name == "missing":
            self.send_error(404)
            return
        body = b"<html>" * 100 if name == "wrong" else BODY
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and name != "plain" else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : len(body) // 2 if name == "cut" else None])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()


@pytest.fixture
def online(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("CLBENCH_OFFLINE")
    return cache


def remote(server: Server, *names: str, sha256: str | None = SHA, size: int = 0) -> RemoteFile:
    return RemoteFile("data.bin", tuple(server.url(name) for name in names), sha256, size)


def test_download_is_checked_kept_and_reported(online: Path, server: Server) -> None:
    reports: list[tuple[str, int, int]] = []
    path = fetch(remote(server, "good"), lambda *report: reports.append(report))
    assert path == online / "data" / "data.bin" and path.read_bytes() == BODY
    assert reports[-1] == ("download data.bin", len(BODY), len(BODY))
    assert fetch(remote(server, "good")) == path
    assert len(server.requests) == 1
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["data.bin"]


def test_mirrors_are_tried_in_order(online: Path, server: Server) -> None:
    assert fetch(remote(server, "missing", "wrong", "good")).read_bytes() == BODY
    assert [name for name, _ in server.requests] == ["missing", "wrong", "good"]


def test_a_broken_download_continues_where_it_stopped(online: Path, server: Server) -> None:
    with pytest.raises(DataError, match=r"data.bin could not be downloaded .*a partial download continues"):
        fetch(remote(server, "cut"))
    assert not (online / "data" / "data.bin").exists()
    assert fetch(remote(server, "good")).read_bytes() == BODY
    name, wanted = server.requests[-1]
    assert name == "good" and wanted == f"bytes={len(BODY) // 2 // 2**16 * 2**16}-"  # whole chunks were kept


def test_a_server_without_ranges_sends_everything_again(online: Path, server: Server) -> None:
    with pytest.raises(DataError):
        fetch(remote(server, "cut"))
    assert fetch(remote(server, "plain")).read_bytes() == BODY


@pytest.mark.parametrize("length", [10, len(BODY), len(BODY) + 5])
def test_a_stale_piece_of_another_file_is_dropped(online: Path, server: Server, length: int) -> None:
    part = online / "data" / "data.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * length)
    if length > len(BODY):  # the server answers 416; the next attempt starts afresh
        with pytest.raises(DataError):
            fetch(remote(server, "good"))
    assert fetch(remote(server, "good", size=len(BODY))).read_bytes() == BODY


def test_wrong_content_everywhere_is_an_error_and_leaves_nothing(online: Path, server: Server) -> None:
    with pytest.raises(DataError, match="another content") as caught:
        fetch(remote(server, "wrong"))
    assert caught.value.exit_code == 3
    assert [entry.name for entry in (online / "data").iterdir()] == []


def test_an_unknown_checksum_is_recorded_once_and_checked_ever_after(online: Path, server: Server) -> None:
    file = remote(server, "good", sha256=None)
    path = fetch(file)
    assert path.with_name("data.bin.sha256").read_text().startswith(SHA)
    assert fetch(file) == path
    path.write_bytes(b"damaged")
    with pytest.raises(DataError, match=f"expected {SHA}; delete it and run again"):
        fetch(file)


def test_wrong_hash_names_file_hashes_and_fix(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    check_sha256(path, hashlib.sha256(b"abc").hexdigest().upper())
    found = hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(DataError, match=f"a.bin .* its SHA-256 is {found}, expected {SHA}; delete it and run again"):
        check_sha256(path, SHA)


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_offline_never_touches_the_network(
    online: Path, server: Server, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("CLBENCH_OFFLINE", value)
    monkeypatch.setenv("CLBENCH_DATA_PATH", os.pathsep.join(["/somewhere", "/else"]))
    with pytest.raises(DataError, match=r"data.bin.*/somewhere, /else, .*home/data.*set CLBENCH_DATA_PATH"):
        fetch(remote(server, "good"))
    assert server.requests == []


def test_values_that_do_not_mean_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "0", "false", "No", "off"):
        monkeypatch.setenv("CLBENCH_OFFLINE", value)
        assert not sources.is_offline()


def test_a_cache_that_cannot_be_written_names_the_fix(
    online: Path, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    monkeypatch.setenv("CLBENCH_HOME", str(file / "home"))
    with pytest.raises(StorageError, match="set CLBENCH_HOME to a folder you own"):
        fetch(remote(server, "good"))


def test_data_folders_come_before_the_cache_and_folders_before_subfolders(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    places = [tmp_path / "a" / "images", tmp_path / "b", cache / "data"]
    for place in places:
        place.mkdir(parents=True)
        (place / "x").touch()
        (place / "y").touch()
    monkeypatch.setenv("CLBENCH_DATA_PATH", os.pathsep.join([str(tmp_path / "a"), "", str(tmp_path / "b")]))
    assert [paths[0].parent for paths in candidates(["x", "y"], ["images"])] == places
    (places[0] / "y").unlink()
    assert [paths[0].parent for paths in candidates(["x", "y"], ["images"])] == places[1:]


def test_find_file(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a" / "weights").mkdir(parents=True)
    (cache / "weights").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    for place in ("a/weights", "home/weights", "here"):
        (tmp_path / place / "net.safetensors").write_text(place)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "a"))
    assert find_file("net.safetensors").read_text() == "a/weights"
    assert find_file("./net.safetensors").read_text() == "here"
    assert find_file(tmp_path / "here" / "net.safetensors").read_text() == "here"
    monkeypatch.delenv("CLBENCH_DATA_PATH")
    assert find_file("net.safetensors").read_text() == "home/weights"
    (cache / "weights" / "net.safetensors").unlink()
    assert find_file("net.safetensors").read_text() == "here"
    with pytest.raises(DataError, match=r"weights file 'other' was not found in .*home.*set CLBENCH_DATA_PATH"):
        find_file("other")
    with pytest.raises(DataError, match="There is no file"):
        find_file("./other")


def test_searches_are_recorded_and_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "weights").mkdir(parents=True)
    (tmp_path / "b" / "x.npz").touch()
    (tmp_path / "b" / "weights" / "w.pth").touch()
    monkeypatch.setenv("CLBENCH_DATA_PATH", os.pathsep.join(str(tmp_path / name) for name in ("a", "b")))
    with recording() as found:
        assert next(candidates(["x.npz"])) == (tmp_path / "b" / "x.npz",)
        assert not list(candidates(["missing"]))
        find_file("w.pth")
    assert [found_again(search) == search["found"] for search in found.searches] == [True, True, True]
    (tmp_path / "a" / "x.npz").touch()
    (tmp_path / "a" / "missing").touch()
    (tmp_path / "a" / "w.pth").touch()
    assert [found_again(search) == search["found"] for search in found.searches] == [False, False, False]
    assert list(found.paths) == [str(tmp_path / "b" / "weights" / "w.pth")]
