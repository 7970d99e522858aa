"""Sizes and ages for people, tables, and the question before files are removed."""

from __future__ import annotations

import io
import time
from pathlib import Path

import click
import pytest

from cl.cli import call
from cl.cli.text import Size, age_text, confirmed, print_table, room, say, size_text
from cl.errors import UsageError
from tests.help.toy import QUICK, records


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (169_001_437, "169 MB"),
        (1_500_000_000, "1.5 GB"),
        (10**16, "1e+04 TB"),
    ],
)
def test_sizes_are_in_powers_of_1000(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "now"),
        (59, "now"),
        (61, "1 minute ago"),
        (7201, "2 hours ago"),
        (86_401, "1 day ago"),
        (4e6, "46 days ago"),
    ],
)
def test_ages_are_in_the_largest_whole_unit(seconds: float, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1e9)
    assert age_text(1e9 - seconds) == text


def test_a_time_of_zero_has_no_age() -> None:
    assert age_text(0) == "-"


def test_a_table_shows_brackets_and_aligns_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["kind", "files"], [["[bold]x", "3"], ["y", "1000"]], right=["files"])
    assert capsys.readouterr().out.splitlines()[-2:] == ["| [bold]x |     3 |", "| y       |  1000 |"]


def test_lines_are_as_long_as_columns_says(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    name, path = "a name of several words", "/a/path/that/is/longer/than/any/line/of/this/test"
    for columns in ("", "0", "wide"):
        monkeypatch.setenv("COLUMNS", columns)
        assert room() is None, "stdout is no terminal"
    say(f"{name}  {path}")
    assert capsys.readouterr().out == f"{name}  {path}\n"
    monkeypatch.setenv("COLUMNS", "30")
    assert room() == 30
    say(f"key  {name} and more of them\n  {path}\n| {path} |", hang=5)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["key  a name of several words", "     and more of them", f"  {path}", f"| {path} |"]
    print_table(["what", "number"], [[f"{name} {name}", "1"], ["b", "20"]], right=["number"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 30


def test_without_a_terminal_nobody_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cl.cli.text.sys.stdin", io.StringIO())
    assert confirmed("Remove?", yes=True)
    with pytest.raises(UsageError, match="Nothing was removed, because nobody can be asked here; give --yes"):
        confirmed("Remove?", yes=False)


@pytest.mark.parametrize(("text", "count"), [("1", 1), ("1GB", 10**9), ("1.5 kb", 1500), ("20000000000", 20 * 10**9)])
def test_sizes_have_units(text: str, count: int) -> None:
    assert Size().convert(text, None, None) == count


@pytest.mark.parametrize("text", ["0", "-1", "1GiB", "GB", "", "nan", "9" * 400])
def test_other_sizes_are_named(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no number of bytes; examples"):
        Size().convert(text, None, None)


@pytest.mark.usefixtures("toy")
def test_every_table_of_a_command_fits_40_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert call(["run", "-s", "toy,finetune", *QUICK, "-q"]) == 0
    folder, run = str(tmp_path / "results"), str(records(tmp_path)[0].parent)
    grid = ["-s", "toy,ncm", *QUICK]
    monkeypatch.setenv("COLUMNS", "40")
    capsys.readouterr()
    for command in (
        ["list"], ["info", "slca"], ["info", "split-digits"], ["info", "slurm"], ["leaderboard", folder],
        ["data", "status", "nevis"], ["data", "list", "--all"], ["data", "where", "cifar100"], ["metrics"],
        ["metrics", run], ["info", "F_chaudhry"],
        ["sweep", "status", *grid], ["sweep", *grid, "--dry-run"], ["cache"], ["check", "--list"], ["claims", folder],
        ["claims", folder, "C5"], ["config", run], ["reproduce", "--list"], ["env"],
    ):  # fmt: skip
        assert call(command) == 0
        lines = capsys.readouterr().out.splitlines()
        long = [line for line in lines if len(line) > 40 and len(line.split()) > 1 and not is_copied(line)]
        assert lines and not long, f"{command}: {long[:3]}"


def is_copied(line: str) -> bool:
    """Whether a line is a command or the reference of a method, which stay whole, or a key before a path."""
    words = line.split()
    return words[0] in ("clbench", "folder", "Folder", "@inproceedings{") or " = {" in line or len(words[-1]) > 30
