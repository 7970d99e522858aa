"""Files that are made from archives: the same archive has the same stamps, and so the same keys, in every cache."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cl.data.folders import read_image_folder
from cl.data.official.files import Files, open_source
from cl.data.unpacking import made_from, unpacked
from cl.paths import look_only
from tools.miniatures.packing import tar_bytes, write_gz, write_tar, write_zip

CONTENT = {"top/a.txt": b"first\n", "b.bin": bytes(range(200)) * 9}


@pytest.fixture
def homes(tmp_path: Path) -> list[Path]:
    return [tmp_path / "one", tmp_path / "elsewhere" / "two"]


def in_each(homes: list[Path], monkeypatch: pytest.MonkeyPatch, path: Path, inside: str = "") -> list[dict[str, str]]:
    """The stamps of the files of an archive, or of one inside it, for each cache."""
    found = []
    for home in homes:
        monkeypatch.setenv("CLBENCH_HOME", str(home))
        files = Files([open_source(path, "into")], "here")
        files = files.inside(f"into/{inside}", "deep") if inside else files
        found.append({name: files.stamp(name) for name in files.names})
        assert all(files.local(name).read_bytes() == files.read(name) for name in files.names)
    return found


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_stamps_are_the_same_in_every_cache(
    homes: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    (write_zip if name.endswith("zip") else write_tar)(path, CONTENT)
    one, two = in_each(homes, monkeypatch, path)
    assert one == two and set(one) == {f"into/{each}" for each in CONTENT}
    before = one["into/top/a.txt"]
    (write_zip if name.endswith("zip") else write_tar)(path, {**CONTENT, "top/a.txt": b"other\n"})
    one, two = in_each(homes, monkeypatch, path)
    assert one == two and one["into/top/a.txt"] != before, "another archive"


@pytest.mark.parametrize("outer", ["a.zip", "a.tar", "a.tar.gz"])
@pytest.mark.parametrize("name", ["in/x.tar", "in/x.tar.gz", "in/x.gz"])
def test_so_are_those_of_archives_in_archives(
    homes: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, outer: str, name: str
) -> None:
    if name == "in/x.gz":
        write_gz(tmp_path / "x.gz", b"one file")
        content = (tmp_path / "x.gz").read_bytes()
    elif name.endswith(".gz"):
        write_tar(tmp_path / "x.tar.gz", CONTENT)
        content = (tmp_path / "x.tar.gz").read_bytes()
    else:
        content = tar_bytes(CONTENT)
    (write_zip if outer.endswith("zip") else write_tar)(tmp_path / outer, {name: content})
    one, two = in_each(homes, monkeypatch, tmp_path / outer, name)
    assert one == two and one


def test_a_packed_folder_of_images_has_one_key(
    homes: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = {}
    for number in range(12):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(path)
        files[f"images/{'ab'[number % 2]}/{number}.png"] = path.read_bytes()
    write_tar(tmp_path / "images.tar.gz", files)
    keys = []
    for home in homes:
        monkeypatch.setenv("CLBENCH_HOME", str(home))
        root = unpacked(tmp_path / "images.tar.gz")
        os.utime(root / "images" / "a" / "0.png", ns=(1, 1))
        read_image_folder(root / "images", size=4, test_fraction=0.5, split_seed=0)
        keys.append({path.name for path in (home / "decoded").iterdir() if path.is_dir()})
    assert keys[0] == keys[1] and len(keys[0]) == 2


def test_only_what_lies_in_the_cache_is_known_by_its_name(cache: Path, tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar.gz", CONTENT)
    made = unpacked(tmp_path / "a.tar.gz")
    assert made_from(made) == made_from(made / "top" / "a.txt") == made.name
    copy = shutil.copytree(made, tmp_path / "unpacked" / made.name)
    assert not made_from(copy) and not made_from(tmp_path / "a.tar.gz") and not made_from(cache / "unpacked")
    (tmp_path / "link").symlink_to(made)
    assert made_from(tmp_path / "link" / "b.bin") == made.name


def test_a_temporary_cache_gives_the_same_stamps(cache: Path, tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar.gz", CONTENT)
    with look_only():
        seen = open_source(tmp_path / "a.tar.gz").stamp("b.bin")
        assert not (cache / "unpacked").exists()
    assert open_source(tmp_path / "a.tar.gz").stamp("b.bin") == seen
