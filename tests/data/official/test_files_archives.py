"""Archives in place: large ones, links, .Z files, truncated ends, and files that lack."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from cl.data.archives import Limits
from cl.data.official import files as module
from cl.data.official.files import Files, Single, Tar, Zip, joined, open_source
from cl.errors import DataError
from tools.miniatures.packing import compress_bytes, tar_bytes, write_tar, write_zip

CONTENT = {"data/one.txt": b"first", "data/two.txt": b"second"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))


def read(*sources: Path) -> dict[str, bytes]:
    files = Files([open_source(path) for path in sources], "here")
    return {name: files.read(name) for name in files.names}


def test_an_archive_in_place_may_be_larger_than_one_that_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module._IN_PLACE.size > 160e9, "ImageNet"
    big = {"a": bytes(2 << 20), "b": b"x"}
    write_tar(tmp_path / "a.tar", big)
    write_zip(tmp_path / "a.zip", {"c": b"y", "d": b"z" * 9})
    assert set(read(tmp_path / "a.tar", tmp_path / "a.zip")) == {*"abcd"}
    monkeypatch.setattr(module, "_IN_PLACE", Limits(size=8, members=1))
    for kind, name in ((Tar, "a.tar"), (Zip, "a.zip")):
        with pytest.raises(DataError, match="refused"):
            kind(tmp_path / name, "")


def test_a_tar_cut_off_between_two_members_is_truncated(tmp_path: Path) -> None:
    data = tar_bytes(CONTENT)
    (tmp_path / "a.tar").write_bytes(data[:1024])
    with pytest.raises(DataError, match="truncated"):
        Tar(tmp_path / "a.tar", "")
    (tmp_path / "a.tar").write_bytes(data[: 2048 + 512])
    assert read(tmp_path / "a.tar") == CONTENT


def test_links_lead_to_files_of_any_source(tmp_path: Path) -> None:
    """Symbolic ones from their folder, hard ones from the top; one that leads nowhere is no file."""
    write_tar(tmp_path / "b.tar", CONTENT)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, target in (
            ("links/soft", tarfile.SYMTYPE, "../data/one.txt"),
            ("links/hard", tarfile.LNKTYPE, "./data/two.txt"),
            ("links/none", tarfile.SYMTYPE, "../data/three.txt"),
            ("links/out", tarfile.SYMTYPE, "/etc/passwd"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    expected = {**CONTENT, "links/soft": b"first", "links/hard": b"second"}
    assert read(tmp_path / "a.tar", tmp_path / "b.tar") == expected
    files = Files([Tar(tmp_path / "a.tar", "in"), Tar(tmp_path / "b.tar", "in")], "here")
    assert files.read("in/links/soft") == b"first"
    assert files.stamp("in/links/soft") == files.stamp("in/data/one.txt")


def test_a_compressed_archive_of_unix_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tar.Z"
    path.write_bytes(compress_bytes(tar_bytes(CONTENT)))
    assert read(path) == CONTENT
    monkeypatch.setattr(module.lzw, "uncompressed", None)
    assert read(path) == CONTENT


def test_a_damaged_one_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.Z"
    data = compress_bytes(tar_bytes({"one": bytes(range(256)) * 20, "two": b""}))
    for damaged in (data[: len(data) // 2], b"\x1f\x9d\x90\xff\xff"):
        path.write_bytes(damaged)
        with pytest.raises(DataError):
            read(path)


def test_archives_inside_an_archive(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "a.tar", {"x/part.tar": tar_bytes(CONTENT), "x/part.tar.Z": compress_bytes(tar_bytes(CONTENT))}
    )
    files = Files([open_source(tmp_path / "a.tar")], "here")
    both = joined(files, files.inside("x/part.tar", "plain"), files.inside("x/part.tar.Z", "packed"))
    assert both.read("plain/data/one.txt") == both.read("packed/data/one.txt") == b"first"


def test_a_file_that_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    files = Files([Single(tmp_path / "a.txt", "")], "here")
    for ask in (files.read, files.stamp, files.inside):
        with pytest.raises(DataError, match=r"here has no file b\.txt"):
            ask("b.txt")
