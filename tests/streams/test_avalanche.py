"""`avalanche/NAME`: Avalanche's classics as our streams, from files in torchvision's layout."""

from __future__ import annotations

import gzip
import logging
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.avalanche import lib
from cl.errors import DataError, UsageError
from cl.settings.class_incremental import IncrementalOptions
from cl.stream import Stream
from cl.streams.avalanche import Avalanche
from tests.conftest import REAL_DATA

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its four archives."""


def write_idx(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    path.write_bytes(header + values.tobytes())


@pytest.fixture
def fashion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten classes of random images, 6 to train and 3 to test each, as torchvision lays Fashion-MNIST out."""
    rng, root = np.random.default_rng(0), tmp_path / "data"
    for split, count in (("train", 60), ("t10k", 30)):
        raw = root / "FashionMNIST" / "raw"
        write_idx(raw / f"{split}-images-idx3-ubyte", rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        write_idx(raw / f"{split}-labels-idx1-ubyte", rng.permutation(np.arange(count) % 10).astype(np.uint8))
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(root))
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    return root


def build(name: str = "split-fmnist", seed: int = 1993, **options: Any) -> Stream:
    return Avalanche().build(IncrementalOptions(**options), order_seed=seed, data_seed=seed, argument=name)


def as_set(pixels: np.ndarray, labels: Any) -> set[tuple[bytes, int]]:
    return {(image.tobytes(), int(label)) for image, label in zip(pixels, labels, strict=True)}


def same_as_avalanches(stream: Stream, root: Path, per_experience: int | None = None) -> None:
    """Compare with what Avalanche's own function makes for the same class order, image by image."""
    with lib.quiet():
        from avalanche.benchmarks import SplitFMNIST

        theirs = SplitFMNIST(
            n_experiences=len(stream.experiences),
            fixed_class_order=stream.class_order.tolist(),
            shuffle=False,
            class_ids_from_zero_from_first_exp=True,
            train_transform=None,
            eval_transform=None,
            dataset_root=root,
        )
    for task, experience in enumerate(theirs.train_stream):
        ours = stream.view(task)
        assert set(experience.classes_in_this_experience) == set(ours.classes)
        assert len(experience.dataset) == len(ours.train)
        chosen = range(len(experience.dataset))[:per_experience]
        images, labels, _ = zip(*(experience.dataset[i] for i in chosen), strict=True)
        found = as_set(np.stack([np.asarray(image) for image in images]), labels)
        all_ours = as_set(ours.train.pixels(slice(None)).numpy()[:, 0], ours.train.labels)
        assert found <= all_ours if per_experience else found == all_ours
    for group, experience in enumerate(theirs.test_stream):
        rows, positions, _ = stream.test_rows([group])
        images, labels, _ = zip(*(experience.dataset[i] for i in range(len(experience.dataset))), strict=True)
        found = as_set(np.stack([np.asarray(image) for image in images]), labels)
        assert found == as_set(stream.dataset.test.pixels[rows][..., 0], positions)


def test_experiences_are_avalanches_and_the_order_is_ours(fashion: Path) -> None:
    stream = build(seed=5)
    assert stream.name == "avalanche/split-fmnist" and len(stream.experiences) == 5
    assert stream.class_order.tolist() == np.random.RandomState(5).permutation(10).tolist()
    assert stream.info.class_names[0] == stream.dataset.class_names[stream.class_order[0]]
    same_as_avalanches(stream, fashion)
    assert build(seed=5).id == stream.id != build(seed=6).id


def test_options_of_class_incremental_streams_hold(fashion: Path) -> None:
    stream = build(base=4, increment=3, train_per_class=2, val_fraction=0.5)
    assert stream.info.classes_per_task == (4, 3, 3)
    assert [len(e.train) + len(e.val) for e in stream.experiences] == [8, 6, 6]
    with pytest.raises(UsageError, match="tasks=11"):
        build(tasks=11)


def test_missing_data_is_one_sentence(fashion: Path) -> None:
    with pytest.raises(DataError, match=r"MNIST \(MNIST/raw/train-images-idx3-ubyte.*CLBENCH_OFFLINE forbids"):
        build("split-mnist")


def test_terms_are_said_before_a_download(
    fashion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[tuple[str, str]] = []

    def server_is_away(root: str, *, train: bool, download: bool) -> None:
        asked.append((root, caplog.text))
        assert download
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setenv("CLBENCH_OFFLINE", "0")
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("torchvision.datasets.MNIST", server_is_away)
    monkeypatch.setattr(logging.getLogger("clbench"), "propagate", True)  # the command line turns it off
    with pytest.raises(DataError, match=r"MNIST in .* could not be downloaded; check the network"):
        build("split-mnist")
    ((root, said),) = asked
    assert root == str(tmp_path / "cache" / "data" / "torchvision")
    assert "Downloading MNIST by torchvision. Licence: CC BY-SA 3.0. Please cite: LeCun" in said


def test_damaged_data_is_one_sentence(fashion: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = fashion / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DataError, match=r"Fashion-MNIST in .* cannot be read; replace it"):
        build()
    (fashion / "cifar-10-batches-py").mkdir()
    with pytest.raises(DataError, match=r"CIFAR-10 in .* cannot be read; replace it"):
        build("split-cifar10")
    assert capsys.readouterr().out == ""


def test_names_that_do_not_convert_say_so() -> None:
    with pytest.raises(UsageError, match="Did you mean split-fmnist"):
        build("split-fmnst")
    with pytest.raises(UsageError, match="changing domains"):
        build("permuted-mnist")


def test_real_fashion_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All 70,000 images, where they can be had."""
    given = [Path(p) for p in REAL_DATA.split(os.pathsep) if p]
    root = next((p for p in given if (p / "FashionMNIST" / "raw").is_dir()), None)
    if root is None and DEBIAN.is_dir():
        root, raw = tmp_path, tmp_path / "FashionMNIST" / "raw"
        raw.mkdir(parents=True)
        for archive in DEBIAN.glob("*-ubyte.gz"):
            (raw / archive.stem).write_bytes(gzip.decompress(archive.read_bytes()))
    if root is None:
        pytest.skip("needs FashionMNIST/raw in CLBENCH_DATA_PATH, or Debian's package dataset-fashion-mnist")
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(root))
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    stream = build()
    assert (len(stream.dataset.train), len(stream.dataset.test)) == (60_000, 10_000)
    pixels = stream.dataset.train.pixels / np.float32(255)
    assert (round(float(pixels.mean()), 4), round(float(pixels.std()), 4)) == (0.286, 0.353)  # as Avalanche normalises
    same_as_avalanches(stream, root, per_experience=500)


def test_other_forms_of_the_official_files_are_unpacked(
    fashion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = build()
    for path in (fashion / "FashionMNIST" / "raw").iterdir():
        target = tmp_path / "packed" / "fashion_mnist" / f"{path.name}.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.compress(path.read_bytes()))
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "packed"))
    ours = build()
    assert ours.id == theirs.id and ours.dataset.class_names == theirs.dataset.class_names
    target.write_bytes(b"cut")
    with pytest.raises(DataError, match="truncated or damaged"):
        build()
