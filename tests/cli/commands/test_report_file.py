"""`clbench report`: one file, or one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.cli.app import call
from tests.help.on_disk import write_records
from tests.help.report_runs import report_records

Make = Callable[..., dict[str, Any]]


def test_the_command_writes_one_file(make_record: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_records(tmp_path / "results", report_records(make_record))
    out = tmp_path / "new" / "all.html"
    assert call(["report", str(folder), "--out", str(out), "--title", "Ours", "--metric", "A_inc_sample"]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == str(out) and "9 runs" in captured.err
    page = out.read_text(encoding="utf-8")
    assert "<h1>Ours</h1>" in page and "ranked by <code>A_inc_sample</code>" in page
    assert [path.name for path in out.parent.iterdir()] == ["all.html"]


def test_runs_without_the_rule_are_counted(
    make_record: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = make_record(strategy="wsn", rules=("til_oracle",), result__stream__name="split-told")
    folder = write_records(tmp_path / "results", [make_record(strategy="slca"), told])
    assert call(["report", str(folder), "--out", str(tmp_path / "a.html"), "--rule", "cil_seen"]) == 0
    assert "1 run on boards without the rule cil_seen left out" in capsys.readouterr().err


def test_folders_may_be_given_as_options(make_record: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = report_records(make_record)
    one, two = write_records(tmp_path / "one", records[:4]), write_records(tmp_path / "two", records[4:])
    pages = []
    for folders in (
        [str(one), str(two)],
        ["--results", str(one), "--results", str(two)],
        [str(one), "--results", str(two)],
    ):
        assert call(["report", *folders, "--out", str(tmp_path / "r.html")]) == 0
        assert "9 runs" in capsys.readouterr().err
        pages.append((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert pages[0] == pages[1] == pages[2]


@pytest.mark.parametrize(
    ("arguments", "says"), [(["--metric", "A_lust_sample"], "A_last_sample"), (["nowhere"], "no results at nowhere")]
)
def test_mistakes_are_one_sentence_and_write_nothing(
    arguments: list[str], says: str, make_record: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_records(tmp_path / "results", [make_record()])
    assert call(["report", str(folder), *arguments, "--out", str(tmp_path / "r.html")]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and not (tmp_path / "r.html").exists()
