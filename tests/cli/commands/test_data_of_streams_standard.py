"""`clbench data status` for standard streams: of several datasets, of one, and of none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cl.cli import call
from tests.help.layouts import miniature
from tests.help.tiny_dataset import Shown


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolated: None) -> Path:
    """An empty folder of CLBENCH_DATA_PATH."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    return tmp_path / "data"


def states(capsys: Shown, *arguments: str) -> dict[str, dict[str, str]]:
    assert call(["data", "status", *arguments, "--json"]) == 0
    return {state["name"]: state for state in json.loads(capsys.readouterr().out)}


def test_every_session_of_core50_is_in_one_archive(data: Path, tmp_path: Path, capsys: Shown) -> None:
    assert all(not each["form"] for each in states(capsys, "core50").values())
    shutil.copytree(miniature("core50", tmp_path / "mini"), data / "core50")
    found = states(capsys, "core50")
    assert len(found) == 11 and {each["form"] for each in found.values()} == {"official files"}
    assert found["s3"]["where"] == str(data / "core50" / "core50_128x128.zip")
    assert call(["data", "status", "core50", "--verify"]) == 3, "it has not the published checksum"
    assert "11 of 11 datasets are here" in capsys.readouterr().out
    (data / "core50").rename(tmp_path / "gone")
    (data / "core50_128x128" / "s1").mkdir(parents=True)
    found = states(capsys, "core50")
    assert found["s1"]["form"] == "folder"


def test_what_only_a_user_can_get_is_said(data: Path, capsys: Shown) -> None:
    found = states(capsys, "5-datasets")
    assert found["svhn"]["why"] == "`clbench data get svhn_cropped` fetches it" and found["mnist"]["form"] == "stream"
    assert call(["data", "get", "core50", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "core50: 0 datasets are here, 1 can be fetched" in shown


@pytest.mark.parametrize(
    ("name", "dataset"), [("cub-200", "cub-200"), ("split-mnist", "mnist"), ("cifar10", "cifar10")]
)
def test_a_stream_of_one_dataset_says_so_and_shows_its_places(
    name: str, dataset: str, data: Path, capsys: Shown
) -> None:
    assert call(["data", "status", name]) == 0
    shown = capsys.readouterr().out
    assert f"this is `clbench data where {dataset}`." in shown and f"`clbench data get {dataset}` fetches it." in shown
    assert call(["data", "where", dataset]) == 0
    assert shown.partition("\n")[2] == capsys.readouterr().out
    assert call(["data", "status", name, "--verify"]) == 2
    assert f"use `clbench data verify {dataset}`" in capsys.readouterr().err


def test_cars_are_not_said_to_be_fetched(data: Path, capsys: Shown) -> None:
    assert call(["data", "status", "stanford-cars"]) == 0
    assert "clbench cannot fetch it; get it from its authors" in capsys.readouterr().out


def test_a_stream_without_files_is_refused(data: Path, capsys: Shown) -> None:
    assert call(["data", "status", "split-digits"]) == 2
    assert "split-digits is no stream that reads datasets from files" in capsys.readouterr().err
