"""`clbench data list`, `where`, `verify` and `remove` for datasets in official files."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cl.cli import call
from cl.data import releases
from tests.help.releases import written
from tests.help.served_releases import replaced, served
from tests.help.tiny_dataset import Shown


@pytest.fixture
def data(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of CLBENCH_DATA_PATH, empty."""
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_list_counts_them_and_names_them_when_asked(data: Path, capsys: Shown) -> None:
    written("coil20", data)
    assert call(["data", "list"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    count = len(releases.names())
    assert f"{count} datasets in official files, 1 of them here:" in shown
    assert "| nevis | 97 | 1 | 96 |" in shown and "| core50 | 1 | 0 | 1 |" in shown and "| no stream |" in shown
    assert "| coil100" not in shown
    assert call(["data", "list", "--all"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"| coil20 | {data / 'coil20' / 'coil-20-proc.zip'} |" in shown and "| coil100 | not here |" in shown
    assert call(["data", "list", "--all", "--json"]) == 0
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out) if each.get("release")}
    assert set(found) == set(releases.names()) and found["coil20"]["here"] and not found["coil100"]["here"]


def test_where_shows_every_place_in_order(data: Path, tmp_path: Path, capsys: Shown) -> None:
    written("coil20", tmp_path / "home" / "data")
    shutil.copytree(tmp_path / "home" / "data" / "coil20", data / "images")
    (data / "torchvision").symlink_to(tmp_path / "nowhere")
    (data / "coil20").touch()
    assert call(["data", "where", "coil20", "--json"]) == 0
    places = json.loads(capsys.readouterr().out)
    assert [place["folder"] for place in places][:3] == [str(data / "coil20"), str(data), str(data / "images")]
    assert [(place["root"], place["used"]) for place in places if place["found"]] == [
        ("CLBENCH_DATA_PATH", True), ("cache", False)
    ]  # fmt: skip
    assert call(["data", "where", "coil20"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"| {data / 'images'} | coil-20-proc.zip | CLBENCH_DATA_PATH | used |" in shown and "| found |" in shown
    assert f"{data / 'coil20'} | coil-20-proc.zip | CLBENCH_DATA_PATH | a file, not a folder |" in shown
    assert "a link that leads nowhere" in shown and "no such folder" in shown


def test_where_says_what_to_do_and_what_lacks(data: Path, capsys: Shown) -> None:
    written("mit_scenes", data)
    (data / "mit_scenes" / "TestImages.txt").unlink()
    assert call(["data", "where", "mit_scenes"]) == 0
    shown = capsys.readouterr().out
    assert "| indoorCVPR_09.tar, TrainImages.txt |" in shown.replace("  ", "") and "get mit_scenes` fetches it" in shown
    assert call(["data", "where", "shanghai_tech"]) == 0
    assert "clbench cannot fetch it: " in capsys.readouterr().out


def test_verify_compares_every_file_with_what_is_published(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    assert call(["data", "verify", "mit_scenes"]) == 3
    assert "MIT Indoor Scenes is not whole on this machine, so there is nothing" in capsys.readouterr().err
    written("mit_scenes", data)
    scenes = served(releases.release("mit_scenes"), tmp_path / "server", "http://x")
    assert [file.name for file in scenes.files] == ["indoorCVPR_09.tar", "TrainImages.txt", "TestImages.txt"]
    first, second, third = scenes.files
    replaced(monkeypatch, replace(scenes, files=(first, replace(second, md5=None), replace(third, md5=None, size=0))))
    assert call(["data", "verify", "mit_scenes", "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)
    assert [(check["compared"], check["state"]) for check in checks] == [
        ("MD5", "ok"), ("size", "no checksum is published"), ("", "no checksum is published")
    ]  # fmt: skip
    with open(data / "mit_scenes" / second.name, "a") as file:
        file.write("more")
    (data / "mit_scenes" / first.name).write_bytes(b"")
    assert call(["data", "verify", "mit_scenes"]) == 3
    shown = capsys.readouterr()
    assert shown.out.count("| wrong ") == 2 and shown.err.count("Error: ") == 2
    assert "bytes, and" in shown.err and "its MD5 is" in shown.err


def test_verify_names_what_lacks_and_what_is_unpacked(data: Path, capsys: Shown) -> None:
    written("mit_scenes", data)
    (data / "mit_scenes" / "TestImages.txt").unlink()
    assert call(["data", "verify", "mit_scenes"]) == 3
    assert f"({data / 'mit_scenes'} lacks TestImages.txt)" in capsys.readouterr().err
    (data / "coil20" / "coil-20-proc").mkdir(parents=True)
    assert call(["data", "verify", "coil20"]) == 0
    assert "unpacked: nothing to compare with" in capsys.readouterr().out


def test_remove_takes_from_the_folder_of_the_dataset_in_the_cache_only(
    data: Path, tmp_path: Path, capsys: Shown
) -> None:
    own = tmp_path / "home" / "data"
    theirs = data / "coil20" / "coil-20-proc.zip"
    for root in (data, own):
        written("coil20", root)
    cached = own / "coil20" / "coil-20-proc.zip"
    cached.with_name("mine.txt").touch()
    cached.with_name("coil-20-proc.zip.part").touch()
    shared = Path(shutil.copy(cached, own / cached.name))
    assert call(["data", "remove", "coil20", "--dry-run"]) == 0
    assert "Would free" in capsys.readouterr().out and cached.exists()
    assert call(["data", "remove", "coil20", "--yes"]) == 0
    shown = capsys.readouterr().out
    assert f"Kept, because it is not in a folder coil20/ of the cache: {theirs}" in shown and str(shared) in shown
    assert not cached.exists() and not cached.with_name("coil-20-proc.zip.part").exists()
    assert theirs.exists() and shared.exists() and cached.with_name("mine.txt").exists()
    assert call(["data", "remove", "coil20", "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


@pytest.mark.parametrize("linked", ["coil20", "coil20/coil-20-proc.zip"])
@pytest.mark.parametrize("where", ["mine", "data"])
def test_remove_takes_a_link_and_not_what_it_leads_to(
    where: str, linked: str, data: Path, tmp_path: Path, capsys: Shown
) -> None:
    written("coil20", tmp_path / where)
    link, target = tmp_path / "home" / "data" / linked, tmp_path / where / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    for options in (["--dry-run"], ["--yes"]):
        assert call(["data", "remove", "coil20", *options]) == 0
        shown = capsys.readouterr().out
        assert f"(a link; {target} is kept)" in shown and f"cache: {link.parent}" not in shown
        assert link.is_symlink() is (options == ["--dry-run"])
    assert (tmp_path / where / "coil20" / "coil-20-proc.zip").exists()


def test_get_of_files_of_another_size_is_an_error(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    written("coil20", data)
    file = data / "coil20" / "coil-20-proc.zip"
    size = file.stat().st_size
    (own,) = releases.release("coil20").files
    for published, code in ((size, 0), (size + 1, 3)):
        unchecked = replace(own, size=published, md5=None, sha256=None)
        replaced(monkeypatch, replace(releases.release("coil20"), files=(unchecked,)))
        assert call(["data", "get", "coil20"]) == code
    shown = capsys.readouterr()
    assert f"is here and is not what is published: {file} has {size:,} bytes" in shown.err
    assert shown.out.count("was here already") == 1


def test_an_unknown_name_is_one_sentence(data: Path, capsys: Shown) -> None:
    for action in ("get", "where", "verify", "remove"):
        for name, sentence in {
            "coil-20": "There is no dataset 'coil-20'. Did you mean coil20",
            "xyzzy": "There is no dataset 'xyzzy'. `clbench data list --all` shows all names.",
            "nevis": "nevis is a stream of several datasets; `clbench data status nevis` shows each of them.",
            "split-cifar100": f"split-cifar100 is a stream of one dataset; use `clbench data {action} cifar100`.",
            "split-digits": "split-digits is no stream that reads datasets from files;",
        }.items():
            if (action, name) == ("get", "nevis"):
                continue  # it is fetched
            assert call(["data", action, name]) == 2
            assert capsys.readouterr().err.startswith(f"Error: {sentence}")


def test_a_folder_that_cannot_be_read_does_not_end_the_status_of_a_stream(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    written("landsat", data)
    plain = Path.is_file

    def denied(path: Path) -> bool:
        if path.parent == data / "coil20":
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path)

    monkeypatch.setattr(Path, "is_file", denied)
    assert call(["data", "status", "nevis", "--json"]) == 0
    found = {state["name"]: state for state in json.loads(capsys.readouterr().out)}
    assert len(found) == 106 and found["landsat"]["form"] == "official files"
    assert not found["coil20-2000"]["form"] and "Permission denied" in found["coil20-2000"]["why"]
    assert call(["data", "list"]) == 0
    assert f"coil20: cannot use {data / 'coil20' / 'coil-20-proc.zip'}" in capsys.readouterr().out
