"""`clbench data status` and `clbench data get` for streams of several datasets and for datasets in official files."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from cl.cli import call
from cl.data import releases
from cl.housekeeping.releases import State
from tests.help.kaggle import FakeKaggle, UnauthenticatedError, hidden, installed
from tests.help.releases import written
from tests.help.served_releases import replaced, served, server_of
from tests.help.tiny_dataset import Shown

STREAM = """
name = "two"
setting = "task-incremental"
size = 32
splits = "nevis"

[[datasets]]
name = "objects"
year = 2000
reader = "official"
release = "coil20"

[[datasets]]
name = "soils"
year = 1998
reader = "official"
release = "landsat"

[[datasets]]
name = "crowds"
reader = "official"
release = "shanghai_tech"
"""


@pytest.fixture
def stream(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a stream of three releases, none of which is here."""
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    path = tmp_path / "two.toml"
    path.write_text(STREAM)
    return str(path)


def test_status_shows_every_dataset(stream: str, tmp_path: Path, capsys: Shown) -> None:
    written("coil20", tmp_path / "data")
    assert call(["data", "status", stream]) == 0
    shown = capsys.readouterr().out
    assert "| objects | 2000 | official files |" in shown and "coil-20-proc.zip" in shown
    assert "| soils   | 1998 | no " in shown and "1 of 3 datasets are here." in shown
    assert call(["data", "status", stream, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["form"]) for each in found] == [
        ("objects", "official files"), ("soils", ""), ("crowds", "")
    ]  # fmt: skip


def test_status_with_verify_fails_for_another_file(stream: str, tmp_path: Path, capsys: Shown) -> None:
    written("coil20", tmp_path / "data")
    assert call(["data", "status", stream, "--verify"]) == 3
    shown = capsys.readouterr()
    assert "| no       |" in shown.out
    assert "Error: 1 of 3 datasets are damaged or not the published files: objects; get them again." in shown.err
    assert call(["data", "status", stream, "--verify", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)[0]["verified"] == "no"


def test_status_names_the_first_of_many_files(cache: Path, tmp_path: Path, capsys: Shown) -> None:
    path = tmp_path / "textures.toml"
    path.write_text(STREAM.split("[[")[0] + '[[datasets]]\nname = "t"\nreader = "official"\nrelease = "brodatz"\n')
    folder = cache / "data" / "brodatz"
    folder.mkdir(parents=True)
    files = [folder / file.name for file in releases.release("brodatz").files]
    for file in files[1:]:
        file.touch()
    assert call(["data", "status", str(path)]) == 0
    assert f"{folder} lacks {files[0].name}; `clbench data get brodatz` fetches it" in capsys.readouterr().out
    files[0].touch()
    assert call(["data", "status", str(path)]) == 0
    assert f"{files[0]} + {len(files) - 1} more |" in capsys.readouterr().out


def test_names_of_another_kind_say_what_to_do(cache: Path, capsys: Shown) -> None:
    for words, sentence in {
        "status coil20": "coil20 is a dataset, not a stream; `clbench data get coil20` says where it is",
        "status nevsi": "There is no stream 'nevsi'. Did you mean nevis",
        "get nevsi": "There is no dataset 'nevsi'. Did you mean nevis",
        "get coil-20": "There is no dataset 'coil-20'. Did you mean coil20",
        "get split-cifar100": "split-cifar100 is a stream of one dataset; use `clbench data get cifar100`.",
    }.items():
        assert call(["data", *words.split()]) == 2
        assert sentence in capsys.readouterr().err


def test_status_of_a_stream_without_files_is_refused(capsys: Shown) -> None:
    assert call(["data", "status", "split-digits"]) == 2
    assert "split-digits is no stream that reads datasets from files" in capsys.readouterr().err


def test_get_fetches_what_needs_no_account_and_lists_the_rest(
    stream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    with server_of(tmp_path / "server", monkeypatch) as (url, requests):
        changed = [served(releases.release(name), tmp_path / "server", url) for name in ("coil20", "landsat")]
        replaced(monkeypatch, *changed)
        assert call(["data", "get", stream, "--dry-run"]) == 0
        shown = capsys.readouterr().out
        assert "two: 0 datasets are here, 2 can be fetched" in shown and "1 only you can get" in shown
        assert shown.count("Licence:") == 2 and "Cite: Nene" in shown and not requests
        assert call(["data", "get", stream]) == 0
        shown = capsys.readouterr().out
        assert "COIL-20: is here now" in shown and "Only you can get:\n  ShanghaiTech" in shown
        assert call(["info", stream, "--set", "stream.missing=skip"]) == 0
        shown = capsys.readouterr().out
        assert "reader tested on" in shown and "dm_nevis" in shown
        assert call(["data", "get", stream]) == 0
        assert "2 datasets are here, 0 can be fetched (0 B)" in capsys.readouterr().out
        assert call(["data", "get", stream, "--json"]) == 0
        said = capsys.readouterr()
        assert "Only you can get:\n  ShanghaiTech" in said.err
        assert call(["data", "status", stream, "--json"]) == 0
        assert json.loads(said.out) == json.loads(capsys.readouterr().out)


def test_get_counts_datasets_of_the_hub(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    monkeypatch.delenv("CLBENCH_OFFLINE", raising=False)
    path = tmp_path / "hub.toml"
    path.write_text(STREAM.split("[[")[0] + '[[datasets]]\nname = "t"\nreader = "hub"\nhub = "zoo/nothere"\n')
    assert call(["data", "get", str(path), "--dry-run"]) == 0
    assert "1 fetched by the datasets library at the first run, 0 only you can get" in capsys.readouterr().out


def test_a_failed_download_is_reported_with_its_exit_code(
    stream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    with server_of(tmp_path / "server", monkeypatch) as (url, _):
        changed = [served(releases.release(name), tmp_path / "server", url) for name in ("coil20", "landsat")]
        (tmp_path / "server" / "landsat" / "sat.trn").unlink()
        replaced(monkeypatch, *changed)
        assert call(["data", "get", stream]) == 3
        shown = capsys.readouterr()
        assert "COIL-20: is here now" in shown.out and "Landsat (Statlog): failed" in shown.out
        assert "could not be downloaded" in shown.err and "Traceback" not in shown.err


def test_get_of_one_release(stream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown) -> None:
    with server_of(tmp_path / "server", monkeypatch) as (url, _):
        replaced(monkeypatch, served(releases.release("coil20"), tmp_path / "server", url))
        assert call(["data", "get", "coil20", "--dry-run"]) == 0
        assert "Cite: Nene" in capsys.readouterr().out
        assert call(["data", "get", "coil20", "--dry-run", "--json"]) == 0
        shown = capsys.readouterr()
        assert json.loads(shown.out)["here"] is None and "Cite: Nene" in shown.err
        assert call(["data", "get", "coil20"]) == 0
        assert "COIL-20 is here now" in capsys.readouterr().out
        assert call(["data", "get", "coil20", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["name"] == "coil20" and Path(found["here"]).is_file()
    assert call(["data", "get", "shanghai_tech"]) == 3
    assert "into a folder shanghai_tech/ of CLBENCH_DATA_PATH" in capsys.readouterr().err


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKaggle:
    """A kagglehub that has one dataset; the network is allowed."""
    monkeypatch.delenv("CLBENCH_OFFLINE", raising=False)
    fake = installed(monkeypatch, tmp_path / "kagglehub")
    written("shanghai_tech", tmp_path)
    fake.archives["tthien/shanghaitech"] = tmp_path / "shanghai_tech" / "shanghaitech.zip"
    return fake


def test_get_of_a_stream_uses_kaggle(stream: str, kaggle: FakeKaggle, tmp_path: Path, capsys: Shown) -> None:
    for name in ("coil20", "landsat"):
        written(name, tmp_path / "data")
    assert call(["data", "get", stream, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "0 can be fetched (0 B), 1 from Kaggle with your account, 0 only you can get." in shown
    assert "ShanghaiTech\n  Licence: none stated; research\n  Cite: Zhang" in shown and not kaggle.asked
    assert "  From Kaggle: https://www.kaggle.com/datasets/tthien/shanghaitech" in shown and "Only you" not in shown
    assert call(["data", "status", stream]) == 0
    assert "`clbench data get shanghai_tech` fetches it from Kaggle" in capsys.readouterr().out
    assert call(["data", "where", "shanghai_tech"]) == 0
    assert "whole; `clbench data get shanghai_tech` fetches it from Kaggle." in capsys.readouterr().out
    assert call(["data", "get", stream]) == 0
    assert "ShanghaiTech: is here now" in capsys.readouterr().out and kaggle.asked == ["tthien/shanghaitech"]
    assert call(["data", "get", stream]) == 0
    assert "3 datasets are here" in capsys.readouterr().out and len(kaggle.asked) == 1


def test_get_and_remove_of_one_release_of_kaggle(
    stream: str, kaggle: FakeKaggle, tmp_path: Path, capsys: Shown
) -> None:
    assert call(["data", "get", "shanghai_tech", "--dry-run"]) == 0
    assert "Would come from Kaggle: https://www.kaggle.com/datasets/tthien/shanghaitech" in capsys.readouterr().out
    assert not kaggle.asked
    assert call(["data", "get", "shanghai_tech"]) == 0
    assert "ShanghaiTech is here now" in capsys.readouterr().out
    assert call(["data", "verify", "shanghai_tech"]) == 0
    assert "unpacked: nothing to compare with" in capsys.readouterr().out
    assert call(["data", "remove", "shanghai_tech", "--yes"]) == 0
    theirs = tmp_path / "kagglehub" / "datasets" / "tthien" / "shanghaitech" / "versions" / "1" / "ShanghaiTech"
    assert f"(a link; {theirs} is kept)" in capsys.readouterr().out and theirs.is_dir()
    assert not (tmp_path / "home" / "data" / "shanghai_tech" / "ShanghaiTech").is_symlink()


def test_kaggle_that_refuses_or_is_missing(
    stream: str, kaggle: FakeKaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    for name in ("coil20", "landsat"):
        written(name, tmp_path / "data")
    kaggle.error = UnauthenticatedError()
    assert call(["data", "get", stream]) == 3
    shown = capsys.readouterr()
    assert "ShanghaiTech: failed" in shown.out and "which needs a Kaggle account" in shown.err
    hidden(monkeypatch)
    assert call(["data", "get", stream]) == 0
    shown = capsys.readouterr()
    assert "1 only you can get." in shown.out and "or pip install 'clbench[kaggle]' and run" in shown.out


def test_the_keys_of_the_json_are_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "data-and-weights.md").read_text(encoding="utf-8")
    table = page.partition("`clbench data status STREAM --json`")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == [field.name for field in dataclasses.fields(State)]
