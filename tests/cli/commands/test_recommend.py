"""`clbench recommend`: what fits, ranked or not, and where numbers come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cl import paths
from cl.cli import call
from tests.help.on_disk import write_records
from tests.help.records import build_record


def records(folder: Path) -> None:
    last = {"l2p": [50, 70, 90], "ease": [52, 65, 92], "mos": [48, 68, 88]}
    write_records(
        folder,
        (
            build_record([[99, None, None], [99, 99, None], [value] * 3], strategy=name, seed=seed)
            for name, values in last.items()
            for seed, value in enumerate(values)
        ),
    )


def test_it_ranks_by_the_records_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records(tmp_path)
    command = ["recommend", str(tmp_path), "--setting", "class-incremental", "--memory", "none", "--backbone", "vit"]
    assert call([*command, "--top", "2"]) == 0
    shown = capsys.readouterr()
    text = " ".join(shown.out.split())
    assert f"Records: {tmp_path}. 1 board fits: split-toy@1" in text and shown.err.count("Give what you know") == 0
    assert "14 keep training images by default: a-gem," in text
    assert "l2p, ease cannot be told apart from the best" in text
    assert "1 more; without --top all are shown." in text and "By facts alone" in text
    assert call([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tied_with_best"] == ["l2p", "ease"] and found["records"] == {
        "folders": [str(tmp_path)], "runs": 9, "boards": 1
    }  # fmt: skip
    assert [row["strategy"] for row in found["ranked"]] == ["l2p", "ease", "mos"]
    assert found["answers"]["memory"] == "none" and "simplecil" in found["unranked"]


@pytest.mark.parametrize("width", [45, 70, 130])
def test_it_fits_the_terminal(
    width: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    records(tmp_path / "r")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(width))
    assert call(["recommend", "r", "--setting", "class-incremental", "--memory", "none", "--top", "2"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    assert ("method: l2p" in shown) == (width < 130) and "1 more; without --top all are shown." in shown


def test_an_installation_has_no_records_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "CHECKOUT", None)
    assert call(["recommend"]) == 0
    shown = capsys.readouterr()
    assert "No records: an installation has none" in shown.out and "prompts: coda-prompt" in shown.out
    assert "Give what you know: --setting" in shown.err


def test_a_folder_without_records_is_an_error_as_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    for more in ([], ["--json"]):
        assert call(["recommend", str(tmp_path / "empty"), "--setting", "online", *more]) == 2
        shown = capsys.readouterr()
        assert "There are no records here; make one with clbench run, or name another folder." in shown.err
        assert not shown.out


def test_records_of_other_methods_rank_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records(tmp_path)
    assert call(["recommend", str(tmp_path), "--setting", "online"]) == 0
    assert "Methods are not ranked." in " ".join(capsys.readouterr().out.split())
    assert call(["recommend", str(tmp_path / "absent")]) == 2


@pytest.mark.parametrize("words", [["--setting", "task-incremental", "--task-unknown"], ["--backbone", "rnn"]])
def test_contradictions_and_unknown_answers_are_refused(words: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["recommend", *words]) == 2
    assert "Traceback" not in capsys.readouterr().err
