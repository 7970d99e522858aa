"""The files of a run in progress."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from cl.errors import ContractError, DataError
from cl.records.identity import RunIdentity
from cl.training import state
from cl.training.checkpoint import Checkpoint, Key, changed
from tests.help.probe import probe


def test_a_journal_of_changed_code_is_refused(tmp_path: Path) -> None:
    probe(tmp_path).train("a")
    with pytest.raises(ContractError, match=r"holds fit 'a' \(call 1 of task 0\) where learn\(\) now asks for fit 'b'"):
        probe(tmp_path).train("b")


def test_checkpoints_take_a_limited_share_of_the_time(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, every=0.001)
    checkpoint._duration = 1000.0  # a very slow disk
    assert not checkpoint.due()
    checkpoint.every = 0
    assert checkpoint.due()
    assert str(Key(1, 2, "fit", "x")) == "fit 'x' (call 2 of task 1)"


FIT, NEXT, SETUP = Key(0, 1, "fit", "a"), Key(0, 2, "fit", "b"), Key(-1, 1, "compute", "c")


def test_a_commit_removes_the_journal_of_the_task_and_keeps_results_of_setup(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, every=0)
    assert checkpoint.load_event() is None
    for key in (FIT, SETUP):
        checkpoint.save_entry(key, {"result": key.name})
    checkpoint.save_partial(NEXT, {"step": 3})
    checkpoint.save_event({"task": 1})
    assert {path.name for path in tmp_path.iterdir()} == {"event.safetensors", "entry--1-1.safetensors"}
    again = Checkpoint(tmp_path, every=0)
    assert again.load_event() == {"task": 1} and again.load_entry(FIT) is None
    entry: Any = again.load_entry(SETUP)
    assert entry["result"] == "c"
    again.remove()
    assert not tmp_path.exists()


ONE = RunIdentity("c", "1993", "code", "w" * 64, "{}", "a" * 64, "b" * 64, "s")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint = Checkpoint(tmp_path)
    for number in (1, 2, 3):
        checkpoint.save_event({"number": number, "x": torch.full((9,), number)})
    flip(tmp_path / "event.safetensors")
    found: Any = Checkpoint(tmp_path).load_event()
    assert found["number"] == 2 and "continues from the checkpoint before it" in caplog.text
    checkpoint.save_event({"number": 4, "x": torch.zeros(9)})
    flip(tmp_path / "event.safetensors")
    found = Checkpoint(tmp_path).load_event()
    assert found["number"] == 2, "the damaged one did not take the place of the whole one"
    flip(tmp_path / "event-before.safetensors")
    with pytest.raises(DataError, match="start over with --existing always"):
        Checkpoint(tmp_path).load_event()


def test_a_kill_between_the_two_files_of_a_commit_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save_event({"number": 1})
    monkeypatch.setattr("cl.training.checkpoint.state.save", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save_event({"number": 2})
    assert Checkpoint(tmp_path).load_event() == {"number": 1}


def test_damaged_work_of_a_task_is_done_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint = Checkpoint(tmp_path, every=0)
    checkpoint.save_entry(FIT, {"x": torch.ones(5)})
    checkpoint.save_partial(NEXT, {"x": torch.ones(5)})
    for path in tmp_path.iterdir():
        flip(path)
    assert checkpoint.load_entry(FIT) is None and checkpoint.load_partial(NEXT) is None
    assert caplog.text.count("is damaged; its work is done again") == 2 and not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_another_is_damage(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, every=0)
    checkpoint.save_event({"number": 1})
    checkpoint.save_event({"number": 2})
    for name in ("entry-0-1", "partial"):
        (tmp_path / f"{name}.safetensors").write_bytes((tmp_path / "event.safetensors").read_bytes())
    assert checkpoint.load_entry(FIT) is None and checkpoint.load_partial(FIT) is None
    checkpoint.save_partial(FIT, {"step": 1})
    (tmp_path / "partial.safetensors").rename(tmp_path / "event.safetensors")
    assert checkpoint.load_event() == {"number": 1}
    state.save(tmp_path / "event-before.safetensors", {"blocks": torch.ones(2)})  # of the features
    with pytest.raises(DataError, match="another file than its name says"):
        checkpoint.load_event()


def test_every_file_holds_what_the_run_read(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, every=0, identity=ONE)
    checkpoint.save_event({"x": torch.ones(5)})
    checkpoint.save_entry(FIT, {"x": torch.ones(5)})
    checkpoint.save_partial(NEXT, {"x": torch.ones(5)})
    assert changed(tmp_path, ONE) == ""
    other = dataclasses.replace(ONE, weights="v" * 64)
    for path in sorted(tmp_path.iterdir()):
        assert "the weights of the backbone (wwwwwwww, now vvvvvvvv) have changed since" in changed(tmp_path, other)
        path.unlink()
    Checkpoint(tmp_path).save_event({"of": "0.1.0"})
    assert changed(tmp_path, ONE) == ""


def test_results_of_setup_are_in_order(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, every=0)
    for number in (2, 10, 1):
        checkpoint.save_entry(Key(-1, number, "compute", "c"), {"result": number})
    assert [entry["result"] for entry in checkpoint.setup_entries()] == [1, 2, 10]


def test_an_interrupted_fit_is_found_by_its_place(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, every=0)
    assert checkpoint.load_partial(FIT) is None
    checkpoint.save_partial(FIT, {"step": 3})
    found: Any = checkpoint.load_partial(FIT)
    assert found["step"] == 3
    assert checkpoint.load_partial(NEXT) is None, "the partial file is of an earlier fit, which is finished"
    with pytest.raises(ContractError, match=r"holds fit 'a' .* now asks for compute 'a'.*--existing always"):
        checkpoint.load_partial(Key(0, 1, "compute", "a"))


def test_results_of_setup_are_always_written_for_a_saved_learner(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, every=1e9, keep_setup=True)
    assert checkpoint.due(-1) and not checkpoint.due(0)


def test_files_that_a_kill_left_half_written_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".event.safetensors.abc.tmp").write_text("half")
    Checkpoint(tmp_path)
    assert not list(tmp_path.iterdir())
