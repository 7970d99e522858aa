"""Pushing and pulling: the same runs arrive, none is overwritten, and nothing hostile enters the folder."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cl.errors import DataError, StorageError, UsageError
from cl.results import hostile, remote
from cl.results.merge import counts
from cl.results.remote import Place, pull, push
from tests.help.remote import content, in_memory, place, write_run, write_runs, write_stopped

fsspec: Any = pytest.importorskip("fsspec", reason="needs fsspec: pip install fsspec")
URL = "memory://results-of-test"
SEED0 = place(Path()).as_posix()


@pytest.fixture
def memory() -> Iterator[Any]:
    yield from in_memory("results-of-test")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return write_runs(tmp_path / "runs")


def some(found: Any) -> dict[str, int]:
    return {state: number for state, number in counts(found).items() if number}


@pytest.mark.parametrize("local", [False, True])
def test_runs_arrive_as_they_were_sent_and_once(local: bool, memory: Any, runs: Path, tmp_path: Path) -> None:
    url = (tmp_path / "elsewhere").as_uri() if local else URL
    (place(runs) / "learner.safetensors").write_bytes(b"large")
    (place(runs) / "notes.txt").write_text("mine")
    write_stopped(runs / "stopped")
    assert some(push(runs, url)) == {"merged": 3, "unfinished": 1}
    assert some(push(runs, url)) == {"the same": 3, "unfinished": 1}
    assert some(pull(url, tmp_path / "there")) == {"merged": 3}
    assert some(pull(url, tmp_path / "there")) == {"the same": 3}
    left_behind = {f"{SEED0}/learner.safetensors", f"{SEED0}/notes.txt", "stopped/record.json"}
    assert content(tmp_path / "there") == {k: v for k, v in content(runs).items() if k not in left_behind}
    assert [path.name for path in (tmp_path / "there").iterdir() if path.name.startswith(".merging")] == []


def test_stopped_runs_and_learners_are_sent_if_asked_for(memory: Any, runs: Path, tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    write_stopped(runs / "stopped")
    save_file({"w": np.zeros(3)}, place(runs) / "learner.safetensors")
    assert some(push(runs, URL, partial=True, learners=True)) == {"merged": 4}
    assert some(pull(URL, tmp_path / "a", learners=True)) == {"merged": 3, "unfinished": 1}
    assert some(pull(URL, tmp_path / "b", partial=True)) == {"merged": 4}
    assert (place(tmp_path / "a") / "learner.safetensors").is_file()
    assert not (place(tmp_path / "b") / "learner.safetensors").exists()


def test_a_push_that_was_stopped_continues(memory: Any, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Place.send

    def stopped(self: Place, file: Path, path: str) -> None:
        if file == place(runs, 1) / "record.json":
            raise StorageError("the connection was lost.")
        real(self, file, path)

    with monkeypatch.context() as patch, pytest.raises(StorageError):
        patch.setattr(Place, "send", stopped)
        list(push(runs, URL, transfers=1))
    half = f"{place(Path('/results-of-test'), 1).as_posix()}"
    assert memory.exists(f"{half}/predictions.npz") and not memory.exists(f"{half}/record.json")
    found = some(push(runs, URL))
    assert found["merged"] >= 1 and sum(found.values()) == 3
    assert {k for k in content(runs)} == {k.partition("-test/")[2] for k in memory.find("/results-of-test")}


def test_a_different_run_is_a_conflict_on_both_ways(memory: Any, runs: Path, tmp_path: Path) -> None:
    push_all = list(push(runs, URL))
    assert len(push_all) == 3
    before = {path: memory.cat(path) for path in memory.find("/results-of-test")}
    other = tmp_path / "other"
    write_run(place(other), seed=9)
    [found] = push(other, URL)
    assert found.state == "conflict" and "the right answers" in found.reason and str(place(other)) in found.reason
    assert {path: memory.cat(path) for path in memory.find("/results-of-test")} == before
    mine = content(other)
    outcomes = list(pull(URL, other))
    assert some(outcomes) == {"conflict": 1, "merged": 2}
    assert {k: v for k, v in content(other).items() if k in mine} == mine


def test_a_damaged_record_elsewhere_is_not_replaced(memory: Any, runs: Path) -> None:
    memory.pipe_file(f"/results-of-test/{SEED0}/record.json", b"{")
    first, *_ = push(runs, URL)
    assert first.state == "conflict" and "cannot be used" in first.reason
    assert memory.cat(f"/results-of-test/{SEED0}/record.json") == b"{"


# ------------------------------------------------------------------------------------------------------------- hostile


def test_a_hostile_place_gives_its_sound_runs_only(
    memory: Any, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(push(runs, URL))
    record = (place(runs) / "record.json").read_bytes()
    root = "/results-of-test"
    for path in (
        *("..\\evil/record.json", "con/record.json", "a\x1b[2J/record.json", ".merging/run/record.json"),
        *("C:/record.json", "x" * 150 + "/record.json", "record.json/deep/record.json", "record.json"),
    ):
        memory.store[f"{root}/{path}"] = type(memory.open(f"{root}/{SEED0}/record.json"))(
            fs=memory, path=f"{root}/{path}", data=record
        )
    memory.pipe_file(f"{root}/README.md", b"words")
    memory.pipe_file(f"{root}/script.py", b"raise SystemExit")
    memory.pipe_file(f"{place(Path(root), 1).as_posix()}/predictions.npz", b"PK\x03\x04 no archive")
    memory.pipe_file(f"{place(Path(root), 2).as_posix()}/config.toml", b"[run")
    # as object stores list a file and a folder of one name; earlier versions of fsspec list one of them for memory
    listed = {path: memory.info(path) | {"name": path, "type": "file"} for path in memory.store if root in path}
    monkeypatch.setattr(memory, "find", lambda path, detail: listed)
    into = tmp_path / "in" / "there"
    found = list(pull(URL, into))
    assert some(found) == {"merged": 1, "refused": 10}
    assert content(tmp_path) == {
        **{f"runs/{k}": v for k, v in content(runs).items()},
        **{f"in/there/{k}": v for k, v in content(runs).items() if "/seed0/" in k},
    }
    reasons = [each.reason for each in found if each.state == "refused"]
    assert all(reason.isprintable() and reason.endswith(".") for reason in reasons)
    assert any("predictions.npz" in reason for reason in reasons) and any("config.toml" in each for each in reasons)


def test_names_that_the_listing_invents_are_refused(
    memory: Any, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(push(runs, URL))
    invented = ["../../outside/record.json", "/etc/passwd/record.json", "a/../../../b/record.json", "../x.txt"]
    monkeypatch.setattr(Place, "files", lambda self: dict.fromkeys(invented, 10))
    found = list(pull(URL, tmp_path / "there"))
    assert some(found) == {"refused": 4} and content(tmp_path / "there") == {}


def test_links_and_other_things_of_a_local_place_are_refused(runs: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(runs, elsewhere)
    secret = write_run(tmp_path / "secret" / "run")
    (elsewhere / "linked").symlink_to(secret, target_is_directory=True)
    (elsewhere / "loop").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "one").mkdir()
    (elsewhere / "one" / "record.json").symlink_to(secret / "record.json")
    (elsewhere / "two").mkdir()
    os.mkfifo(elsewhere / "two" / "record.json")
    found = list(pull(str(elsewhere), tmp_path / "there"))
    assert some(found) == {"merged": 3, "refused": 2}
    assert content(tmp_path / "there") == content(runs)


def test_links_are_known_also_where_they_are_listed_as_what_they_lead_to(tmp_path: Path) -> None:
    class Old:  # earlier versions of fsspec
        protocol = "file"

        def ls(self, path: str, detail: bool) -> list[dict[str, Any]]:
            assert path == "/r"
            links = [(name, kind, True) for name, kind in (("a", "directory"), ("record.json", "file"))]
            return [
                {"name": f"/r/{name}", "type": kind, "islink": link, "size": 3}
                for name, kind, link in (*links, ("log.txt", "file", False))
            ]

    assert Place("/r", Old(), "/r").files() == {"a": -2, "record.json": -2, "log.txt": 3}


def test_sizes_are_limited_whatever_the_place_states(
    memory: Any, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(push(runs, URL))
    sizes = {name: 200 if name == "log.txt" else most for name, most in hostile.LIMITS.items()}
    monkeypatch.setattr(remote, "LIMITS", sizes)
    memory.pipe_file(f"/results-of-test/{SEED0}/log.txt", b"x" * 201)
    [first, *rest] = pull(URL, tmp_path / "a")
    assert first.state == "refused" and "201 bytes" in first.reason and some(rest) == {"merged": 2}
    real = Place.files
    monkeypatch.setattr(Place, "files", lambda self: dict.fromkeys(real(self), 1))
    [first, *rest] = sorted(pull(URL, tmp_path / "b"), key=lambda each: each.place)
    assert first.state == "refused" and "larger than 200 bytes" in first.reason and some(rest) == {"merged": 2}


def test_all_bytes_together_are_limited(memory: Any, runs: Path, tmp_path: Path) -> None:
    list(push(runs, URL))
    one = sum(len(data) for name, data in content(runs).items() if "/seed0/" in name)
    found = list(pull(URL, tmp_path / "there", most=int(1.5 * one), transfers=1))
    assert some(found)["refused"] >= 1 and any("--max-bytes" in each.reason for each in found)
    assert some(pull(URL, tmp_path / "there"))["merged"] == 3 - some(found).get("merged", 0), "the rest later"


def test_too_many_files_are_refused_before_any_is_read(
    memory: Any, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(push(runs, URL))
    monkeypatch.setattr(remote, "MOST_FILES", 5)
    with pytest.raises(DataError, match="more than 5 files"):
        list(pull(URL, tmp_path / "there"))


def test_a_file_system_that_fails_is_one_sentence(
    memory: Any, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(push(runs, URL))

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("403\x1b[31m\nforbidden")

    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "find", broken)
        with pytest.raises(DataError, match=r"^Cannot list memory://results-of-test: 403\\x1b\[31m forbidden\.$"):
            list(pull(URL, tmp_path / "there"))
    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "_open", broken)
        assert some(pull(URL, tmp_path / "there")) == {"refused": 3}
    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "put_file", broken)
        memory.rm("/results-of-test", recursive=True)
        with pytest.raises(StorageError, match="Cannot write"):
            list(push(runs, URL))


# ---------------------------------------------------------------------------------------------------------- mistakes


def test_missing_packages_and_wrong_urls_are_named(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"nope.* not known"):
        list(push(runs, "nope://bucket/results"))
    with pytest.raises(UsageError, match="There are no runs at memory://results-of-nobody"):
        list(pull("memory://results-of-nobody", tmp_path / "there"))
    with pytest.raises(UsageError, match="is one run"):
        list(push(place(runs), URL))

    def missing(url: str) -> Any:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(UsageError, match=r"^s3:// needs s3fs: pip install s3fs\.$"):
        list(push(runs, "s3://bucket/results"))


def test_without_fsspec_one_sentence_says_what_to_install(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(UsageError, match=r"pip install 'clbench\[remote\]'"):
        list(push(runs, URL))


def test_the_record_is_sent_last(memory: Any, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(Place, "send", lambda self, file, path: sent.append(path))
    list(push(runs, URL, transfers=1))
    of_one = [path for path in sent if "/seed0/" in path]
    assert len(of_one) == 6 and of_one[-1].endswith("/record.json")
    assert json.loads((place(runs) / "record.json").read_text())["status"] == "complete"


@pytest.mark.parametrize("target", ["", "sub", ".."])
def test_a_target_inside_of_the_source_is_refused(target: str, runs: Path, tmp_path: Path) -> None:
    before = content(tmp_path)
    with pytest.raises(UsageError, match="inside each other; choose another target"):
        list(push(runs, str(runs / target)))
    with pytest.raises(UsageError, match="inside each other; choose another target"):
        list(pull(str(runs), runs / target))
    assert content(tmp_path) == before


@pytest.mark.parametrize("local", [False, True])
def test_a_file_is_no_place(local: bool, memory: Any, runs: Path, tmp_path: Path) -> None:
    memory.pipe_file("/results-of-test", b"words")
    (tmp_path / "words.txt").write_text("words")
    url = str(tmp_path / "words.txt") if local else URL
    with pytest.raises(UsageError, match=r"is a file; a folder of runs, or the URL of one, is expected\.$"):
        list(pull(url, tmp_path / "there"))
    assert not (tmp_path / "there").exists()


def test_a_pull_that_receives_nothing_leaves_no_folder(memory: Any, runs: Path, tmp_path: Path) -> None:
    memory.pipe_file(f"/results-of-test/{SEED0}/record.json", b"{")
    assert some(pull(URL, tmp_path / "new" / "there")) == {"refused": 1}
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    assert some(pull(URL, tmp_path / "mine")) == {"refused": 1}
    assert (tmp_path / "mine").is_dir()


@pytest.mark.parametrize("name", ["record.json", "predictions.npz", "log.txt"])
def test_a_full_disk_names_the_file(
    name: str, memory: Any, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(push(runs, URL))
    real, real_text = open, Path.write_text

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def opened(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        return (
            Full(file, mode.replace("b", ""))
            if mode == "xb" and Path(file).name == name
            else real(file, mode, *rest, **options)
        )

    def text(self: Path, *rest: Any, **options: Any) -> int:
        if self.name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_text(self, *rest, **options)

    if name == "log.txt":  # it is written again, cleaned
        monkeypatch.setattr(Path, "write_text", text)
    else:
        monkeypatch.setattr(remote, "open", opened, raising=False)
    with pytest.raises(StorageError, match=rf"^cannot write .*{name}: the disk is full"):
        list(pull(URL, tmp_path / "there"))
    assert content(tmp_path / "there") == {}
