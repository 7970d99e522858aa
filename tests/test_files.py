"""Files that are whole after a failure: the old one or the new one."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from cl import files
from cl.errors import StorageError
from cl.files import make_folder, remove_temporaries, replace_file, sha256_of, storage_error, write_bytes, write_text


def test_a_file_is_replaced_with_the_usual_permissions(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_text(path, "ä")
    assert path.read_bytes() == "ä".encode()
    write_bytes(path, b"other")
    assert path.read_bytes() == b"other" and [each.name for each in path.parent.iterdir()] == ["a.txt"]
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_no_temporary(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("half of the n")
        assert temporary.parent == path.parent, "a rename across file systems would not be atomic"
        raise error

    with pytest.raises(StorageError if isinstance(error, OSError) else KeyboardInterrupt):
        replace_file(path, write)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_the_file_is_on_disk_before_it_replaces_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, order = tmp_path / "a.txt", []
    path.write_text("old")
    replace = os.replace
    monkeypatch.setattr("cl.files.os.fsync", lambda descriptor: order.append(f"sync {path.read_text()}"))

    def noted(source: Path, target: Path) -> None:
        order.append("replace")
        replace(source, target)

    monkeypatch.setattr("cl.files.os.replace", noted)
    write_text(path, "new")
    assert order[:2] == ["sync old", "replace"] and set(order[2:]) <= {"sync new"}


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, "the disk is full or a file-size limit was reached; free space"),
        (errno.EDQUOT, "the disk is full or a file-size limit was reached; free space"),
        (errno.EROFS, "the folder is not writable; choose another with --results or CLBENCH_RESULTS"),
        (errno.ENOTDIR, "a file is in the place of a folder; move it"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_every_reason_has_its_fix(code: int, says: str) -> None:
    text = str(storage_error(Path("results/record.json"), OSError(code, os.strerror(code))))
    assert text.startswith("cannot write results/record.json: ") and says in text and text.endswith(".")


def test_a_folder_cannot_be_made_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert make_folder(tmp_path / "a" / "b").is_dir()
    with pytest.raises(StorageError, match="a file is in the place of a folder"):
        make_folder(tmp_path / "file" / "b")


def test_only_temporaries_are_removed(tmp_path: Path) -> None:
    for name in (".record.json.abc.tmp", ".lock", "mine.tmp", "record.json"):
        (tmp_path / name).touch()
    remove_temporaries(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "mine.tmp", "record.json"}


@pytest.mark.parametrize("python", ["3.10", "3.11"])
def test_the_hash_of_a_file_is_that_of_its_bytes(python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(range(256)) * 8200  # more than two blocks
    (tmp_path / "a").write_bytes(data)
    if python == "3.10":
        monkeypatch.delattr(files.hashlib, "file_digest", raising=False)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()
