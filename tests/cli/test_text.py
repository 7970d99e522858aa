"""Sizes and ages for people, tables, and the question before files are removed."""

from __future__ import annotations

import io
import time

import click
import pytest

from cl.cli.text import Size, age_text, confirmed, print_table, size_text
from cl.errors import UsageError


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
