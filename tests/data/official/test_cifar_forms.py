"""CIFAR's binary and MATLAB archives: the images of the Python archive, and batches that are refused."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cl.data import releases
from cl.data.catalog import DATASETS, copies
from cl.data.official.cifar_forms import BinaryLayout, binary, matlab
from cl.data.official.files import Files, Folder
from cl.data.official.release import find_in, load
from cl.data.readers import CifarLayout
from cl.errors import DataError
from tests.help.releases import written
from tools.miniatures.packing import mat_bytes

BINARY = BinaryLayout("in", ("one.bin",), ("one.bin",), "names.txt", 2)
MATLAB = CifarLayout("in", ("one.mat",), ("one.mat",), "meta.mat", "labels", "names")
ROWS = np.arange(2 * 3072).astype(np.uint8).reshape(2, 3072)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_all_forms_have_the_same_fingerprints(name: str, cache: Path, tmp_path: Path) -> None:
    release, found = releases.release(name), []
    for form in ("write", "write_binary", "write_matlab"):
        written(name, tmp_path / form, form)
        copy = find_in(release, tmp_path / form / name)
        assert copy is not None, form
        dataset = load(copy, 32)
        found.append((dataset.fingerprints, dataset.class_names))
    assert found[1:] == found[:1] * 2


@pytest.mark.parametrize("form", ["binary", "matlab"])
@pytest.mark.parametrize("unpacked", [False, True])
def test_standard_streams_read_them_too(
    form: str, unpacked: bool, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written("cifar10", tmp_path / "python")
    archive = tmp_path / "python" / "cifar10" / "cifar-10-python.tar.gz"
    known = replace(DATASETS["cifar10"], sizes=(50, 10))
    expected = known.read_archive((archive,), None)
    written("cifar10", tmp_path / "data", f"write_{form}")
    folder = tmp_path / "data" / "cifar10"
    if unpacked:
        with tarfile.open(folder / f"cifar-10-{form}.tar.gz") as tar:
            tar.extractall(folder, filter="data")
        (folder / f"cifar-10-{form}.tar.gz").unlink()
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    (copy,) = copies(known)
    found = copy.read(copy.paths, None)
    assert found.class_names == expected.class_names
    assert {split: store.fingerprint for split, store in found.splits.items()} == {
        split: store.fingerprint for split, store in expected.splits.items()
    }


def files(folder: Path, content: dict[str, bytes]) -> Files:
    (folder / "in").mkdir()
    for name, data in content.items():
        (folder / "in" / name).write_bytes(data)
    return Files([Folder(folder, ("in",))], "the folder")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no whole number of images"),
        (bytes(3073), "no whole number of images"),
        (bytes([0, 2]) + bytes(3072), "a label above 1"),
    ],
)
def test_another_binary_batch_is_one_sentence(data: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"^in/one\.bin of the folder has {why}.*; get it again\.$"):
        binary(files(tmp_path, {"one.bin": data, "names.txt": b"cat\ndog\n"}), BINARY)


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"data": ROWS.astype(float), "labels": [[0], [1]]}, "is another CIFAR batch"),
        ({"data": ROWS[:, :99], "labels": [[0], [1]]}, "is another CIFAR batch"),
        ({"data": ROWS, "labels": [[0]]}, "has 2 images and 1 label"),
        ({"data": ROWS, "labels": [[0], [2]]}, "has a label above 1"),
    ],
)
def test_another_matlab_batch_is_one_sentence(variables: dict[str, object], why: str, tmp_path: Path) -> None:
    content = {
        "one.mat": mat_bytes({key: np.asarray(value) for key, value in variables.items()}),
        "meta.mat": mat_bytes({"names": np.array(["cat", "dog"], object)[:, None]}),
    }
    with pytest.raises(DataError, match=rf"^in/one\.mat of the folder {why}.*; get it again\.$"):
        matlab(files(tmp_path, content), MATLAB)


def test_a_matlab_batch_of_one_image_is_read(tmp_path: Path) -> None:
    content = {
        "one.mat": mat_bytes({"data": ROWS[:1], "labels": np.array([[1]], np.uint8)}),
        "meta.mat": mat_bytes({"names": np.array(["cat", "dog"], object)[:, None]}),
    }
    found = matlab(files(tmp_path, content), MATLAB)
    assert found.splits["test"].labels.tolist() == [1]
    assert found.splits["train"].decode(0)[1, 2].tolist() == ROWS[0, [34, 34 + 1024, 34 + 2048]].tolist()
