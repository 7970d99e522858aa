"""Files of Kaggle, with a stand-in for its library: every release that has a handle, and every way to fail."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
import requests

from cl.data import releases
from cl.data.official import kaggle
from cl.data.official.release import find, how_to_get, obtain, verify
from cl.errors import DataError, MissingData, StorageError, UsageError
from tests.help.kaggle import DataCorruptionError, FakeKaggle, UnauthenticatedError, hidden, installed
from tests.help.releases import located, read, truth, written

ON_KAGGLE = [name for name in releases.names() if releases.release(name).kaggle]
BIWI = "kmader/biwi-kinect-head-pose-database"


@pytest.fixture(autouse=True)
def fake(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKaggle:
    """kagglehub, with an empty CLBENCH_DATA_PATH and the network allowed."""
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.delenv("CLBENCH_OFFLINE", raising=False)
    return installed(monkeypatch, tmp_path / "kagglehub")


@pytest.fixture
def biwi(fake: FakeKaggle, tmp_path: Path) -> Path:
    """The archive that Kaggle has of one dataset."""
    written("biwi", tmp_path)
    fake.archives[BIWI] = tmp_path / "biwi" / "biwi-kinect-head-pose-database.zip"
    return fake.archives[BIWI]


def own(tmp_path: Path) -> Path:
    return tmp_path / "home" / "data" / "biwi"


@pytest.mark.parametrize("name", ON_KAGGLE)
def test_what_kaggle_has_is_read_as_it_unpacks_it(name: str, fake: FakeKaggle, tmp_path: Path) -> None:
    release = releases.release(name)
    assert release.access, "a handle is for files that need an account"
    form = "write_kaggle" if name == "imagenet2012" else "write"
    pen = written(name, tmp_path, form)
    archive = tmp_path / name / f"{release.kaggle.rpartition('/')[2]}.zip"
    fake.archives[release.kaggle] = archive
    found = obtain(release)
    assert fake.asked == [release.kaggle] and found.folder == tmp_path / "home" / "data" / name
    verify(found)
    files = found.open()
    assert read(release.read(files)) == truth(pen)
    assert all(path.is_symlink() for path in found.paths), "no second copy"


def test_what_is_here_is_not_asked_for_again(fake: FakeKaggle, biwi: Path) -> None:
    release = releases.release("biwi")
    assert find(release) is None
    first = obtain(release)
    assert obtain(release) == first == located(release) and fake.asked == [BIWI]


def test_a_link_that_leads_nowhere_is_made_again(fake: FakeKaggle, biwi: Path, tmp_path: Path) -> None:
    obtain(releases.release("biwi"))
    shutil.rmtree(fake.cache)
    fake.version = 2
    assert find(releases.release("biwi")) is None
    obtain(releases.release("biwi"))
    assert (own(tmp_path) / "faces_0" / "01").is_dir()


def test_a_system_without_links_gets_the_files(
    biwi: Path, fake: FakeKaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object, **kwargs: object) -> None:
        raise PermissionError(1, "A required privilege is not held by the client")

    monkeypatch.setattr(os, "symlink", refused)
    obtain(releases.release("biwi"))
    assert (own(tmp_path) / "faces_0" / "01").is_dir() and not (own(tmp_path) / "faces_0").is_symlink()
    assert not list(fake.cache.rglob("faces_0")), "moved, not copied"


def test_files_of_a_user_are_left_alone(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("Kaggle's")
    target.write_text("mine")
    kaggle._link(source, target)
    assert target.read_text() == "mine" and not target.is_symlink()


def test_without_the_library_the_user_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden(monkeypatch)
    assert not kaggle.installed()
    with pytest.raises(MissingData) as error:
        obtain(releases.release("biwi"))
    said = "CLBENCH_DATA_PATH, or pip install 'clbench[kaggle]' and run `clbench data get biwi`."
    assert str(error.value).endswith(said) and "(a Kaggle account is needed), then put" in str(error.value)
    assert "clbench[kaggle]" not in how_to_get(releases.release("celeb_a")), "it has no handle"


def test_offline_nothing_is_asked_for(fake: FakeKaggle, biwi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    with pytest.raises(MissingData, match=r"Biwi Kinect Head Pose .* CLBENCH_OFFLINE forbids downloading it"):
        obtain(releases.release("biwi"))
    assert fake.asked == []


def test_no_account(fake: FakeKaggle) -> None:
    fake.error = UnauthenticatedError()
    with pytest.raises(MissingData, match=r"datasets/kmader/biwi\S*, which needs a Kaggle account; create a token at "):
        obtain(releases.release("biwi"))
    fake.refuse(403)
    with pytest.raises(MissingData) as error:
        obtain(releases.release("imagenet2012"))
    assert str(error.value).startswith("Kaggle refuses ImageNet 2012 (HTTP 403); accept its terms at https://www.")
    assert "/competitions/imagenet-object-localization-challenge with your account" in str(error.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (requests.ConnectionError("no route\nto host"), "(ConnectionError); check the network"),
        (DataCorruptionError("The X-Goog-Hash\n\nheader"), "(DataCorruptionError: The X-Goog-Hash header); check"),
        (ValueError("Unsupported archive type."), "(ValueError: Unsupported archive type); check the network"),
        (ConnectionResetError(104, "reset"), "(ConnectionResetError); check the network"),
    ],
)
def test_a_failed_download_is_one_sentence(fake: FakeKaggle, error: Exception, said: str) -> None:
    fake.error = error
    with pytest.raises(DataError) as raised:
        obtain(releases.release("biwi"))
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_errors_of_the_server(fake: FakeKaggle) -> None:
    fake.refuse(404)
    with pytest.raises(
        DataError, match=r"is not at https://www\.kaggle\.com/datasets/kmader/\S* any more \(HTTP 404\)"
    ):
        obtain(releases.release("biwi"))
    fake.refuse(500)
    with pytest.raises(DataError, match=r"could not be downloaded from .* \(HTTP 500\); check the network"):
        obtain(releases.release("biwi"))


def test_a_full_disk_names_the_folder_of_the_library(fake: FakeKaggle) -> None:
    fake.error = OSError(28, "No space left on device", "/x/archive")
    with pytest.raises(StorageError, match=r"cannot write /x/archive \(No space left on device\); .*KAGGLEHUB_CACHE"):
        obtain(releases.release("biwi"))


def test_our_folder_that_cannot_be_written(biwi: Path, fake: FakeKaggle, tmp_path: Path) -> None:
    own(tmp_path).parent.mkdir(parents=True)
    own(tmp_path).write_text("a file")
    with pytest.raises(StorageError, match="set CLBENCH_HOME to a folder you own"):
        obtain(releases.release("biwi"))
    assert fake.asked == [], "it is refused before the download"


def test_another_layout_is_refused_and_nothing_is_linked(fake: FakeKaggle, tmp_path: Path) -> None:
    written("shanghai_tech", tmp_path)
    fake.archives["nih-chest-xrays/data"] = tmp_path / "shanghai_tech" / "shanghaitech.zip"
    with pytest.raises(DataError, match=r"has no images_001/images, from which clbench reads NIH .*layout has changed"):
        obtain(releases.release("nih_chest_xray"))
    assert not [path for path in (tmp_path / "home" / "data").rglob("*") if path.is_symlink()]


def test_a_broken_library(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("kagglehub")  # without its module of exceptions
    module.__spec__ = sys.modules["kagglehub"].__spec__
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    monkeypatch.delitem(sys.modules, "kagglehub.exceptions")
    with pytest.raises(UsageError, match=r"kagglehub is installed, but cannot be imported: .*; install it again\."):
        obtain(releases.release("biwi"))
