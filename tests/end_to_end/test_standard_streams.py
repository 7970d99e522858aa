"""Every standard stream on a miniature of its official files, from the command line to the leaderboard, with an empty
home.

The catalog knows the sizes and checksums of the whole files, so those of the miniatures are declared in their place.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from cl.cli import call
from cl.data import catalog, releases
from tests.data.test_omniglot import archive
from tests.help.layouts import miniature
from tests.help.releases import unpack
from tests.help.tiny_dataset import Shown

DOMAINS = ("domainnet", *(f"domainnet_{name}" for name in ("clipart", "infograph", "painting", "quickdraw", "sketch")))
FIVE = ("svhn_cropped", "mnist", "cifar10", "not_mnist", "fashion_mnist")
TREES = {
    "imagenet-r": "imagenet_r", "imagenet-a": "imagenet_a", "cub-200": "caltech_birds2011",
    "tiny-imagenet": "tiny_imagenet", "stanford-cars": "stanford_cars",
}  # fmt: skip
PLAIN = {
    "split-cifar10": "cifar10",
    "split-cifar100": "cifar100",
    "split-mnist": "mnist",
    "split-fmnist": "fashion_mnist",
}
SIZES = {"cifar10": (50, 10), "cifar100": (200, 100), "mnist": (20, 10), "fashion-mnist": (30, 10)}


def prepare(stream: str, data: Path, tmp_path: Path) -> None:
    """The official files of a stream, in little."""
    if stream in TREES:
        unpack(miniature(TREES[stream], tmp_path / "official"), data, releases.release(TREES[stream]))
    elif stream == "split-omniglot":
        archive(data / "images_background.zip", {"Latin": 6, "Greek": 6})
        archive(data / "images_evaluation.zip", {"Avesta": 8})
    else:
        several = {"domainnet": DOMAINS, "domainnet-official": DOMAINS, "core50": ("core50",), "5-datasets": FIVE}
        for name in several.get(stream) or (PLAIN[stream],):
            miniature(name, data)


def declare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare the miniatures in the catalog."""
    for name, sizes in SIZES.items():
        known = catalog.DATASETS[name]
        change: dict[str, Any] = {"archive": dataclasses.replace(known.archive, sha256=None), "fingerprints": {}}
        if name == "fashion-mnist":  # a package of the system would come first
            change["sources"] = tuple(each for each in known.sources if not each.names[0].startswith("/"))
        monkeypatch.setitem(catalog.DATASETS, name, dataclasses.replace(known, sizes=sizes, **change))
    omniglot = catalog.DATASETS["omniglot"]
    monkeypatch.setitem(catalog.DATASETS, "omniglot", dataclasses.replace(omniglot, sizes=(300, 100), classes=20))


@pytest.mark.slow
@pytest.mark.usefixtures("isolated")
@pytest.mark.parametrize(
    "stream", [*TREES, *PLAIN, "split-omniglot", "domainnet", "domainnet-official", "core50", "5-datasets"]
)
def test_a_standard_stream_runs_from_its_official_files(
    stream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(data))
    declare(monkeypatch)
    prepare(stream, data, tmp_path)
    options = ["-b", "test_vit@random", "--limit", "2", "--threads", "1"]
    if stream in TREES or stream.startswith("domainnet"):
        options += ["--set", "stream.size=32"]
    if stream == "split-omniglot":
        options += ["--set", "stream.tasks=2"]
    assert call(["run", "-s", "simplecil", "--stream", stream, *options]) == 0
    (path,) = (tmp_path / "results").rglob("record.json")
    record = json.loads(path.read_text())
    assert record["status"] == "complete"
    capsys.readouterr()
    assert call(["leaderboard", str(tmp_path / "results")]) == 0
    assert "simplecil" in capsys.readouterr().out
