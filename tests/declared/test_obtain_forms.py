"""Folders of declared streams that are there as archives, or as the official files with the same images."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

from cl.declared.declaration import load
from cl.errors import DataError, UsageError
from cl.family import make_stream
from cl.stream import Stream
from tests.help.image_trees import grow
from tests.help.layouts import miniature

HEAD = 'name = "own"\nsetting = "class-incremental"\nsize = 16\n'
TABLE = '[[datasets]]\nname = "{name}"\nreader = "folder"\npath = "{path}"\n{more}'


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of CLBENCH_DATA_PATH."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "data"


def stream_of(tmp_path: Path, path: str = "all/birds", more: str = "") -> Stream:
    file = tmp_path / "own.toml"
    file.write_text(HEAD + TABLE.format(name="birds", path=path, more=more))
    return make_stream(str(file))


def pack(folder: Path, archive: Path, root: str) -> None:
    """The files below a folder as an archive, in the folder `root`."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as file:
            for path in sorted(folder.rglob("*.jpg")):
                file.write(path, f"{root}/{path.relative_to(folder)}" if root else str(path.relative_to(folder)))
    else:
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(folder, root)


@pytest.mark.parametrize(
    ("archive", "root"),
    [
        ("all/birds.zip", "birds"),
        ("all/birds.tar.gz", "birds"),
        ("all/birds.zip", ""),
        ("all.zip", "all/birds"),
        ("images/all.tgz", "all/birds"),
    ],
)
def test_an_archive_is_the_folder(archive: str, root: str, data: Path, tmp_path: Path) -> None:
    grow(data / "all" / "birds", 5, ["ant", "bee"])
    folder = stream_of(tmp_path)
    (data / "all").rename(tmp_path / "elsewhere")
    pack(tmp_path / "elsewhere" / "birds", data / archive, root)
    packed = stream_of(tmp_path)
    assert (packed.id, packed.dataset.fingerprints) == (folder.id, folder.dataset.fingerprints)


def test_an_archive_of_something_else_is_one_sentence(data: Path, tmp_path: Path) -> None:
    pack(grow(tmp_path / "cats", 2, ["ant", "bee"]), data / "all.zip", "all/cats")
    with pytest.raises(
        DataError, match=r"all\.zip holds no folder all/birds, which birds needs; get the whole archive"
    ):
        stream_of(tmp_path)
    (data / "all.zip").write_bytes((data / "all.zip").read_bytes()[:99])
    with pytest.raises(DataError, match=r"all\.zip.* is damaged|all\.zip"):
        stream_of(tmp_path)


def test_official_files_stand_for_a_folder(data: Path, tmp_path: Path) -> None:
    miniature("not_mnist", data)
    stream = stream_of(tmp_path, "letters", 'also = "not_mnist"\n')
    assert len(stream.dataset.train) == 20 and len(stream.dataset.test) == 10
    plain = load(tmp_path / "own.toml")
    stream_of_folder = (tmp_path / "own.toml").read_text().replace('also = "not_mnist"\n', "")
    (tmp_path / "own.toml").write_text(stream_of_folder)
    assert load(tmp_path / "own.toml").digest == plain.digest, "other forms of the same images are no other stream"


def test_only_a_folder_has_other_forms(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no dataset 'not_mnis'"):
        stream_of(tmp_path, "letters", 'also = "not_mnis"\n')
    (tmp_path / "own.toml").write_text(
        HEAD + '[[datasets]]\nname = "a"\nreader = "official"\nrelease = "mnist"\nalso = "mnist"\n'
    )
    with pytest.raises(UsageError, match="reader 'official' does not take 'also'"):
        load(tmp_path / "own.toml")
    with pytest.raises(
        DataError, match=r"needs birds \(letters or notMNIST_small\.tar\.gz or notmnist\.zip\), not found"
    ):
        stream_of(tmp_path, "letters", 'also = "not_mnist"\n')
