"""Releases: where they are searched, what lacks, how to get them, downloads, checksums, and datasets made of them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class, many_classes
from cl.data.official.release import (
    MINIATURE,
    OfficialFile,
    Release,
    absent,
    checked,
    find,
    how_to_get,
    listed,
    load,
    obtain,
    places,
    verify,
)
from cl.data.reads import recording
from cl.errors import DataError, MissingData
from tools.miniatures.packing import write_files, write_tar, write_zip
from tools.miniatures.pen import Pen


def _read(files: Files) -> Listing:
    rows: dict[str, list[tuple[str, str]]] = {}
    for name, found in files.match(r"box/(train|val|test)/(\w+)/\d+\.png"):
        rows.setdefault(found[1], []).append((name, found[2]))
    files.read("list.txt")
    return by_class(files, rows)


TOYS = Release(
    name="toys",
    title="Toys",
    files=(OfficialFile("toys.zip", holds=("box",)), OfficialFile("list.txt")),
    also=((OfficialFile("mirror.tar", holds=("box", "list.txt")),),),
    read=_read,
    classes=2,
    images=8,
    licence="CC0",
    citation="A Person, Toys, 2020",
    page="https://toys.example/",
    checked=MINIATURE,
    folders=("toys-2020",),
)


@pytest.fixture
def content() -> dict[str, bytes]:
    pen = Pen()
    places = [("train", "ball", 1), ("train", "car", 1), ("train", "ball", 2), ("train", "car", 2)]
    places += [("val", "ball", 1), ("val", "car", 1), ("test", "ball", 1), ("test", "car", 1)]
    return {f"box/{split}/{name}/{number}.png": pen.encoded(split, name, "PNG") for split, name, number in places}


@pytest.fixture
def roots(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two folders of CLBENCH_DATA_PATH."""
    monkeypatch.setenv("CLBENCH_DATA_PATH", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    return tmp_path / "one", tmp_path / "two"


def put(folder: Path, content: dict[str, bytes]) -> Path:
    write_zip(folder / "toys.zip", content)
    write_files(folder, {"list.txt": b"list"})
    return folder


def test_every_place_is_searched(content: dict[str, bytes], roots: tuple[Path, Path], cache: Path) -> None:
    searched = list(places(TOYS))
    subfolders = ("toys", "toys-2020", ".", "images", "torchvision", "torchvision/toys", "torchvision/toys-2020")
    assert searched == [root / sub for root in (*roots, cache / "data") for sub in subfolders]
    for folder in reversed(searched):  # the first wins
        put(folder, content)
        found = find(TOYS)
        assert found is not None and found.folder == folder
        assert found.paths == (folder / "toys.zip", folder / "list.txt")


def test_unpacked_files_are_found(content: dict[str, bytes], roots: tuple[Path, Path]) -> None:
    write_files(roots[1] / "toys", {**content, "list.txt": b"list"})
    found = find(TOYS)
    assert found is not None
    assert found.form == TOYS.files and found.packed == (None, roots[1] / "toys" / "list.txt")
    assert found.paths == (roots[1] / "toys" / "box", roots[1] / "toys" / "list.txt")
    assert len(TOYS.read(found.open())) == 8


def test_another_form_is_found(content: dict[str, bytes], roots: tuple[Path, Path]) -> None:
    write_tar(roots[0] / "toys" / "mirror.tar", {**content, "list.txt": b"list"})
    found = find(TOYS)
    assert found is not None and found.form == TOYS.also[0]
    assert len(TOYS.read(found.open())) == 8


def test_an_archive_is_preferred_to_what_it_unpacks_to_unless_it_cannot_be_unpacked(
    content: dict[str, bytes], roots: tuple[Path, Path]
) -> None:
    for name, packed in (("toys.zip", True), ("toys.rar", False), ("toys.7Z", False)):
        release = replace(TOYS, files=(OfficialFile(name, holds=("box",)),), also=())
        write_files(roots[0] / "toys", {**content, name: b"Rar!"})
        found = find(release)
        assert found is not None and (found.packed[0] is not None) == packed


def test_files_in_two_places_are_not_one_copy(content: dict[str, bytes], roots: tuple[Path, Path]) -> None:
    put(roots[0] / "toys", content)
    (roots[0] / "toys" / "list.txt").rename(roots[0] / "list.txt")
    assert find(TOYS) is None
    assert absent(TOYS) == {roots[0] / "toys": ["list.txt"], roots[0]: ["toys.zip"]}


def test_nothing_lacks_where_nothing_or_everything_is(content: dict[str, bytes], roots: tuple[Path, Path]) -> None:
    assert absent(TOYS) == {}
    put(roots[0] / "toys", content)
    assert absent(TOYS) == {}


def test_a_search_is_recorded(content: dict[str, bytes], roots: tuple[Path, Path]) -> None:
    with recording() as reads:
        find(TOYS)
    assert [search["release"] for search in reads.searches] == ["toys"]
    put(roots[0], content)
    with recording() as reads:
        find(TOYS)
    assert [search["release"] for search in reads.searches] == ["toys"]


def test_how_to_get_it() -> None:
    into = "toys.zip and list.txt (or what they unpack to) into a folder toys/ of CLBENCH_DATA_PATH."
    assert how_to_get(TOYS) == f"get it from https://toys.example/ and put {into}"
    asked = replace(TOYS, access="ask its authors at https://toys.example/ask")
    assert how_to_get(asked) == f"ask its authors at https://toys.example/ask, then put {into}"


def test_what_can_be_downloaded() -> None:
    files = tuple(replace(file, urls=("http://toys.example/x",), size=5) for file in TOYS.files)
    assert not TOYS.downloadable and TOYS.size == 0
    assert replace(TOYS, files=files).downloadable and replace(TOYS, files=files).size == 10
    assert not replace(TOYS, files=files, access="ask its authors").downloadable
    assert not replace(TOYS, files=(files[0], TOYS.files[1])).downloadable


def test_what_lacks_and_cannot_be_downloaded_is_one_sentence(roots: tuple[Path, Path]) -> None:
    with pytest.raises(MissingData) as caught:
        obtain(replace(TOYS, access="ask its authors"))
    assert "Toys was not found in " in str(caught.value) and "; ask its authors, then put " in str(caught.value)
    assert str(roots[1]) in str(caught.value)


def test_a_dataset_that_is_here_in_part_names_the_files_that_lack(roots: tuple[Path, Path]) -> None:
    write_files(roots[0] / "toys", {"list.txt": b""})
    with pytest.raises(MissingData) as caught:
        obtain(replace(TOYS, access="ask its authors"))
    assert f"({roots[0] / 'toys'} lacks toys.zip); ask its authors" in str(caught.value)


def test_many_names_are_shortened() -> None:
    assert listed(["a", "b"], " + ") == "a + b"
    assert listed([f"{number}.gif" for number in range(1, 10)], " + ") == "9 files, 1.gif to 9.gif"


class Handler(BaseHTTPRequestHandler):
    """Serves what the server has in `files`, by name."""

    def do_GET(self) -> None:
        body = self.server.files.get(self.path.strip("/"))  # type: ignore[attr-defined]
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def served(content: dict[str, bytes], tmp_path: Path) -> Iterator[Release]:
    """The release on a server of this machine, with its checksums; the first address of a file is wrong."""
    folder = put(tmp_path / "served", content)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        names = ("toys.zip", "list.txt")
        server.files = {name: (folder / name).read_bytes() for name in names}  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        root = f"http://127.0.0.1:{server.server_address[1]}"
        files = tuple(
            replace(
                file,
                urls=(f"{root}/gone", f"{root}/{file.name}"),
                size=(folder / file.name).stat().st_size,
                md5=hashlib.md5((folder / file.name).read_bytes()).hexdigest(),
            )
            for file in TOYS.files
        )
        yield replace(TOYS, files=files)
        server.shutdown()


@pytest.fixture
def online(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("CLBENCH_OFFLINE")
    return cache


def test_a_download_is_kept_in_the_cache(served: Release, online: Path) -> None:
    found = obtain(served)
    assert found.folder == online / "data" / "toys"
    assert len(served.read(found.open())) == 8
    verify(found)
    assert obtain(replace(served, files=TOYS.files)).folder == found.folder


def test_a_download_with_another_checksum_is_refused(served: Release, online: Path) -> None:
    wrong = replace(served, files=(replace(served.files[0], md5="0" * 32), served.files[1]))
    with pytest.raises(DataError, match=r"toys\.zip could not be downloaded"):
        obtain(wrong)
    assert find(wrong) is None


def test_offline_nothing_is_downloaded(served: Release, cache: Path) -> None:
    with pytest.raises(MissingData, match=r"^Toys \(toys\.zip \+ list\.txt\) was not found in .* CLBENCH_OFFLINE"):
        obtain(served)
    assert not (cache / "data").exists()


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_checksums_of_archives_are_compared(content: dict[str, bytes], roots: tuple[Path, Path], kind: str) -> None:
    path = put(roots[0], content) / "toys.zip"
    right = hashlib.new(kind, path.read_bytes()).hexdigest()
    for value, fits in ((right, True), ("0" * len(right), False)):
        sums = {"md5": None, "sha256": None, kind: value}
        file = OfficialFile("toys.zip", md5=sums["md5"], sha256=sums["sha256"])
        found = find(replace(TOYS, files=(file, TOYS.files[1])))
        assert found is not None
        if fits:
            verify(found)
        else:
            with pytest.raises(DataError, match=rf"toys\.zip is damaged or not the file .*{right}"):
                verify(found)


def test_what_is_unpacked_has_no_checksum(content: dict[str, bytes], roots: tuple[Path, Path]) -> None:
    write_files(roots[0] / "toys", {**content, "list.txt": b"list"})
    found = find(replace(TOYS, files=(replace(TOYS.files[0], md5="0" * 32), TOYS.files[1])))
    assert found is not None
    verify(found)


def test_a_dataset_is_made_of_a_copy(content: dict[str, bytes], roots: tuple[Path, Path]) -> None:
    put(roots[0] / "toys", content)
    dataset = load(obtain(TOYS), 24)
    assert dataset.class_names == ("ball", "car") and dataset.notes == ()
    assert dataset.train.pixels.shape == (4, 24, 24, 3) and dataset.val is not None
    assert [len(dataset.train), len(dataset.val), len(dataset.test)] == [4, 2, 2]
    assert dataset.train.labels.tolist() == [0, 0, 1, 1]
    assert (dataset.name, dataset.licence, dataset.citation) == ("toys", "CC0", "A Person, Toys, 2020")
    assert dataset.origin == str(roots[0] / "toys")


def test_a_changed_image_is_decoded_anew(content: dict[str, bytes], roots: tuple[Path, Path]) -> None:
    put(roots[0], content)
    before = np.array(load(obtain(TOYS), 16).train.pixels)
    names = list(content)
    content[names[0]], content[names[1]] = content[names[1]], content[names[0]]
    put(roots[0], content)
    after = load(obtain(TOYS), 16)
    assert not (before == after.train.pixels).all()
    assert load(obtain(replace(TOYS, version=2)), 16).train.labels.tolist() == after.train.labels.tolist()


def test_a_dataset_without_a_split_has_no_test_images(content: dict[str, bytes], roots: tuple[Path, Path]) -> None:
    def read(files: Files) -> Listing:
        return by_class(files, {"all": [(name, found[1]) for name, found in files.match(r"box/\w+/(\w+)/\d\.png")]})

    put(roots[0], content)
    dataset = load(obtain(replace(TOYS, read=read)), 16)
    assert len(dataset.train) == 8 and len(dataset.test) == 0 and dataset.val is None


def test_another_number_of_images_is_noted(content: dict[str, bytes], roots: tuple[Path, Path]) -> None:
    content.popitem()
    content["box/test/car/7.png"] = content["box/test/car/8.png"] = content["box/test/ball/1.png"]
    put(roots[0], content)
    note = "Toys has 9 images here and 8 as published; results are not those of the whole dataset."
    loaded, unknown = load(obtain(TOYS), 16), load(obtain(replace(TOYS, images=0)), 16)
    assert loaded.notes == (note,) and loaded.shares == {TOYS.name: 9 / 8}
    assert unknown.notes == () and unknown.shares == {}


def test_another_dataset_is_one_sentence(content: dict[str, bytes], roots: tuple[Path, Path]) -> None:
    put(roots[0], content)
    with pytest.raises(DataError, match=r"one is not Toys: it has 2 classes, expected 3; get the whole dataset"):
        load(obtain(replace(TOYS, classes=3)), 16)


def test_a_split_without_images_is_one_sentence(content: dict[str, bytes], roots: tuple[Path, Path]) -> None:
    put(roots[0], content)
    files = obtain(TOYS).open()
    rows = {"train": [("box/train/ball/1.png", "ball"), ("box/train/car/1.png", "car")], "test": []}
    with pytest.raises(DataError, match=r"^here has no test images of Toys; get the whole dataset and run again\.$"):
        checked(TOYS, by_class(files, rows), "here")


def test_several_classes_per_image_are_declared(content: dict[str, bytes], roots: tuple[Path, Path]) -> None:
    def read(files: Files) -> Listing:
        return many_classes(files, {"all": [("box/train/ball/1.png", ["ball", "car"])]}, ("ball", "car"))

    put(roots[0], content)
    with pytest.raises(DataError, match="is not Toys: it differs in whether images have several classes"):
        load(obtain(replace(TOYS, read=read)), 16)
    several = load(obtain(replace(TOYS, read=read, multi_label=True)), 16)
    assert several.train.tags is not None and several.train.tags.tolist() == [[True, True]] and not len(several.test)
