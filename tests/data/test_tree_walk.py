"""The files of a tree: each real file once, special files refused by name, and the others counted."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from PIL import Image

from cl.data.tree_walk import LeftOut, folders_in, has_images, images_below, suffixes, without_borrowed
from cl.errors import DataError
from tests.help.image_folders import save, tree


def names(root: Path, left: LeftOut | None = None) -> list[str]:
    return [each.path[len(str(root)) + 1 :] for each in images_below(root, left or LeftOut())]


def test_what_pillow_reads_is_read_and_the_rest_is_counted(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    image = Image.open(tmp_path / "a.png")
    for name, kind in (("b.jfif", "JPEG"), ("c", "JPEG"), ("d.WEBP", "WEBP"), ("sub/e.tif", "TIFF")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        image.save(tmp_path / name, kind)
    for name in ("x.txt", "y.txt", "README", "z.eps", ".hidden.png"):
        (tmp_path / name).write_text("%!PS-Adobe-3.0 hello")
    left = LeftOut()
    assert names(tmp_path, left) == ["a.png", "b.jfif", "c", "d.WEBP", "sub/e.tif"]
    assert left.notes() == ("Left out: 4 files (2 .txt, 1 .eps, 1 without suffix).",)
    assert {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp", ".jfif"} <= suffixes()


def test_a_link_in_a_circle_gives_each_image_once(tmp_path: Path) -> None:
    tree(tmp_path, {"ant": 6, "bee": 6})
    (tmp_path / "ant" / "up").symlink_to(tmp_path)
    classes = {name: images_below(tmp_path / name, LeftOut()) for name in ("ant", "bee")}
    assert {name: len(paths) for name, paths in without_borrowed(classes).items()} == {"ant": 6, "bee": 6}


def test_links_to_images_elsewhere_are_read_once_each(tmp_path: Path) -> None:
    tree(tmp_path / "pool", {"x": 3})
    (tmp_path / "class").mkdir()
    for index in range(3):
        (tmp_path / "class" / f"{index}.png").symlink_to(tmp_path / "pool" / "x" / f"{index}.png")
    (tmp_path / "class" / "again.png").symlink_to(tmp_path / "pool" / "x" / "0.png")
    os.link(tmp_path / "pool" / "x" / "1.png", tmp_path / "class" / "hard.png")
    assert names(tmp_path / "class") == ["0.png", "2.png", "hard.png"]


@pytest.mark.parametrize("kind", ["dangling", "pipe", "socket", "loop"])
def test_special_files_are_refused_by_name(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "a.png")
    if kind == "dangling":
        (tmp_path / "odd.png").symlink_to(tmp_path / "nowhere")
    elif kind == "loop":
        (tmp_path / "odd.png").symlink_to(tmp_path / "odd.png")
    elif kind == "pipe":
        os.mkfifo(tmp_path / "odd.png")
    else:
        monkeypatch.chdir(tmp_path)  # the path of a socket must be short
        with socket.socket(socket.AF_UNIX) as each:
            each.bind("odd.png")
    with pytest.raises(DataError, match=r"odd\.png is a (link to nothing|pipe, socket or device); remove it"):
        images_below(tmp_path, LeftOut())


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("cl.data.tree_walk.os.scandir", refuse)
    with pytest.raises(DataError, match=r"Cannot read the folder .* \(Permission denied\); check its permissions"):
        folders_in(tmp_path)


def test_what_macos_adds_is_left_out_and_said(tmp_path: Path) -> None:
    tree(tmp_path, {"ant": 1, "__MACOSX": 2})
    left = LeftOut()
    assert [path.name for path in folders_in(tmp_path, left)] == ["ant"]
    assert left.notes() == (f"Left out: the folder {tmp_path / '__MACOSX'}.",)
    assert has_images(tmp_path / "ant") and not has_images(tmp_path)


def test_many_kinds_are_cut() -> None:
    left = LeftOut()
    for index in range(7):
        left.add(f"x.k{index}")
    assert left.notes() == ("Left out: 7 files (1 .k0, 1 .k1, 1 .k2, 1 .k3, 1 .k4 and 2 other kinds).",)
