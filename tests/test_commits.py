"""Commits to a folder that this process holds."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cl import commits
from cl.commits import guarded
from cl.errors import RunInUse, StorageError
from cl.files import move, replace_file, write_text
from cl.leases import acquire
from tests.help.leases import ELSEWHERE, leave


class Disk:
    """A folder whose disk can be away: renamed, or with errors of the system; `after` tries it is back."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.away, self.patch = folder, folder.with_name("away"), monkeypatch
        self.told: list[str] = []
        self.pauses: list[float] = []
        self.now = 0.0
        self.back: Callable[[], Any] = lambda: None
        self.after = 3
        folder.mkdir()
        clock = SimpleNamespace(sleep=self.sleep, monotonic=lambda: self.now)  # not that of the threads of leases
        monkeypatch.setattr(commits, "time", clock)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        if len(self.pauses) == self.after:
            self.back()

    def leave(self) -> None:
        self.folder.rename(self.away)
        self.back = lambda: self.away.rename(self.folder)

    def fail(self, name: str, number: int) -> None:
        """A function of `os` fails."""
        before = getattr(os, name)

        def failing(*_: Any, **__: Any) -> Any:
            raise OSError(number, os.strerror(number))

        self.patch.setattr(os, name, failing)
        self.back = lambda: self.patch.setattr(os, name, before)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(tmp_path / "run", monkeypatch)


def test_a_disk_that_comes_back_is_waited_for(disk: Disk) -> None:
    mine = acquire(disk.folder / ".lock")
    with guarded(disk.folder, mine.check, disk.told.append):
        disk.leave()
        write_text(disk.folder / "checkpoint" / "event", "one")
        assert (disk.folder / "checkpoint" / "event").read_text() == "one"
        assert not disk.away.exists(), "nothing was created in its place meanwhile"
        assert disk.told == [
            f"{disk.folder} cannot be reached (No such file or directory); trying again for 5 minutes.",
            f"{disk.folder} is back; the run goes on.",
        ]
        assert disk.pauses == [0.1, 0.2, 0.4]
        write_text(disk.folder / "record", "two")
        assert len(disk.told) == 2
    mine.release()


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ETIMEDOUT])
@pytest.mark.parametrize("name", ["replace", "open"])
def test_errors_of_a_disk_that_is_away_are_waited_for(number: int, name: str, disk: Disk) -> None:
    (disk.folder / "event").write_text("old")
    mine = acquire(disk.folder / ".lock")
    with guarded(disk.folder, mine.check, disk.told.append):
        disk.fail(name, number)
        write_text(disk.folder / "event", "new")
        assert (disk.folder / "event").read_text() == "new" and len(disk.told) == 2
        disk.pauses.clear()
        disk.fail(name, number)
        move(disk.folder / "event", disk.folder / "before")
        move(disk.folder / "event", disk.folder / "before")  # not there: nothing to do
    mine.release()
    assert [path.name for path in disk.folder.iterdir()] == ["before"]


@pytest.mark.parametrize("moment", ["written", "checked"])
def test_an_outage_in_the_middle_of_a_commit_leaves_no_temporary_file(moment: str, disk: Disk) -> None:
    (disk.folder / "event").write_text("old")
    mine, attempts = acquire(disk.folder / ".lock"), []

    def write(temporary: Path) -> None:
        attempts.append(temporary)
        temporary.write_text("new")
        if len(attempts) == 1 and moment == "written":
            disk.leave()

    def check() -> None:
        mine.check()
        if len(attempts) == 1 and moment == "checked" and not disk.told:
            disk.leave()

    with guarded(disk.folder, check, disk.told.append):
        replace_file(disk.folder / "event", write)
    mine.release()
    assert len(attempts) == 2 and len(disk.told) == 2
    assert [path.name for path in disk.folder.iterdir()] == ["event"]
    assert (disk.folder / "event").read_text() == "new"


def test_a_disk_that_stays_away_ends_the_run_and_keeps_its_files(disk: Disk) -> None:
    (disk.folder / "event").write_text("old")
    mine = acquire(disk.folder / ".lock")
    with guarded(disk.folder, mine.check, disk.told.append):
        disk.leave()
        disk.after = -1
        with pytest.raises(
            StorageError,
            match=r"reached for 5 minutes \(its folder is gone\).* the same command continues",
        ):
            write_text(disk.folder / "event", "new")
        assert commits.OUTAGE < sum(disk.pauses) < commits.OUTAGE + 20 and len(disk.told) == 1
        waited = len(disk.pauses)
        with pytest.raises(StorageError):
            write_text(disk.folder / "record", "failed")
        assert len(disk.pauses) == waited, "the second file does not wait as long again"
        disk.back()
        assert (disk.folder / "event").read_text() == "old"
    mine.release()


def test_a_full_disk_is_not_waited_for(disk: Disk) -> None:
    mine = acquire(disk.folder / ".lock")
    with guarded(disk.folder, mine.check, disk.told.append):
        disk.fail("replace", errno.ENOSPC)
        with pytest.raises(StorageError, match="disk is full"):
            write_text(disk.folder / "event", "new")
        assert disk.pauses == []
        disk.back()
    mine.release()


def test_who_lost_the_folder_overwrites_nothing(disk: Disk) -> None:
    event = disk.folder / "checkpoint" / "event"
    event.parent.mkdir()
    event.write_text("theirs")
    mine = acquire(disk.folder / ".lock")
    with guarded(disk.folder, mine.check, disk.told.append):
        leave(disk.folder / ".lock", 2, **ELSEWHERE)
        with pytest.raises(RunInUse, match="overwritten nothing"):
            write_text(event, "ours")
        with pytest.raises(RunInUse):
            move(event, event.with_name("before"))
        assert [path.name for path in event.parent.iterdir()] == ["event"] and event.read_text() == "theirs"
    write_text(event, "unguarded")


def test_a_lease_that_is_lost_while_a_file_is_written_is_noticed_before_the_rename(disk: Disk) -> None:
    from cl.files import replace_file

    def write(temporary: Path) -> None:
        temporary.write_text("ours")
        leave(disk.folder / ".lock", 2, **ELSEWHERE)

    mine = acquire(disk.folder / ".lock")
    with guarded(disk.folder, mine.check, disk.told.append), pytest.raises(RunInUse):
        replace_file(disk.folder / "event", write)
    assert sorted(path.name for path in disk.folder.iterdir()) == [".lock.1", ".lock.2"]


def test_only_files_in_the_folder_are_guarded(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RunInUse("Lost.")

    with guarded(disk.folder, refuse, disk.told.append):
        write_text(tmp_path / "other" / "file", "x")
        write_text(tmp_path / "run-2", "x")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(RunInUse):
            write_text(Path("run/deep/er/file"), "x")
    write_text(Path("run/deep/er/file"), "x")
