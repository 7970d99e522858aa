"""`clbench plot`: the files that it writes, and words that it does not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.cli.app import call
from tests.help.figures import runs
from tests.help.on_disk import write_records

Make = Callable[..., dict[str, Any]]


def test_the_command_writes_files_and_prints_them(
    make_record: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_records(tmp_path / "results", runs(make_record, "a", [40, 60]))
    out = tmp_path / "figures"
    arguments = ["plot", str(folder), "--kind", "curves,forgetting", "--format", "svg,json", "--theme", "light,dark"]
    assert call([*arguments, "--out", str(out)]) == 0
    printed = capsys.readouterr().out.split()
    assert sorted(printed) == sorted(str(path) for path in out.iterdir()) and len(printed) == 6
    assert json.loads((out / "curves-split-toy.json").read_text())["rows"][0]["label"] == "a"
    assert call([*arguments, "--out", str(out), "--json"]) == 0
    assert {each["theme"] for each in json.loads(capsys.readouterr().out)} == {"light", "dark"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--kind", "curve"], "Did you mean curves?"),
        (["--format", "eps"], "svg, png, pdf, json"),
        (["--width", "wide"], "such as 85mm"),
        (["--filter", "slca"], "COLUMN=PATTERN"),
        (["--filter", "colour=red"], "cannot be filtered"),
        (["--theme", ","], "empty"),
    ],
)
def test_wrong_words_are_one_sentence(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["plot", str(tmp_path), *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_too_few_networks_for_a_study_are_one_sentence(
    make_record: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_records(tmp_path / "results", runs(make_record, "a", [40, 60]))
    for kind, says in (
        ("architecture", "needs one configuration on 3 or more networks"),
        ("transfer", "needs runs of independent and of another learner on one stream, backbone and seed"),
        ("pretraining", "pretraining;"),
    ):
        assert call(["plot", str(folder), "--kind", kind]) == 2
        error = capsys.readouterr().err
        assert says in error and error.count("\n") == 1


def test_kinds_that_have_nothing_to_show_are_named(
    make_record: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_records(tmp_path / "results", runs(make_record, "a", [40, 60]))
    assert call(["plot", str(folder), "--kind", "curves,transfer", "--out", str(tmp_path / "figures")]) == 0
    said = capsys.readouterr().err
    assert said.startswith(
        "These runs have nothing to show as transfer, which needs runs of independent and of another"
    )
    assert call(["plot", str(folder), "--out", str(tmp_path / "all")]) == 0
    assert "nothing to show" not in capsys.readouterr().err


def test_options_for_papers_reach_the_figure(
    make_record: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_records(tmp_path / "results", [*runs(make_record, "a", [40]), *runs(make_record, "slca", [60])])
    arguments = ["plot", str(folder), "--kind", "curves", "--out", str(tmp_path), "--width", "110mm", "--title", "Mine"]
    assert call([*arguments, "--filter", "strategy=s*", "--font-size", "7", "--format", "svg,pdf"]) == 0
    assert [Path(line).name for line in capsys.readouterr().out.split()] == [
        "curves-split-toy.svg",
        "curves-split-toy.pdf",
    ]
    text = (tmp_path / "curves-split-toy.svg").read_text()
    assert "SLCA  60.0" in text and ">Mine<" in text and "7px" in text and ">a  40.0" not in text
    assert call(["plot", str(folder), "--kind", "tasks", "--out", str(tmp_path)]) == 2
    assert "--rule til_masked" in capsys.readouterr().err
