"""Files of a dataset: every kind of archive, folders, archives in archives, and damaged and hostile ones."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cl.data.official import files as module
from cl.data.official.files import Files, Folder, joined, open_source
from cl.data.unpacking import damaged
from cl.errors import DataError
from tools.miniatures.packing import tar_bytes, write_files, write_gz, write_tar, write_zip

CONTENT = {"top/a.txt": b"first\n", "top/deep/b.bin": bytes(range(200)) * 9, "list.txt": b" one \n\ntwo\n"}
ARCHIVES = ("data.zip", "data.tar", "data.tar.gz", "data.tgz", "data.tar.bz2", "data.tar.xz")


@pytest.fixture(autouse=True)
def _home(cache: Path) -> None:
    """Archives are unpacked into a cache of the test."""


def pack(path: Path, content: dict[str, bytes] = CONTENT) -> Path:
    (write_zip if path.suffix == ".zip" else write_tar)(path, content)
    return path


def opened(path: Path, into: str = "") -> Files:
    return Files([open_source(path, into)], str(path))


def folder(path: Path, *below: str) -> Files:
    return Files([Folder(path, below or ("",))], str(path))


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("into", ["", "inner"])
def test_an_archive_has_the_files_that_were_packed(tmp_path: Path, name: str, into: str) -> None:
    files = opened(pack(tmp_path / name), into)
    start = f"{into}/" if into else ""
    assert files.names == tuple(sorted(start + each for each in CONTENT))
    assert {each: files.read(start + each) for each in CONTENT} == CONTENT
    assert all(files.stamp(start + each) for each in CONTENT)


@pytest.mark.parametrize("name", ARCHIVES)
def test_another_content_has_another_stamp(tmp_path: Path, name: str) -> None:
    one = opened(pack(tmp_path / name))
    other = opened(pack(tmp_path / "other" / name, {**CONTENT, "top/a.txt": b"other\n"}))
    assert one.stamp("top/a.txt") != other.stamp("top/a.txt")


def test_a_folder_has_the_files_below_some_paths(tmp_path: Path) -> None:
    write_files(tmp_path, {**CONTENT, "elsewhere/c.txt": b""})
    assert folder(tmp_path, "top", "list.txt").names == ("list.txt", "top/a.txt", "top/deep/b.bin")
    assert folder(tmp_path).names == tuple(sorted([*CONTENT, "elsewhere/c.txt"]))
    assert folder(tmp_path, "top").read("top/a.txt") == b"first\n"


def test_a_gz_of_one_file_has_its_name_without_gz(tmp_path: Path) -> None:
    write_gz(tmp_path / "train-labels.gz", b"0123" * 300)
    files = opened(tmp_path / "train-labels.gz", "raw")
    assert files.names == ("raw/train-labels",)
    assert files.read("raw/train-labels") == b"0123" * 300


def test_any_other_file_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"a\n")
    assert opened(tmp_path / "list.txt").text("list.txt") == "a\n"


@pytest.mark.parametrize("name", ["data.zip", "data.tar"])
def test_files_that_systems_add_are_no_files(tmp_path: Path, name: str) -> None:
    extra = ("__MACOSX/top/._a.txt", "top/._a.txt", ".DS_Store", "top/.DS_Store", "top/Thumbs.db", "top/desktop.ini")
    files = opened(pack(tmp_path / name, {**CONTENT, **dict.fromkeys(extra, b"x"), "top/.kept": b"x"}))
    assert files.names == tuple(sorted([*CONTENT, "top/.kept"]))


@pytest.mark.parametrize("name", ["data.zip", "data.tar"])
def test_names_lose_their_dot(tmp_path: Path, name: str) -> None:
    files = opened(pack(tmp_path / name, {f"./{each}": data for each, data in CONTENT.items()}))
    assert files.names == tuple(sorted(CONTENT))
    assert files.read("list.txt") == CONTENT["list.txt"]


def test_a_path_in_several_sources_is_read_from_the_first(tmp_path: Path) -> None:
    one = opened(pack(tmp_path / "one.zip", {"a": b"1"}))
    two = opened(pack(tmp_path / "two.tar", {"a": b"2", "b": b"2"}))
    both = joined(one, two)
    assert [both.read(name) for name in both.names] == [b"1", b"2"]
    assert "b" in both and "b" not in one


def test_text_and_lines(tmp_path: Path) -> None:
    write_files(tmp_path, {"list.txt": b"\xc3\xa9 \r\n\n b\n", "old.txt": b"\xe9"})
    files = folder(tmp_path)
    assert files.lines("list.txt") == ["é", "b"]
    assert files.text("old.txt", "latin-1") == "é"
    with pytest.raises(DataError, match=r"^old\.txt of .* is no text in utf-8 \(.*\); replace it\.$"):
        files.text("old.txt")


def test_matches_come_in_order_and_one_is_needed(tmp_path: Path) -> None:
    files = opened(pack(tmp_path / "data.zip", {"b/2.png": b"", "a/1.png": b"", "a/1.pngx": b""}))
    assert [(name, found[1]) for name, found in files.match(r"(\w)/\d\.png")] == [("a/1.png", "a"), ("b/2.png", "b")]
    with pytest.raises(DataError, match=r"data\.zip has no file 'c/\.\*'; get the whole dataset"):
        list(files.match("c/.*"))


@pytest.mark.parametrize("ask", [Files.read, Files.stamp, Files.text, Files.lines, Files.local, Files.inside])
def test_a_file_that_lacks_is_one_sentence(tmp_path: Path, ask: Callable[[Files, str], object]) -> None:
    with pytest.raises(DataError, match=r"data\.zip has no file c\.txt; get the whole dataset and run again\.$"):
        ask(opened(pack(tmp_path / "data.zip")), "c.txt")


def test_a_tar_in_a_tar_is_read_in_place(tmp_path: Path, cache: Path) -> None:
    deep = tar_bytes({"x/1.txt": b"one"})
    path = pack(tmp_path / "outer.tar", {"n01.tar": tar_bytes({**CONTENT, "deep.tar": deep}), "a": b""})
    inner = opened(path).inside("n01.tar", "n01")
    assert inner.read("n01/top/deep/b.bin") == CONTENT["top/deep/b.bin"]
    assert not (cache / "unpacked").exists()
    assert inner.stamp("n01/list.txt") != inner.stamp("n01/top/a.txt")
    assert inner.inside("n01/deep.tar").read("x/1.txt") == b"one"


@pytest.mark.parametrize("outer", ["outer.zip", "outer.tar", "outer.tar.gz", "folder"])
@pytest.mark.parametrize("inner", ["inner.zip", "inner.tar", "inner.tar.gz"])
def test_an_archive_in_an_archive(tmp_path: Path, outer: str, inner: str) -> None:
    data = {f"sub/{inner}": pack(tmp_path / inner).read_bytes()}
    if outer == "folder":
        write_files(tmp_path / "made", data)
        files = folder(tmp_path / "made")
    else:
        files = opened(pack(tmp_path / outer, data))
    nested = files.inside(f"sub/{inner}", "in")
    assert {each: nested.read(f"in/{each}") for each in CONTENT} == CONTENT


def test_an_inner_archive_that_changed_is_read_anew(tmp_path: Path) -> None:
    for text in (b"one", b"two"):
        inner = pack(tmp_path / "inner.zip", {"a": text}).read_bytes()
        assert opened(pack(tmp_path / "outer.zip", {"inner.zip": inner})).inside("inner.zip").read("a") == text


def test_the_path_of_a_file(tmp_path: Path) -> None:
    write_files(tmp_path, {"plain.h5": b"plain"})
    write_gz(tmp_path / "packed.h5.gz", b"packed" * 99)
    assert folder(tmp_path).local("plain.h5") == tmp_path / "plain.h5"
    assert opened(tmp_path / "plain.h5").local("plain.h5") == tmp_path / "plain.h5"
    unpacked = opened(tmp_path / "packed.h5.gz", "in").local("in/packed.h5")
    assert unpacked.read_bytes() == b"packed" * 99
    assert opened(tmp_path / "packed.h5.gz").local("packed.h5") == unpacked
    assert opened(pack(tmp_path / "data.zip")).local("top/a.txt").read_bytes() == b"first\n"
    assert opened(pack(tmp_path / "data.tar.gz"), "in").local("in/top/a.txt").read_bytes() == b"first\n"


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.97])
def test_a_truncated_archive_is_one_sentence(tmp_path: Path, name: str, part: float) -> None:
    content = {f"{number}.bin": bytes((number * place) % 251 for place in range(3000)) for number in range(7)}
    path = pack(tmp_path / name, content)
    data = path.read_bytes()
    end = int(len(data) * part) if name != "data.tar" or part < 0.9 else len(data) - 10240
    path.write_bytes(data[:end])
    with pytest.raises(DataError) as caught:
        files = opened(path)
        for each in content:
            files.read(each)
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_file_that_may_not_be_read_is_not_called_damaged() -> None:
    with pytest.raises(PermissionError, match="denied"), damaged("labels.gz"):
        raise PermissionError(13, "denied")


def test_a_truncated_gz_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(bytes(range(256)) * 9)[:150])
    with pytest.raises(DataError, match=r"labels\.gz: it is truncated or damaged \(.*\); get it again\.$"):
        opened(path)


@pytest.mark.parametrize("ask", [Files.read, Files.local])
def test_a_gz_that_ends_late_is_one_sentence(tmp_path: Path, ask: Callable[[Files, str], object]) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(bytes((place * place) % 251 for place in range(200_000)))[:-9])
    with pytest.raises(DataError, match=r"labels.* truncated.* (get it again|run again)\.$"):
        ask(opened(path), "labels")


def test_a_damaged_member_is_one_sentence_that_names_it(tmp_path: Path) -> None:
    path = pack(tmp_path / "data.zip", {"noise.bin": bytes((place * place) % 251 for place in range(5000))})
    data = bytearray(path.read_bytes())
    data[60] ^= 255
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"^Cannot read noise\.bin of .*data\.zip: it is truncated or damaged"):
        opened(path).read("noise.bin")


def test_a_file_that_disappears_is_one_sentence(tmp_path: Path) -> None:
    path = pack(tmp_path / "data.tar")
    files = opened(path)
    path.unlink()
    with pytest.raises(
        DataError, match=r"^list\.txt of .* disappeared while it was read; put it back and run again\.$"
    ):
        files.read("list.txt")


@pytest.mark.parametrize(("name", "start"), [("a.rar", b"Rar!\x1a\7\0"), ("a.7z", b"7z\xbc\xaf\x27\x1c")])
def test_formats_of_other_programs_are_refused(tmp_path: Path, name: str, start: bytes) -> None:
    (tmp_path / name).write_bytes(start + bytes(600))
    with pytest.raises(DataError, match=rf"{name} is an archive that clbench does not unpack; unpack it first: `cd "):
        opened(tmp_path / name)


@pytest.mark.parametrize("member", ["../evil.txt", "/evil.txt", "top/../../evil.txt", "..\\evil.txt"])
@pytest.mark.parametrize("name", ARCHIVES)
def test_members_that_lead_out_write_nothing(tmp_path: Path, cache: Path, name: str, member: str) -> None:
    inner = pack(tmp_path / "inner" / name, {member: b"evil", "good.txt": b"good"}).read_bytes()
    outer = opened(pack(tmp_path / "outer.zip", {name: inner}))
    try:
        assert outer.inside(name).read("good.txt") == b"good"
    except DataError as error:
        assert "leads out of the folder" in str(error)
        assert "gz" in name or "bz2" in name or "xz" in name, "what is read in place needs no refusal"
    written = [path for path in tmp_path.rglob("*evil*")]
    assert not written and not Path("/evil.txt").exists()


def test_a_link_in_a_tar_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    with tarfile.open(tmp_path / "data.tar", "w") as tar:
        for kind, name in ((tarfile.SYMTYPE, "soft"), (tarfile.LNKTYPE, "hard")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, str(tmp_path / "secret")
            tar.addfile(link)
        tar.addfile(tarfile.TarInfo("empty"), io.BytesIO())
    assert opened(tmp_path / "data.tar").names == ("empty",)


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="'link' is a link or a special file; delete it, and get it from a source"):
        opened(tmp_path / "data.zip")


@pytest.mark.parametrize("name", ["data.zip", "data.tar.gz", "data.tar.bz2", "data.tar.xz"])
def test_bombs_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"is refused: .*, as bombs do; delete it, and get it from a source you trust"):
        opened(pack(tmp_path / name, {"bomb": bytes(12 << 20)}))


def test_a_gz_that_is_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    write_gz(tmp_path / "bomb.gz", b"x" * (12 << 20))
    with pytest.raises(DataError, match="as bombs do"):
        opened(tmp_path / "bomb.gz").local("bomb")


@pytest.mark.parametrize("name", ["data.zip", "data.tar", "data.gz", "folder"])
def test_a_file_has_a_most(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 100)
    if name == "data.gz":
        write_gz(tmp_path / name, bytes(101))
        files, member = opened(tmp_path / name), "data"
    elif name == "folder":
        write_files(tmp_path / name, {"data": bytes(101), "small": bytes(100)})
        files, member = folder(tmp_path / name), "data"
        assert len(files.read("small")) == 100
    else:
        files, member = opened(pack(tmp_path / name, {"data": bytes(101), "small": bytes(100)})), "data"
        assert len(files.read("small")) == 100
    with pytest.raises(DataError, match=r"data has more than 100 bytes; get the file that its authors offer"):
        files.read(member)
