"""Split, permuted and rotated MNIST on small files of the same format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.data import catalog
from cl.stream import Stream
from cl.streams.mnist import PermutedMNIST, RotatedMNIST, SplitFMNIST, SplitMNIST
from cl.testing import check_stream
from tests.help.idx import declare, write, write_pack

SEEDS: dict[str, Any] = {"order_seed": 1, "data_seed": 1}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolated: None) -> Path:
    """Small files of both datasets."""
    for name, folder in (("mnist", "MNIST/raw"), ("fashion-mnist", "FashionMNIST/raw")):
        declare(monkeypatch, name)
        write(tmp_path / "data" / folder, zipped=False, seed=len(name))
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    return tmp_path / "data"


def build(family: Any, **options: Any) -> Stream:
    stream: Stream = family().build(family.Options(**options), **SEEDS)
    check_stream(stream)
    return stream


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("family", [SplitMNIST, SplitFMNIST])
def test_five_tasks_of_two_classes_in_their_order(family: Any) -> None:
    stream = build(family)
    assert stream.class_order.tolist() == list(range(10)) and stream.info.classes_per_task == (2,) * 5
    assert [len(each.train) for each in stream.experiences] == [12] * 5
    assert stream.dataset.train.image_shape == (28, 28, 1)
    assert build(family, order="pycil").class_order.tolist() != list(range(10))


@pytest.mark.usefixtures("files")
def test_permuted_mnist_has_ten_domains_of_the_same_images() -> None:
    stream = build(PermutedMNIST)
    assert stream.setting == "domain-incremental" and len(stream.experiences) == 10
    store = stream.dataset.train
    domains = [np.sort(store.pixels[each.train].reshape(-1, 784), 1) for each in stream.experiences]
    values = [sorted(map(bytes, each)) for each in domains]
    assert all(each == values[0] for each in values)
    means = [store.pixels[each.train].mean(0) for each in stream.experiences]
    assert len({mean.tobytes() for mean in means}) == 10
    assert build(PermutedMNIST, tasks=2, domain_seed=3).id != build(PermutedMNIST, tasks=2).id


@pytest.mark.usefixtures("files")
def test_a_limit_takes_the_same_images_in_every_domain() -> None:
    stream = build(PermutedMNIST, tasks=3, train_per_class=2, test_per_class=1)
    assert len(stream.dataset.train) == 60, "no more images are made than are used"
    domains = [np.sort(stream.dataset.train.pixels[each.train].reshape(20, -1), 1) for each in stream.experiences]
    values = [sorted(map(bytes, each)) for each in domains]
    assert values[0] == values[1] == values[2]


@pytest.mark.usefixtures("files")
def test_rotations_by_a_share_of_180_degrees_or_by_a_step() -> None:
    assert [group.name for group in build(RotatedMNIST, tasks=2).groups] == ["0 degrees", "90 degrees"]
    stream = build(RotatedMNIST, tasks=5, degrees=22.5)
    assert [group.name for group in stream.groups] == [f"{22.5 * i:g} degrees" for i in range(5)]
    first, last = (stream.dataset.train.pixels[stream.experiences[i].train] for i in (0, 4))
    assert first.shape == last.shape == (60, 28, 28, 1)
    turned = {np.rot90(image[..., 0]).tobytes() for image in first}
    assert {image[..., 0].tobytes() for image in last} == turned, "a quarter turn loses nothing"


def test_the_stream_of_a_pack_says_that_it_is_a_part(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build(SplitMNIST)
    (files / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
    write_pack(files / "mnist.npz", catalog.DATASETS["mnist"].class_names)
    for family in (SplitMNIST, PermutedMNIST, RotatedMNIST):
        assert "holds a part of MNIST" in build(family).dataset.notes[0]
    assert build(SplitMNIST).id != whole.id, "results of a part are never those of the whole"
