"""The folder of a run: one process at a time, its log, and starting over."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from filelock import FileLock

from cl import api
from cl.errors import ClbenchError, DataError, RunInUse, StorageError
from cl.plan.plan import make_plan
from cl.running.folder import LOCK, LOG, clear, locked, log_of, logged

pytestmark = pytest.mark.usefixtures("toy")


def test_two_processes_never_share_a_run() -> None:
    plan = make_plan("toy", "split-digits", limit=2)
    plan.folder.mkdir(parents=True)
    with FileLock(plan.folder / ".lock"), pytest.raises(ClbenchError, match="Another process is running"):
        api.execute(plan)


def test_starting_over_deletes_all_but_the_lock(tmp_path: Path) -> None:
    (tmp_path / "checkpoint" / "deep").mkdir(parents=True)
    for name in ("record.json", "checkpoint/deep/event.safetensors", LOCK):
        (tmp_path / name).touch()
    clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_the_lock_is_free_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        with pytest.raises(RunInUse, match=r"Another process is running .*; wait for it, or choose"), locked(tmp_path):
            pass
        raise ZeroDivisionError
    with locked(tmp_path):
        pass


@pytest.mark.parametrize(
    ("error", "line"), [(DataError("No data."), "ERROR DataError: No data."), (KeyboardInterrupt(), "INFO interrupted")]
)
def test_the_log_says_how_a_run_ended(error: BaseException, line: str, tmp_path: Path) -> None:
    log = logging.getLogger("clbench")
    before = (log.level, list(log.handlers))
    with pytest.raises(type(error)), logged(tmp_path):
        log.info("begins")
        log.debug("details")
        raise error
    text = (tmp_path / LOG).read_text()
    assert "INFO begins\n" in text and f" {line}\n" in text and "details" not in text
    assert ("Traceback" in text) is isinstance(error, Exception)
    assert (log.level, log.handlers) == before


def test_an_error_knows_its_log_if_that_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    for whole in (True, False):
        with pytest.raises(ValueError, match="bad") as caught, logged(tmp_path):
            assert log_of(ValueError()) is None
            if not whole:
                monkeypatch.setattr("logging.FileHandler.format", full)
            raise ValueError("bad")
        assert log_of(caught.value) == (tmp_path / LOG if whole else None)
    monkeypatch.undo()


def test_a_log_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / LOG).mkdir()
    with pytest.raises(StorageError, match=r"cannot write .*log\.txt"), logged(tmp_path):
        pass
