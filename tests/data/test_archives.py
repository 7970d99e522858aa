"""Archives built to harm: every one is refused with one sentence, and nothing of it stays or lands elsewhere."""

from __future__ import annotations

import gzip
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cl.data.archives import Limits, safe_extract
from cl.errors import DataError, StorageError
from tests.help.archives import entry, header_that_fills_memory, tar, written, zip_entry, zipped

SMALL = Limits(size=4_000_000, members=50)


def huge_by_declaration(path: Path) -> Path:
    path.write_bytes(entry("big.bin", size=1 << 40).tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    return path


def wrong_local_name(path: Path) -> Path:
    """The directory of the zip says "good.txt", the place it points to "../b.txt"."""
    zipped(path, ("good.txt", b"x"))
    path.write_bytes(path.read_bytes().replace(b"good.txt", b"../b.txt", 1))
    return path


def zero_byte(path: Path) -> Path:
    zipped(path, ("aa0bb.txt", b"x"))
    path.write_bytes(path.read_bytes().replace(b"aa0bb", b"aa\0bb"))
    return path


def encrypted(path: Path) -> Path:
    raw = bytearray(zipped(path, ("a.txt", b"x")).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + offset] |= 1
    path.write_bytes(bytes(raw))
    return path


Build = Callable[[Path], Path]

GOOD = ("good.txt", b"good")

HOSTILE: dict[str, tuple[str, Build, str]] = {
    "parent": ("a.tar", lambda p: tar(p, GOOD, ("../evil.txt", b"x")), "leads out of the folder"),
    "parent inside": ("a.tar.gz", lambda p: tar(p, GOOD, ("a/../../evil.txt", b"x"), mode="w:gz"), "leads out"),
    "absolute": ("a.tar", lambda p: tar(p, GOOD, (f"{p.parent}/evil.txt", b"x")), "leads out of the folder"),
    "drive": ("a.tar", lambda p: tar(p, GOOD, ("C:/evil.txt", b"x")), "leads out of the folder"),
    "share": ("a.tar", lambda p: tar(p, GOOD, ("//host/share/evil.txt", b"x")), "leads out of the folder"),
    "backslash": ("a.tar", lambda p: tar(p, GOOD, ("..\\evil.txt", b"x")), "leads out of the folder"),
    "backslash inside": ("a.tar", lambda p: tar(p, GOOD, ("a\\evil.txt", b"x")), "no file name everywhere"),
    "newline": ("a.tar", lambda p: tar(p, GOOD, ("a\nb", b"x")), "no file name everywhere"),
    "symlink": (
        "a.tar",
        lambda p: tar(p, (entry("l", type=tarfile.SYMTYPE, linkname="../.."), b""), ("l/evil.txt", b"x")),
        "is a link or a special file",
    ),
    "inner symlink": (
        "a.tar",
        lambda p: tar(p, GOOD, (entry("l", type=tarfile.SYMTYPE, linkname="good.txt"), b"")),
        "is a link or a special file",
    ),
    "hard link": (
        "a.tar",
        lambda p: tar(p, GOOD, (entry("l", type=tarfile.LNKTYPE, linkname="/etc/passwd"), b"")),
        "is a link or a special file",
    ),
    "device": ("a.tar", lambda p: tar(p, GOOD, (entry("d", type=tarfile.CHRTYPE), b"")), "is a link or a special"),
    "pipe": ("a.tar", lambda p: tar(p, GOOD, (entry("d", type=tarfile.FIFOTYPE), b"")), "is a link or a special"),
    "twice": ("a.tar", lambda p: tar(p, GOOD, ("./good.txt", b"other")), "is there twice"),
    "case": ("a.tar", lambda p: tar(p, ("Cat/1", b"x"), ("cat/2", b"y")), "differ only in case"),
    "accent": ("a.tar", lambda p: tar(p, ("\u00e9/1", b"x"), ("e\u0301/2", b"y")), "differ only in case"),
    "file as folder": ("a.tar", lambda p: tar(p, ("a", b"x"), ("a/b", b"y")), "is there twice"),
    "folder as file": ("a.tar", lambda p: tar(p, ("a/b", b"y"), ("a", b"x")), "is there twice"),
    "members": ("a.tar", lambda p: tar(p, *((f"{i}", b"") for i in range(51))), "more than 50 members"),
    "declared size": ("a.tar", huge_by_declaration, "more than 4,000,000 bytes"),
    "sum of sizes": ("a.tar", lambda p: tar(p, ("a", bytes(3_000_000)), ("b", bytes(3_000_000))), "more than 4,000"),
    "tar ratio": ("a.tar.gz", lambda p: tar(p, ("a", bytes(3_500_000)), mode="w:gz"), "times its own size"),
    "header": ("a.tar.gz", header_that_fills_memory, "longer than any name can be"),
    "zip parent": ("a.zip", lambda p: zipped(p, GOOD, ("../evil.txt", b"x")), "leads out of the folder"),
    "zip absolute": ("a.zip", lambda p: zipped(p, GOOD, (f"{p.parent}/evil.txt", b"x")), "leads out of the folder"),
    "zip drive": ("a.zip", lambda p: zipped(p, GOOD, ("C:evil.txt", b"x")), "leads out of the folder"),
    "zip symlink": ("a.zip", lambda p: zipped(p, GOOD, (zip_entry("l", 0o120777), b"../..")), "is a link or a special"),
    "zip twice": ("a.zip", lambda p: zipped(p, GOOD, GOOD), "is there twice"),
    "zip case": ("a.zip", lambda p: zipped(p, GOOD, ("GOOD.txt", b"x")), "differ only in case"),
    "zip ratio": ("a.zip", lambda p: zipped(p, ("a", bytes(3_500_000))), "times its own size"),
    "zip size": ("a.zip", lambda p: zipped(p, ("a", random.Random(0).randbytes(4_000_001))), "more than 4,000,000"),
    "zip names": ("a.zip", wrong_local_name, "Cannot unpack"),
    "zip zero byte": ("a.zip", zero_byte, "no file name everywhere"),
    "zip encrypted": ("a.zip", encrypted, "is encrypted"),
    "gz bomb": ("a.bin.gz", lambda p: written(p, gzip.compress(b"x" * 3_500_000)), "times its own size"),
    "gz size": (
        "a.bin.gz",
        lambda p: written(p, gzip.compress(random.Random(0).randbytes(4_000_001))),
        "4,000",
    ),
    "nothing": ("a.tar", lambda p: tar(p), "it holds no files"),
    "text": ("a.tar", lambda p: written(p, b"<html>"), "not a tar, zip or gz archive"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(case: str, tmp_path: Path) -> None:
    name, build, says = HOSTILE[case]
    (tmp_path / "in").mkdir()
    archive = build(tmp_path / "in" / name)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError) as caught:
        safe_extract(archive, tmp_path / "out" / "data", SMALL)
    text = str(caught.value)
    assert says in text and str(archive) in text and "; delete it" in text and "\n" not in text
    left = {path for path in tmp_path.rglob("*") if path not in before}
    assert left == {tmp_path / "out"}


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz", "a.zip"])
def test_a_good_archive_is_unpacked_whole(name: str, tmp_path: Path) -> None:
    files = {"x/a.txt": b"a" * 3000, "x/y/" + "n" * 150: b"b", "empty": b""}
    archive = tmp_path / name
    if name == "a.zip":
        zipped(archive, *files.items(), (zip_entry("folder/", 0o040755), b""))
    else:
        folder = (entry("./folder", type=tarfile.DIRTYPE, mode=0o700), b"")
        tar(archive, *files.items(), folder, mode="w" if name == "a.tar" else f"w:{name[6:]}")
    out = safe_extract(archive, tmp_path / "out", SMALL)
    assert {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()} == files
    assert (out / "folder").is_dir()
    (out / "mark").touch()
    assert safe_extract(archive, out, SMALL) == out and (out / "mark").exists()  # done already


def test_a_single_file_is_unpacked_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "labels.txt.gz").write_bytes(gzip.compress(b"cat"))
    assert (safe_extract(tmp_path / "labels.txt.gz", tmp_path / "out") / "labels.txt").read_bytes() == b"cat"


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.zip", "a.bin.gz"])
def test_damage_is_one_sentence_and_never_half_a_folder(name: str, tmp_path: Path) -> None:
    members = [(f"{i}.txt", random.Random(i).randbytes(900)) for i in range(5)]
    whole = tmp_path / name
    if name.endswith("zip"):
        zipped(whole, *members)
    elif name == "a.bin.gz":
        whole.write_bytes(gzip.compress(members[0][1]))
    else:
        tar(whole, *members, mode="w:gz" if name.endswith("gz") else "w")
    raw, rng, refused = whole.read_bytes(), random.Random(0), 0
    for _ in range(60):
        broken = bytearray(raw)
        for _ in range(3):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        if rng.random() < 0.5:
            del broken[rng.randrange(len(broken)) :]
        whole.write_bytes(broken)
        try:
            out = safe_extract(whole, tmp_path / "out")
            assert name != "a.tar" or len(broken) > 7680  # all five members
            out.rename(tmp_path / f"survived-{rng.random()}")
        except DataError as error:
            refused += 1
            assert str(whole) in str(error)
        assert not (tmp_path / "out").exists() and not (tmp_path / ".out.tmp").exists()
    assert refused > 20


def test_a_tar_cut_between_members_is_not_taken_for_whole(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar", ("a", b"1"), ("b", b"2"))
    archive.write_bytes(archive.read_bytes()[:1024])
    with pytest.raises(DataError, match="ends in the middle"):
        safe_extract(archive, tmp_path / "out")


@pytest.mark.skipif(os.name == "nt", reason="needs a full disk that can be imitated")
def test_a_full_disk_is_a_storage_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tar(tmp_path / "a.tar", GOOD)

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28), str(tmp_path / "out"))

    monkeypatch.setattr("cl.data.archives.os.replace", full)
    with pytest.raises(StorageError, match="the disk is full"):
        safe_extract(archive, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar"]
