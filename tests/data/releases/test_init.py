"""Every release on its miniature: what was written is what is read, from each form, as other loaders read it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.data import releases
from cl.data.official.release import HANDLERS, MINIATURE, READ, TORCHVISIONS, OfficialFile, find, load
from cl.data.store import ImageStore
from cl.errors import DataError, UsageError
from tests.help.releases import forms_of, located, read, remove, torchvision_loaders, truth, unpack, written
from tools.miniatures.pen import number_of
from tools.miniatures.write import names as miniatures

HANDLED = Path(__file__).parents[2] / "oracles" / "nevis"
"""What the handlers of NEVIS'22 read of the miniatures, as numbers of pictures and labels."""


SAMPLE = releases.names()[::8]
"""Releases on which all tests run; the others are marked slow for most, but each is read once in the fast tests."""


def sampled(names: Iterable[str]) -> list[Any]:
    """The names as parameters, slow unless they are in the sample."""
    return [pytest.param(name, marks=() if name in SAMPLE else pytest.mark.slow) for name in names]


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "data"


def test_every_release_has_a_miniature() -> None:
    assert set(miniatures()) == set(releases.names())
    with pytest.raises(UsageError, match="coil20"):
        releases.release("coil2")


@pytest.mark.parametrize("name", releases.names())
def test_a_release_declares_itself(name: str) -> None:
    release = releases.release(name)
    assert release.name == name
    assert release.title
    assert release.licence
    assert release.citation
    assert release.page.startswith("http")
    assert release.classes > 1
    assert release.checked in (READ, TORCHVISIONS, HANDLERS, MINIATURE)
    assert release.access or all(file.urls for file in release.files), "say what a user has to do"
    assert not release.access or release.access[0].islower(), "a clause, without a capital letter and a full stop"
    assert (release.checked == TORCHVISIONS) <= (name in torchvision_loaders())
    assert (release.checked == HANDLERS) <= (HANDLED / f"{name}.json").is_file()
    assert all(url.startswith("http") for form in release.forms for file in form for url in file.urls)


def test_files_with_the_names_of_another_dataset_are_looked_for_in_a_folder_of_their_own() -> None:
    """Fashion-MNIST's four files are called as MNIST's: in a folder of both, digits would be read as clothes."""
    same = {frozenset(("voc_2012", "voc_actions"))}  # two tasks of one archive
    forms = {
        name: {kind(form) for form in releases.release(name).forms for kind in (_packed, _unpacked) if kind(form)}
        for name in releases.names()
    }
    for one, two in combinations(releases.names(), 2):
        if forms[one] & forms[two] and frozenset((one, two)) not in same:
            assert releases.release(one).own_folder and releases.release(two).own_folder, (one, two)


def _packed(form: tuple[OfficialFile, ...]) -> frozenset[str]:
    return frozenset(file.name for file in form)


def _unpacked(form: tuple[OfficialFile, ...]) -> frozenset[str]:
    return frozenset(path for file in form for path in file.holds or (file.name,))


def test_a_release_with_an_own_folder_is_not_found_beside_others(places: Path) -> None:
    written("mnist", places)
    for path in (places / "mnist").iterdir():
        path.rename(places / path.name)
    assert find(releases.release("fashion_mnist")) is None and find(releases.release("mnist")) is None


@pytest.mark.parametrize(
    ("name", "form"),
    [
        pytest.param(name, form, marks=() if form == "write" or name in SAMPLE else pytest.mark.slow)
        for name in releases.names()
        for form in forms_of(name)
    ],
)
def test_what_was_written_is_read(name: str, form: str, places: Path) -> None:
    release = releases.release(name)
    pen = written(name, places, form)
    listing = release.read(located(release).open())
    assert read(listing) == truth(pen)
    assert len(listing.class_names) == release.classes
    assert listing.multi_label == release.multi_label
    assert all(found for found in listing.splits.values())


@pytest.mark.parametrize("name", sampled(releases.names()))
def test_a_miniature_is_the_same_in_every_process(name: str, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        written(name, tmp_path / folder)
    first, second = (
        {path.relative_to(tmp_path / each): path.stat().st_size for path in (tmp_path / each).rglob("*")}
        for each in ("one", "two")
    )
    assert first.keys() == second.keys()


@pytest.mark.parametrize("name", sampled(releases.names()))
def test_unpacked_files_are_read_alike(name: str, places: Path, tmp_path: Path) -> None:
    release = releases.release(name)
    pen = written(name, tmp_path / "packed")
    unpack(tmp_path / "packed" / name, places / name, release)
    assert read(release.read(located(release).open())) == truth(pen)


@pytest.mark.parametrize("name", sampled(releases.names()))
def test_a_dataset_is_made_of_it(name: str, places: Path) -> None:
    release = releases.release(name)
    pen = written(name, places)
    dataset = load(located(release), 32)
    trained = {each.labels for each in pen.truth.values() if each.split in ("train", "all")}
    expected = Counter(
        (number, each.labels)
        for number, each in pen.truth.items()
        if each.split and (release.multi_label or each.labels in trained)
    )
    stores = [store for store in (dataset.train, dataset.val, dataset.test) if store is not None]
    assert dataset.multi_label == release.multi_label
    found = Counter(
        (number_of(np.asarray(store.pixels[row])), tuple(dataset.class_names[label] for label in _labels(store, row)))
        for store in stores
        for row in range(len(store))
    )
    assert found == expected
    images = sum(bool(each.split) for each in pen.truth.values())
    assert (dataset.notes != ()) == (release.images not in (0, images) or sum(expected.values()) < images)


def _labels(store: ImageStore, row: int) -> list[int]:
    if store.tags is None:
        return [int(store.labels[row])]
    found: list[int] = np.flatnonzero(store.tags[row]).tolist()
    return found


@pytest.mark.parametrize("name", sampled(releases.names()))
def test_a_missing_file_is_missing(name: str, places: Path) -> None:
    release = releases.release(name)
    written(name, places)
    remove(places / name, release.files[0])
    assert find(release) is None


@pytest.mark.parametrize("name", sampled(releases.names()))
def test_a_truncated_file_is_one_sentence(name: str, places: Path) -> None:
    release = releases.release(name)
    written(name, places)
    paths = [places / name / file.name for file in release.files if (places / name / file.name).is_file()]
    path = max(paths or (places / name).rglob("*.[bj][mp][pg]"), key=lambda each: each.stat().st_size)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError) as caught:
        read(release.read(located(release).open()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sampled(sorted(torchvision_loaders())))
def test_torchvision_reads_the_same(name: str, tmp_path: Path, places: Path) -> None:
    release = releases.release(name)
    pen = written(name, places)
    (tmp_path / "unpacked").mkdir()
    loaded = torchvision_loaders()[name](places / name, tmp_path / "unpacked")
    assert Counter((split, number_of(pixels), names) for split, pixels, names in loaded) == truth(pen), release.title


@pytest.mark.parametrize("name", sampled(sorted(path.stem for path in HANDLED.glob("*.json"))))
def test_the_handler_of_nevis_reads_the_same(name: str, places: Path) -> None:
    """Handlers number classes in their own way, so labels are compared one to one; `own` are their published splits,
    `redrawn` those that they draw although the authors publish some."""
    oracle = json.loads((HANDLED / f"{name}.json").read_text())
    release = releases.release(name)
    written(name, places, oracle["form"])
    ours = {number: (split, labels) for split, number, labels in read(release.read(located(release).open()))}
    theirs = {number: (split, tuple(labels)) for number, split, labels in oracle["rows"]}
    assert theirs.keys() == ours.keys()
    pairs = {(ours[number][1], theirs[number][1]) for number in ours}
    assert len({mine for mine, _ in pairs}) == len({other for _, other in pairs}) == len(pairs)
    for split, called in (("test", "test"), ("val", "dev-test")):
        own = {number for number, (each, _) in ours.items() if each == split}
        assert bool(own) == (called in [*oracle["own"], *oracle.get("redrawn", ())])
        assert called not in oracle["own"] or own == {number for number, (each, _) in theirs.items() if each == called}
