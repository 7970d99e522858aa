"""Archives of generated files: what is in them, and that they are the same at every run."""

from __future__ import annotations

import gzip
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from tools.miniatures.packing import tar_bytes, write_files, write_gz, write_tar, write_zip

CONTENT = {"b/2.txt": b"two" * 500, "a.txt": b"", "é.txt": b"three"}


def test_a_zip_is_compressed_and_keeps_the_order(tmp_path: Path) -> None:
    write_zip(tmp_path / "new" / "data.zip", CONTENT)
    with zipfile.ZipFile(tmp_path / "new" / "data.zip") as archive:
        assert {entry.filename: archive.read(entry) for entry in archive.infolist()} == CONTENT
        assert archive.namelist() == list(CONTENT)
        assert archive.getinfo("b/2.txt").compress_size < 100


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("d.tar", b"b/2.txt"),
        ("d.tar.gz", b"\x1f\x8b"),
        ("d.tgz", b"\x1f\x8b"),
        ("d.tar.bz2", b"BZh"),
        ("d.tar.xz", b"\xfd7zXZ"),
    ],
)
def test_a_tar_is_compressed_as_its_name_says(tmp_path: Path, name: str, start: bytes) -> None:
    write_tar(tmp_path / "new" / name, CONTENT)
    assert (tmp_path / "new" / name).read_bytes().startswith(start)
    with tarfile.open(tmp_path / "new" / name) as archive:
        members = {member.name: archive.extractfile(member) for member in archive}
        assert {each: file.read() for each, file in members.items() if file is not None} == CONTENT


def test_archives_are_the_same_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for now in (1e9, 1.7e9):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        write_zip(tmp_path / "d.zip", CONTENT)
        write_tar(tmp_path / "d.tar.gz", CONTENT)
        write_gz(tmp_path / "d.gz", b"data")
        made.append([(tmp_path / name).read_bytes() for name in ("d.zip", "d.tar.gz", "d.gz")] + [tar_bytes(CONTENT)])
    assert made[0] == made[1]


def test_single_files(tmp_path: Path) -> None:
    write_gz(tmp_path / "new" / "d.gz", b"data")
    assert gzip.decompress((tmp_path / "new" / "d.gz").read_bytes()) == b"data"
    write_files(tmp_path / "plain", CONTENT)
    assert {name: (tmp_path / "plain" / name).read_bytes() for name in CONTENT} == CONTENT
