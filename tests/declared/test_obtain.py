"""The datasets of a declared stream: missing ones and wrong files."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl.declared.declaration import DatasetEntry, Declaration
from cl.declared.obtain import available, dataset_of, read
from cl.errors import DataError, MissingData, UsageError
from cl.family import make_stream
from tests.help.declared import Write, build
from tests.help.releases import written


def test_what_is_not_here_is_named_or_left_out(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tables={"grey": "", "gone": "", "large": ""})
    with pytest.raises(DataError, match=r"Stream three needs gone \(gone.npz\), not found in"):
        build(path)
    stream = build(path, missing="skip")
    assert [group.name for group in stream.groups] == ["grey", "large"]
    assert "1 of 3 datasets are not here and left out: gone." in caplog.text
    with pytest.raises(DataError, match="needs gone"):
        build(write(tables={"gone": ""}), missing="skip")


def test_a_file_of_another_hash_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match=r"grey\.npz"):
        build(write(tables={"grey": f'sha256 = ["{"0" * 64}"]\n'}))


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    (tmp_path / "cats").write_bytes(b"no folder")
    entry = DatasetEntry("cats", "folder", path="cats")
    declaration = Declaration("some", "task-incremental", 8, (entry,))
    with pytest.raises(DataError, match=r"cats is a file and no archive, and cats needs a folder there;"):
        read(declaration, entry, 8)


def test_streams_that_read_each_other_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = 'name = "{0}"\nsetting = "class-incremental"\nsize = 8\n[[datasets]]\nname = "d"\nreader = "stream"\n'
    for one, two in (("a", "b"), ("b", "a"), ("self", "self")):
        (tmp_path / f"{one}.toml").write_text(text.format(one) + f'stream = "{two}.toml"\n')
    for name in ("a", "self"):
        with pytest.raises(UsageError, match=r"dataset d reads the stream .*\.toml, which reads it again"):
            make_stream(f"{name}.toml")


def test_a_dataset_by_the_name_of_its_pack_or_of_a_stream(write: Write, tmp_path: Path) -> None:
    write()
    colour = dataset_of("colour")
    assert (len(colour.train), len(colour.test), colour.class_names) == (60, 12, ("cat", "dog", "owl"))
    assert colour.origin == str(tmp_path / "data" / "colour.npz")
    assert dataset_of("split-digits").train.fingerprint == make_stream("split-digits").dataset.train.fingerprint
    with pytest.raises(
        MissingData, match=r"The dataset gone \(gone\.npz or gone_train\.npz \+ gone_test\.npz\) was not"
    ):
        dataset_of("gone")
    for split in ("train", "test"):
        (tmp_path / "data" / f"halves_{split}.npz").write_bytes((tmp_path / "data" / "colour.npz").read_bytes())
    assert dataset_of("halves").fingerprints == colour.fingerprints


def test_of_a_release_that_is_here_in_part_the_missing_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    entry = DatasetEntry("scenes", "official", release="mit_scenes")
    declaration = Declaration("some", "task-incremental", 8, (entry,))
    with pytest.raises(
        MissingData, match=r"needs scenes \(indoorCVPR_09\.tar \+ TrainImages\.txt \+ TestImages\.txt\)"
    ):
        available(declaration, "error")
    written("mit_scenes", tmp_path)
    (tmp_path / "mit_scenes" / "TestImages.txt").unlink()
    with pytest.raises(MissingData, match=rf"needs scenes \({tmp_path / 'mit_scenes'} lacks TestImages\.txt\), not"):
        available(declaration, "error")
