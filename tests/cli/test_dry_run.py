"""`clbench run --dry-run`: every run is described and nothing is touched."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cl.cli import call
from cl.plan.run_options import DEFAULT_BACKBONE
from tests.help.image_folders import tree
from tests.help.toy import QUICK

pytestmark = pytest.mark.usefixtures("toy")


Shown = pytest.CaptureFixture[str]


def test_dry_run_describes_and_touches_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call(["run", "-s", "toy", *QUICK, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "2 x 5 classes, 10 in all" in shown
    assert "20 to train on, 20 to test on" in shown
    assert "stream.train_per_class  2  [--limit]" in shown
    assert list(tmp_path.iterdir()) == []

    assert call(["run", "-s", "toy", "--stream", "split-cifar100", "--dry-run", "--json"]) == 3
    about = json.loads(capsys.readouterr().out)
    assert about["state"] == "new"
    assert "CLBENCH_DATA_PATH" in about["stream"]["missing"]
    assert about["backbone"]["parameters"] > 2e6
    assert list(tmp_path.iterdir()) == []
    assert call(["run", "-s", "toy", *QUICK, "--dry-run", "-b", "vit_micro_patch4_33"]) == 2


def test_missing_data_that_nothing_would_download_ends_a_dry_run(
    capsys: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["run", "-s", "toy", "--dry-run", "--stream"]
    assert call([*command, "split-cifar100"]) == 3  # tests are offline
    shown = capsys.readouterr()
    assert shown.err.startswith("Error: CIFAR-100 (") and "CLBENCH_OFFLINE forbids downloading it" in shown.err
    assert "Data      not here" in shown.out
    assert call(["run", "-s", "toy", *QUICK, "--probe", "split-cifar100", "--dry-run"]) == 3
    assert "Error: CIFAR-100 (" in capsys.readouterr().err
    assert call([*command, "split-digits,split-cifar100", "-q"]) == 3
    assert capsys.readouterr().err.count("Error: ") == 1, "the other run could begin"
    monkeypatch.delenv("CLBENCH_OFFLINE")
    for stream, code in ("split-cifar100", 0), ("stanford-cars", 3), ("nevis", 3):
        assert call([*command, stream]) == code
        shown = capsys.readouterr()
        assert "would start" in shown.out and shown.err.count("Error: ") == bool(code)
        assert ("a run downloads it" in shown.out) == (code == 0)


def test_a_dry_run_prints_every_run_of_a_grid(capsys: Shown, tmp_path: Path) -> None:
    command = ["run", "-s", "finetune", "--stream", "split-digits", "--limit", "2", "--dry-run", "--json"]
    assert call([*command, "-b", f"test_vit@random,{DEFAULT_BACKBONE}", "--set", "finetune.lr=0.1,0.2"]) == 0
    *found, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert last["grid"]["runs"]["new"] == 4
    assert [(each["backbone"]["name"], each["config"]["lr"]["value"]) for each in found] == [
        (backbone, lr) for backbone in ("test_vit@random", DEFAULT_BACKBONE) for lr in (0.1, 0.2)
    ]
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("command", [["run", "-s", "toy", "--dry-run", "--stream"], ["info"]])
def test_no_message_names_what_the_user_did_not_set(
    command: list[str], capsys: Shown, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CLBENCH_OFFLINE")
    monkeypatch.delenv("CLBENCH_DATA_PATH", raising=False)
    assert call([*command, "split-cifar100"]) == 0
    shown = "".join(capsys.readouterr())
    assert "a run downloads it" in shown and "CLBENCH_OFFLINE" not in shown
    places = re.search(r"was not found in ([^;]*);", shown)
    assert places is not None and places[1] == str(tmp_path / "home" / "data")


def test_a_dry_run_refuses_what_the_method_cannot_learn(capsys: Shown, tmp_path: Path) -> None:
    tree(tmp_path / "images" / "train", {"ant": 3, "bee": 3, "crab": 3, "dog": 1})
    tree(tmp_path / "images" / "test", {"ant": 1, "bee": 1, "crab": 1, "dog": 1})
    command = ["run", "-s", "slca", "--stream", f"folder:{tmp_path / 'images'}", "-b", "test_vit@random"]
    for more in ([], ["--dry-run"]):
        assert call([*command, "--set", "stream.size=32", "--set", "backbone.image_size=32", *more]) == 2
        assert re.search(r"slca needs 2 training images of each class .* \(dog\) .* has 1;", capsys.readouterr().err)
    assert not list(tmp_path.rglob("record.json"))


def test_a_dry_run_says_what_is_left_out(capsys: Shown, tmp_path: Path) -> None:
    tree(tmp_path / "images", {"ant": 3, "bee": 3})
    (tmp_path / "images" / "ant" / "notes.txt").touch()
    command = ["run", "-s", "toy", "--stream", f"folder:{tmp_path / 'images'}", "--set", "stream.size=8", "--dry-run"]
    assert call(command) == 0
    assert "Note      Left out: 1 file (1 .txt)." in capsys.readouterr().out


def test_a_dry_run_says_how_much_of_the_stream_is_learned(capsys: Shown) -> None:
    command = ["run", "-s", "toy", *QUICK, "--dry-run"]
    for more, said in ([], False), (["--max-tasks", "1"], True), (["--max-tasks", "99"], False):
        assert call([*command, *more]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert bool(re.search(r"--max-tasks=1: of \d+ steps", shown)) == said, shown


def test_a_dry_run_ends_as_the_run_would(capsys: Shown, tmp_path: Path) -> None:
    tree(tmp_path / "images", {"ant": 3, "bee": 3})
    (tmp_path / "images" / "ant" / "0.png").write_bytes(b"")
    command = ["run", "-s", "toy", "--stream", f"folder:{tmp_path / 'images'}", "--set", "stream.size=8", "--dry-run"]
    assert call(command) == 3 and "Cannot read the image" in capsys.readouterr().err
    assert call(["run", "-s", "toy", *QUICK, "-b", f"test_vit@{tmp_path}/none.pth", "--dry-run"]) == 3
    assert "There is no file" in capsys.readouterr().err
    assert call(["run", "-s", "toy", *QUICK, "-q"]) == 0
    assert call(["run", "-s", "toy", *QUICK, "--existing", "never", "--dry-run"]) == 2
    assert "choose --existing only-missing" in capsys.readouterr().err
    assert call(["run", "-s", "toy", *QUICK, "--existing", "always", "--dry-run"]) == 0
    assert "The files of an earlier run are deleted" in capsys.readouterr().out


def test_a_dry_run_refuses_what_the_setup_of_the_method_refuses(capsys: Shown, tmp_path: Path) -> None:
    command = ["run", "-s", "softnet", *QUICK, "-b", "test_vit@random", "--set", "block=blocks.99"]
    ends = []
    for more in (["--dry-run"], ["-q"]):
        code = call([*command, *more])
        ends.append((code, [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error")]))
    assert ends[0] == ends[1] and ends[0][0] == 2 and "block=blocks.99 holds no masked weights" in ends[0][1][0]


def test_runs_of_a_grid_that_differ_in_seeds_share_a_rehearsal(capsys: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsed: list[str] = []
    monkeypatch.setattr("cl.running.rehearsal.rehearse", lambda plan, stream: rehearsed.append(plan.title))
    command = ["run", "-s", "toy,finetune", *QUICK, "--dry-run", "--json", "--seed", "1,2,3"]
    assert call([*command, "--set", "finetune.lr=0.1,0.2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 9 + 1 and len(rehearsed) == 3


def test_data_that_a_setup_needs_and_that_is_not_here_is_a_note(capsys: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["run", "-s", "kvb", *QUICK, "-b", "test_vit@random", "--set", "keys_from=split-cifar100", "--dry-run"]
    for code in (3, 0):
        assert call(command) == code, "nothing is downloaded while CLBENCH_OFFLINE is set"
        shown = capsys.readouterr().out
        assert "would start" in shown and re.search(r"Note .*cifar-100", shown, re.IGNORECASE)
        monkeypatch.delenv("CLBENCH_OFFLINE", raising=False)


def test_a_complete_run_is_not_rehearsed(capsys: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(["run", "-s", "toy", *QUICK, "-q"]) == 0
    monkeypatch.setattr("cl.running.rehearsal.rehearse", lambda *_: pytest.fail("it was rehearsed"))
    assert call(["run", "-s", "toy", *QUICK, "--dry-run"]) == 0
    assert "complete" in capsys.readouterr().out
