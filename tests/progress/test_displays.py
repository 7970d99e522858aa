"""Progress on a terminal, in a pipe and nowhere."""

from __future__ import annotations

import io
from typing import Any

import pytest

from cl.progress.base import Observer
from cl.progress.displays import PlainProgress, RichProgress, displayed, in_notebook, make_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def everything(progress: Any) -> None:
    with progress as show:
        show.data("cifar.tar", 50, 100)
        show.data("cifar.tar", 100, 100)
        show.task(0, 2, "1,000 images")
        show.phase("train", 10, 3)
        show.advance(128, 1.25)
        show.advance(128)
        show.end_phase()
        show.advance()
        show.phase("statistics", 0)
        show.end_phase()
        show.event(0, 4, "accuracy 61.00 %")
        show.message("resuming [bold]")


def test_plain_progress_prints_one_line_per_event_and_message() -> None:
    stream = io.StringIO()
    everything(PlainProgress(stream))
    assert stream.getvalue().splitlines() == [
        "cifar.tar: 50 %",
        "cifar.tar: 100 %",
        "0:00  1/4  accuracy 61.00 %",
        "resuming [bold]",
    ]


def test_plain_progress_says_the_time_left_from_its_second_event_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, now = io.StringIO(), [100.0]
    monkeypatch.setattr("cl.progress.displays.time.monotonic", lambda: now[0])
    show = PlainProgress(stream)
    for index, seconds in ((2, 50.0), (3, 60.0), (5, 20.0), (7, 10.0)):  # a continued run begins with a later event
        now[0] += seconds
        show.event(index, 8, "x")
    assert stream.getvalue().splitlines() == [
        "0:50  3/8  x",
        "1:50  4/8  x  (about 4:00 left)",
        "2:10  6/8  x  (about 0:53 left)",
        "2:20  8/8  x",
    ]


def test_plain_progress_prints_many_events_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, now = io.StringIO(), [100.0]
    monkeypatch.setattr("cl.progress.displays.time.monotonic", lambda: now[0])
    show = PlainProgress(stream)
    for index in range(60):
        now[0] += 0.125
        show.event(index, 60, "x")
    assert [line.split()[1] for line in stream.getvalue().splitlines()] == [
        *(f"{number}/60" for number in range(1, 60, 8)), "60/60",
    ]  # fmt: skip


def test_rich_progress_draws_and_prints_above_the_bars() -> None:
    stream = Terminal()
    everything(RichProgress(stream))
    assert "accuracy 61.00 %" in stream.getvalue()
    assert "resuming [bold]" in stream.getvalue()


def test_rich_progress_prints_nothing_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with RichProgress(Terminal()):
        print("result")
    assert capsys.readouterr().out == "result\n"


def test_auto_selects_the_display_for_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(make_progress("auto", Terminal()), RichProgress)
    assert type(make_progress("auto", io.StringIO())) is PlainProgress
    assert type(make_progress("none", Terminal())) is Observer
    everything(make_progress("none"))


def test_python_shows_nothing_outside_a_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    assert not in_notebook()
    with displayed(None) as show:
        show.message("hidden")
    with displayed("plain") as show:
        show.message("shown")
    assert capsys.readouterr().err == "shown\n"
