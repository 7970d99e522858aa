"""Streams `torchvision:NAME`: from torchvision's files to tasks, at the size of the images or of the network."""

from __future__ import annotations

from pathlib import Path

import pytest

import cl
from cl.errors import MissingData, UsageError
from cl.family import make_stream
from cl.plan.plan import make_plan
from cl.running.build import build_stream
from cl.streams.torchvision_sets import Torchvision
from tests.help import idx
from tests.help.image_folders import tree


@pytest.fixture
def data(isolated: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    tree(tmp_path / "data" / "torchvision" / "eurosat" / "2750", {"Forest": 5, "Lake": 5, "River": 5, "Sea": 5})
    idx.write(tmp_path / "data" / "MNIST" / "raw", zipped=False)
    return tmp_path / "data"


def test_a_run_on_a_dataset_of_torchvision(data: Path) -> None:
    result = cl.run("simplecil", "torchvision:EuroSAT", options={"stream.sizes": "1,3"}).record["result"]
    stream = result["stream"]
    assert stream["name"] == "torchvision:EuroSAT" and sorted(stream["class_names"]) == [
        "Forest",
        "Lake",
        "River",
        "Sea",
    ]
    assert [len(group["classes"]) for group in stream["groups"]] == [1, 3] and result["count"] == [1, 3]


def test_images_of_one_size_are_not_enlarged(data: Path) -> None:
    def side(stream: str, **options: int) -> int:
        plan = make_plan("simplecil", stream, options={key.replace("_", "."): v for key, v in options.items()})
        return int(build_stream(plan).info.image_shape[1])

    assert side("torchvision:MNIST") == 28 and side("torchvision:MNIST", stream_size=40) == 40
    assert side("torchvision:EuroSAT") == 32 and Torchvision.side_of("EuroSAT", 224) == 64
    assert make_stream("torchvision:EuroSAT").info.image_shape == (3, 64, 64)


def test_the_split_is_part_of_the_identity_where_it_is_ours(data: Path) -> None:
    options = Torchvision.Options
    ours = [make_stream("torchvision:EuroSAT", options(size=8, split_seed=seed)).id for seed in (0, 1)]
    theirs = [make_stream("torchvision:MNIST", options(size=8, split_seed=seed)).id for seed in (0, 1)]
    assert len(set(ours)) == 2 and len(set(theirs)) == 1


def test_a_folder_of_the_same_name_does_not_hide_the_dataset(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "EuroSAT").mkdir()
    monkeypatch.chdir(data)
    stream = build_stream(make_plan("simplecil", "torchvision:EuroSAT"))
    assert stream.name == "torchvision:EuroSAT"


def test_what_cannot_be_read_is_one_sentence(data: Path) -> None:
    with pytest.raises(UsageError, match="torchvision:Nothing is none of the datasets that clbench reads: CIFAR10"):
        make_stream("torchvision:Nothing")
    with pytest.raises(MissingData, match="torchvision's dataset SVHN"):
        make_stream("torchvision:SVHN")
    with pytest.raises(UsageError, match="test_fraction=2 must be between 0 and 1"):
        make_stream("torchvision:EuroSAT", Torchvision.Options(test_fraction=2))
