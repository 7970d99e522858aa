"""Damage to files, and advice that is followed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.soak.harm import HARMS, Advice, harm, keep_times
from tools.soak.outcome import Ended

WORKS = Ended(0, "", "")


@pytest.mark.parametrize("how", HARMS)
@pytest.mark.parametrize("content", [b"x" * 10_000, b"\0" * 10_000, b"x", b""])
def test_the_content_always_changes_and_the_same_way(tmp_path: Path, how: str, content: bytes) -> None:
    found = []
    for name in ("one", "two"):
        path = tmp_path / name
        path.write_bytes(content)
        harm(path, how, random.Random(7), foreign=content)
        found.append(path.read_bytes())
    assert found[0] != content
    assert found[0] == found[1]


def test_a_zero_page_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10_000)
    harm(path, "zero page", random.Random(0))
    assert path.read_bytes().count(b"x") in (10_000 - 4096, 2 * 4096)
    assert path.stat().st_size == 10_000


def test_times_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    times = path.stat()
    path.write_text("more")
    keep_times(path, times)
    assert path.stat().st_mtime_ns == times.st_mtime_ns


def answers(*ends: Ended) -> tuple[list[tuple[str, ...]], Callable[..., Ended]]:
    """A command that ends in these ways, one after the other, and the arguments that it got."""
    asked: list[tuple[str, ...]] = []

    def again(*extra: str) -> Ended:
        asked.append(extra)
        return ends[len(asked) - 1]

    return asked, again


def test_existing_always_is_followed(tmp_path: Path) -> None:
    asked, again = answers(WORKS)
    advice = Advice(tmp_path, again, lambda: None)
    assert advice.follow("The images changed since; --existing always starts over.") == ""
    assert asked == [("--existing", "always")]


def test_the_named_file_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "run" / "event.safetensors"
    path.parent.mkdir()
    path.touch()
    asked, again = answers(WORKS)
    advice = Advice(tmp_path, again, lambda: None)
    assert advice.follow("run/event.safetensors is damaged; delete it and run the same command again.") == ""
    assert not path.exists() and path.parent.exists() and asked == [()]
    assert advice.steps == ["deleting event.safetensors"]


def test_of_several_that_are_named_the_last_one_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "2.png").touch()
    _, again = answers(WORKS)
    text = "./images has changed: cannot read ./images/2.png (no image); replace or remove it and run again."
    assert Advice(tmp_path, again, lambda: None).follow(text) == ""
    assert [*(tmp_path / "images").iterdir()] == []


def test_the_named_folder_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "run" / "record.json"
    path.parent.mkdir()
    path.touch()
    _, again = answers(WORKS)
    text = "run/record.json is not valid JSON; delete its folder and run the same command again."
    assert Advice(tmp_path, again, lambda: None).follow(text) == ""
    assert not path.parent.exists()


def test_messages_that_follow_are_followed(tmp_path: Path) -> None:
    restored: list[bool] = []
    again_says = Ended(3, "", "Error: It is damaged; restore it or run the same command again.")
    asked, again = answers(again_says, WORKS)
    advice = Advice(tmp_path, again, lambda: restored.append(True))
    assert advice.follow("It is damaged; run the same command again.") == ""
    assert advice.steps == ["the same command", "restoring the file"] and restored == [True]
    assert asked == [(), ()]


def test_advice_that_does_not_help_is_told(tmp_path: Path) -> None:
    says = Ended(3, "", "Error: Start over with --existing always.")
    _, again = answers(says, says, says)
    fault = Advice(tmp_path, again, lambda: None).follow("Start over with --existing always.")
    assert "there is still: Start over" in fault
    _, again = answers(Ended(1, "", "Error: unexpected KeyError: 'x'."))
    assert "KeyError" in Advice(tmp_path, again, lambda: None).follow("Start over with --existing always.")
