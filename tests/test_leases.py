"""Leases: one holder, a dead one is replaced, a suspended or cut-off one stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cl import leases
from cl.errors import RunInUse
from cl.leases import Held, acquire, here, holder, lease
from tests.help.leases import ELSEWHERE, held, leave

ROOT = Path(leases.__file__).parents[1]

START = """
import sys, time
from pathlib import Path
from cl import leases
from cl.errors import RunInUse
path = Path(sys.argv[1])
"""


def process(code: str, path: Path, *more: str) -> subprocess.Popen[str]:
    """A process of its own that runs code on a lease."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", START + code, str(path), *more], env=environment, **pipes)


def said(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


HOLD = """
leases.BEAT = float(sys.argv[2])
if sys.argv[3:]:
    leases.here = lambda: ("elsewhere", "another boot")
with leases.lease(path) as held:
    print("holds", flush=True)
    sys.stdin.readline()
    try:
        held.check()
        print("writes", flush=True)
    except RunInUse as error:
        print(error, flush=True)
"""


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_released_lease_leaves_nothing_and_a_held_one_excludes_threads_and_processes(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with lease(path) as mine:
        mine.check()
        assert files(tmp_path) == ["run.1"]
        with pytest.raises(Held):
            acquire(path, wait=False)
        with lease(tmp_path / "run2", wait=False):  # another name
            pass
        other = process("try:\n leases.acquire(path, wait=False)\nexcept leases.Held:\n print('held')", path)
        assert other.communicate()[0] == "held\n"
    assert files(tmp_path) == []
    with held(path):
        assert files(tmp_path) == ["run.1"]


def test_of_eight_processes_one_wins_each_time(tmp_path: Path) -> None:
    """Each appends to a file that it reads first: with two holders at a time, lines would be lost."""
    code = """
print("ready", flush=True); sys.stdin.readline()
for _ in range(12):
    with leases.lease(path) as held:
        text = path.with_name("list").read_text()
        time.sleep(0.0005)
        held.check()
        path.with_name("list").write_text(text + sys.argv[2])
"""
    (tmp_path / "list").touch()
    leave(tmp_path / "run", 3)
    leave(tmp_path / "run", 4)
    running = [process(code, tmp_path / "run", str(number)) for number in range(8)]
    for each in running:
        assert said(each) == "ready"
    for each in running:
        each.communicate("go\n", timeout=60)
        assert each.returncode == 0
    text = (tmp_path / "list").read_text()
    assert {number: text.count(str(number)) for number in range(8)} == dict.fromkeys(range(8), 12)
    assert files(tmp_path) == ["list"]


def test_of_eight_processes_that_do_not_wait_one_holds_it(tmp_path: Path) -> None:
    code = """
print("ready", flush=True); sys.stdin.readline()
try:
    held = leases.acquire(path, wait=False)
    print("holds", flush=True); sys.stdin.readline()
except leases.Held:
    print("held", flush=True)
"""
    leave(tmp_path / "run", 7)
    running = [process(code, tmp_path / "run") for _ in range(8)]
    for each in running:
        assert said(each) == "ready"
    for each in running:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    assert sorted(said(each) for each in running) == ["held"] * 7 + ["holds"]
    for each in running:
        each.communicate("end\n")


def test_a_killed_holder_is_replaced_at_once(tmp_path: Path) -> None:
    path = tmp_path / "run"
    dead = process(HOLD, path, "10")
    assert said(dead) == "holds"
    found = holder(path)
    assert found is not None and (found.host, found.pid, found.alive) == (here()[0], dead.pid, True)
    dead.kill()  # not waited for: its process id is still taken
    start = time.monotonic()
    with lease(path, wait=True, patience=1000):
        assert time.monotonic() - start < 5 and files(tmp_path) == ["run.2"]
    dead.communicate()


def test_a_process_id_that_another_process_has_now_is_a_dead_holder(tmp_path: Path) -> None:
    path = tmp_path / "run"
    leave(path, pid=os.getppid(), started="an earlier boot's")
    found = holder(path)
    assert found is not None and found.alive is False
    with lease(path, wait=False, patience=1000):
        pass
    leave(path, pid=os.getppid(), started=leases._started(os.getppid()))
    with pytest.raises(Held):
        acquire(path, wait=False, patience=1000)


@pytest.mark.parametrize("skew", [-40000, 40000])
def test_another_machine_is_judged_by_its_counter_and_by_no_clock(
    skew: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + skew)
    path = tmp_path / "run"
    alive = process(HOLD, path, "0.05", "elsewhere")
    assert said(alive) == "holds"
    found = holder(path)
    assert found is not None and (found.host, found.alive) == ("elsewhere", None)
    os.utime(path.with_name("run.1"), (time.time(), time.time()))
    with pytest.raises(Held):
        acquire(path, wait=False, patience=30)
    alive.kill()
    alive.communicate()
    start = time.monotonic()
    with lease(path, wait=False, patience=0.5):
        assert 0.3 < time.monotonic() - start < 20
        assert files(tmp_path) == ["run.2"]


def test_a_suspended_holder_stops_when_it_wakes_up(tmp_path: Path) -> None:
    path = tmp_path / "run"
    suspended = process(HOLD, path, "0.05", "elsewhere")
    assert said(suspended) == "holds"
    os.kill(suspended.pid, signal.SIGSTOP)
    with lease(path, patience=0.4) as mine:
        os.kill(suspended.pid, signal.SIGCONT)
        time.sleep(0.2)  # it counts again, and must not bring its lease back
        assert "Another process took" in suspended.communicate("go\n", timeout=30)[0]
        mine.check()
        assert files(tmp_path) == ["run.2"]
    again = process(HOLD, path, "0.05", "elsewhere")
    assert said(again) == "holds"
    assert again.communicate("go\n", timeout=30)[0] == "writes\n"


def test_a_lease_that_was_taken_and_released_is_lost_though_its_number_is_back(tmp_path: Path) -> None:
    path = tmp_path / "run"
    old = acquire(path)
    leave(path, 1)  # another process removed ours, released its own, and a third one began again
    before = path.with_name("run.1").read_bytes()
    old.beat()
    with pytest.raises(RunInUse, match=r"Another process took .*run over"):
        old.check()
    old.release()
    assert path.with_name("run.1").read_bytes() == before


def test_a_higher_generation_is_the_holder_even_before_it_has_cleaned_up(tmp_path: Path) -> None:
    old = acquire(tmp_path / "run")
    leave(tmp_path / "run", 2, **ELSEWHERE)
    with pytest.raises(RunInUse):
        old.check()
    old.release()
    assert files(tmp_path) == ["run.2"]


def test_whoever_judged_too_late_withdraws(tmp_path: Path) -> None:
    """Between its look at a dead lease and its creation of the next, others took over, ended and began again."""
    path = tmp_path / "run"
    dead = {1: leave(path).read_bytes()}
    path.with_name("run.1").unlink()
    with lease(path) as mine:
        assert leases._create(path, dead) is None
        mine.check()
    assert files(tmp_path) == []
    leave(path, 3)
    assert leases._create(path, {}) is None
    assert files(tmp_path) == ["run.3"]


def test_a_file_without_content_is_not_waited_for_long(tmp_path: Path) -> None:
    """A kill between the creation of the file and the writing of its content leaves one."""
    (tmp_path / "run.1").touch()
    assert holder(tmp_path / "run") is None
    start = time.monotonic()
    with lease(tmp_path / "run", wait=False, patience=1000):
        assert 0.5 < time.monotonic() - start < 20


def test_time_in_which_nobody_could_look_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = {1: leave(tmp_path / "run", **ELSEWHERE).read_bytes()}
    now = [0.0]
    monkeypatch.setattr(leases, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=time.sleep))
    watch = leases._Watch(60.0, last=0.0)
    states = []
    for _ in range(7):
        states.append(watch.look(content))
        now[0] += 3600  # suspended, or the disk was away: the holder could not count either
    assert states == ["unknown"] * 6 + ["dead"]
    assert watch.look({1: content[1][:-2] + b"8\n"}) == "alive"


def test_the_counter_rises_while_a_lease_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.02)
    monkeypatch.setattr(leases, "_HEARTS", {})
    with lease(tmp_path / "run") as mine:
        seen: set[bytes] = set()
        end = time.monotonic() + 20
        while len(seen) < 3 and time.monotonic() < end:
            seen.add(mine.file.read_bytes())
        assert len(seen) == 3 and {each.partition(b"\n")[0] for each in seen} == {mine.name}
        assert len({len(each) for each in seen}) == 1
    threads = [thread for thread in leases.threading.enumerate() if thread.name == "clbench-leases"]
    with lease(tmp_path / "run"), lease(tmp_path / "run2"):
        assert [t for t in leases.threading.enumerate() if t.name == "clbench-leases"] == threads


def test_a_disk_that_is_away_loses_no_lease(tmp_path: Path) -> None:
    folder, away = tmp_path / "disk", tmp_path / "away"
    folder.mkdir()
    mine = acquire(folder / "run")
    folder.rename(away)
    mine.beat()
    with pytest.raises(OSError):
        mine.check()
    away.rename(folder)
    mine.check()
    mine.beat()
    assert int(mine.file.read_bytes().split()[-1]) == 1
    folder.rename(away)
    mine.release()
    away.rename(folder)
    assert files(folder) == ["run.1"]
    mine.beat()  # the thread does
    assert files(folder) == []


def test_a_forked_child_holds_nothing(tmp_path: Path) -> None:
    with lease(tmp_path / "run") as mine:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                acquire(tmp_path / "run", wait=False)
            except Held:
                mine.release()
                acquire(tmp_path / "other").release()
                code = 0 if not leases._OURS else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        mine.check()


def test_a_folder_that_cannot_be_used_is_an_error_of_the_system(tmp_path: Path) -> None:
    before = set(leases._OURS)
    with pytest.raises(OSError), lease(tmp_path / "missing" / "run"):
        pass
    assert before == leases._OURS


def test_without_a_boot_id_the_network_card_tells_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "readlink", lambda path: (_ for _ in ()).throw(FileNotFoundError(path)))
    monkeypatch.setattr("uuid.getnode", lambda: 255)
    assert leases.here.__wrapped__() == (here()[0], "ff")


def test_processes_that_proc_does_not_show() -> None:
    """As on other systems: psutil tells."""
    assert leases._started(2**22 + 1) is None
