"""Tensors that an event does not write again: what is written, what is kept, and what a kill or damage does."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cl.errors import DataError
from cl.training import kept, state
from cl.training.checkpoint import Checkpoint, Key, changed
from tests.training.test_checkpoint import ONE, flip

LARGE = kept.LEAST // 4  # float32 values


def network(number: int, size: int = LARGE) -> Tensor:
    return torch.full((size,), float(number))


def kept_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("kept-*.safetensors"))


def same(one: Any, two: Any) -> bool:
    """Whether two states are equal bit for bit."""
    if type(one) is not type(two):
        return False
    if isinstance(one, Tensor):
        bits = [each.contiguous().flatten().view(torch.uint8) for each in (one, two)]
        return one.dtype == two.dtype and one.shape == two.shape and torch.equal(*bits)
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two)


def loaded(folder: Path) -> Any:
    return Checkpoint(folder).load_event()


def test_one_network_per_task_is_written_once(tmp_path: Path) -> None:
    checkpoint, networks, written = Checkpoint(tmp_path), [], []
    for number in range(8):
        networks.append(network(number))
        checkpoint.save_event({"networks": networks, "number": number})
        written.append((tmp_path / "event.safetensors").stat().st_size)
    assert max(written) < 1.2 * written[0], "an event holds its own network only"
    assert len(kept_files(tmp_path)) == 6
    assert same(loaded(tmp_path), {"networks": networks, "number": 7})
    again = Checkpoint(tmp_path)
    again.load_event()
    again.save_event({"networks": [*networks, network(8)], "number": 8})
    assert (tmp_path / "event.safetensors").stat().st_size < 1.2 * written[0], "a resumed run does the same"
    assert same(loaded(tmp_path), {"networks": [*networks, network(8)], "number": 8})


def test_a_file_goes_when_no_event_needs_it(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    for number in range(4):
        checkpoint.save_event({"networks": [network(each) for each in range(number + 1)]})
    assert len(kept_files(tmp_path)) == 2
    checkpoint.save_event({"networks": []})
    assert len(kept_files(tmp_path)) == 3, "the event before needs them"
    checkpoint.save_event({"networks": []})
    assert not kept_files(tmp_path)
    assert same(loaded(tmp_path), {"networks": []})


def test_a_file_that_is_mostly_unused_is_given_up(tmp_path: Path) -> None:
    """Otherwise one small tensor per event would keep the files of all events."""
    checkpoint, least = Checkpoint(tmp_path), []
    for number in range(12):
        least.append(network(100 + number))
        checkpoint.save_event({"changes": network(number, 9 * LARGE), "stays": least})
        sizes = [path.stat().st_size for path in tmp_path.iterdir()]
        needed = 4 * LARGE * (9 + number + 1)
        assert sum(sizes) < 2.2 * needed
    assert same(loaded(tmp_path), {"changes": network(11, 9 * LARGE), "stays": least})


def test_small_states_are_one_file_as_before(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    for _ in range(3):
        checkpoint.save_event({"x": network(1, LARGE - 1)})
    assert {path.name for path in tmp_path.iterdir()} == {"event.safetensors", "event-before.safetensors"}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.bool, torch.int64, torch.uint8, torch.float64])
def test_type_shape_and_memory_are_exact(tmp_path: Path, dtype: torch.dtype) -> None:
    plain = (torch.arange(LARGE * 16) % 7).to(dtype).reshape(4, 4 * LARGE)
    value = {"t": plain.T, "flat": plain.flatten(), "twice": [plain, plain], "part": plain[1:3], "zero": plain[:0]}
    checkpoint = Checkpoint(tmp_path)
    for number in range(4):
        checkpoint.save_event({**value, "number": number})
    assert (tmp_path / "event.safetensors").stat().st_size < 5000
    found = loaded(tmp_path)
    assert same(found, {**value, "number": 3})
    found["twice"][0].zero_()
    assert same(found["twice"][1], plain) and same(found["flat"], plain.flatten()), "no memory is shared"


def test_a_tensor_that_was_changed_in_place_is_written_again(tmp_path: Path) -> None:
    checkpoint, weights = Checkpoint(tmp_path), network(0)
    nan = torch.full((LARGE,), float("nan"))
    for step in range(3):
        weights[-1] = -0.0 if step == 1 else step
        checkpoint.save_event({"weights": weights, "nan": nan})
        assert same(loaded(tmp_path), {"weights": weights, "nan": nan})


def test_work_within_a_task_refers_to_the_event(tmp_path: Path) -> None:
    checkpoint, networks = Checkpoint(tmp_path, every=0), [network(0), network(1)]
    checkpoint.save_event({"networks": networks})
    setup, fit, unfinished = Key(-1, 1, "compute", "c"), Key(1, 1, "fit", "a"), Key(1, 2, "fit", "b")
    for key in (setup, fit):
        checkpoint.save_entry(key, {"networks": networks})
    checkpoint.save_partial(unfinished, {"networks": networks})
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["entry-1-1.safetensors"] < 5000 and sizes["partial.safetensors"] < 5000
    assert sizes["entry--1-1.safetensors"] > 2 * kept.LEAST, "a saved learner needs it without the events"
    again = Checkpoint(tmp_path)
    for found in (again.load_entry(fit), again.load_partial(unfinished), again.setup_entries()[0]):
        assert found is not None and same(found["networks"], networks)


def test_a_kill_while_an_event_takes_the_place_of_another_keeps_the_work_of_the_task(tmp_path: Path) -> None:
    checkpoint, fit = Checkpoint(tmp_path, every=0), Key(1, 1, "fit", "a")
    checkpoint.save_event({"networks": [network(0)]})
    checkpoint.save_entry(fit, {"networks": [network(0)]})
    (tmp_path / "event.safetensors").rename(tmp_path / "event-before.safetensors")
    found = Checkpoint(tmp_path).load_entry(fit)
    assert found is not None and same(found["networks"], [network(0)])


def two_events(folder: Path) -> Path:
    """Write three events, of which the last two need the first; the file of the first."""
    checkpoint = Checkpoint(folder, identity=ONE)
    for number in range(3):
        checkpoint.save_event({"networks": [network(each) for each in range(number + 1)], "number": number})
    (path,) = kept_files(folder)
    return path


@pytest.mark.parametrize("how", [flip, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_file_is_damage_of_the_events_that_need_it(
    how: Callable[[Path], Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    how(two_events(tmp_path))
    with pytest.raises(DataError, match=r"kept-.*some of its tensors.*; start over with --existing always|damaged"):
        loaded(tmp_path)
    assert "event.safetensors is damaged; the run continues from the checkpoint before it" in caplog.text


def test_a_damaged_event_falls_back_to_the_one_before_with_its_tensors(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    two_events(tmp_path)
    flip(tmp_path / "event.safetensors")
    checkpoint = Checkpoint(tmp_path)
    found: Any = checkpoint.load_event()
    assert same(found["networks"], [network(0), network(1)]) and "is damaged" in caplog.text
    for number in (2, 3):
        checkpoint.save_event({"networks": [network(each) for each in range(number + 1)]})
    assert same(loaded(tmp_path), {"networks": [network(each) for each in range(4)]})


def test_a_file_that_is_gone_is_not_referred_to(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    networks = [network(0), network(1)]
    checkpoint.save_event({"networks": networks})
    for path in tmp_path.iterdir():
        path.unlink()
    checkpoint.save_event({"networks": networks})
    assert same(loaded(tmp_path), {"networks": networks})


def test_readers_of_the_header_see_every_tensor(tmp_path: Path) -> None:
    path = two_events(tmp_path)
    assert state.peek(tmp_path / "event.safetensors")["networks"] == [None] * 3
    assert changed(tmp_path, ONE) == ""
    path.unlink()
    assert changed(tmp_path, ONE) == "", "damage is told where the event is loaded"


def test_checkpoints_of_earlier_versions_go_on(tmp_path: Path) -> None:
    networks = [network(0), network(1)]
    for name in ("event", "event-before"):  # as written before: whole, without hashes of tensors
        state.save(tmp_path / f"{name}.safetensors", {"about": {"kind": "event", "identity": None}, "n": networks})
    checkpoint = Checkpoint(tmp_path)
    assert same(checkpoint.load_event(), {"n": networks})
    for _ in range(3):
        checkpoint.save_event({"n": networks})
    assert same(loaded(tmp_path), {"n": networks})


class Killed(BaseException):
    """Stands for SIGKILL: nothing handles it."""


def armed(patch: pytest.MonkeyPatch, fatal: int) -> list[str]:
    """Raise `Killed` at the change of the file system with this number; the changes made so far."""
    made: list[str] = []

    def before(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def change_or_die(*args: Any, **more: Any) -> Any:
            if len(made) == fatal:
                raise Killed
            made.append(name)
            return change(*args, **more)

        return change_or_die

    patch.setattr(os, "replace", before("rename", os.replace))
    patch.setattr(os, "fsync", before("sync", os.fsync))
    patch.setattr(Path, "unlink", before("delete", Path.unlink))
    return made


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_every_change_of_the_folder_nothing_is_lost(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random history of events, killed at each rename, sync and deletion of each commit, and continued."""
    monkeypatch.setattr(kept, "LEAST", 64)
    rng = random.Random(seed)
    tensors = [torch.full((rng.choice([8, 32, 64, 256]),), float(number)) for number in range(12)]
    before: Any = None
    kills = 0
    for event in range(10):
        value = {"event": event, "held": rng.sample(tensors, rng.randrange(len(tensors)))}
        fatal, done = 0, False
        while not done:
            checkpoint = Checkpoint(tmp_path)
            assert same(checkpoint.load_event(), before)
            with monkeypatch.context() as patch:
                armed(patch, fatal)
                try:
                    checkpoint.save_event(value)
                    done = True
                except Killed:
                    fatal, kills = fatal + 1, kills + 1
            found = loaded(tmp_path)
            assert same(found, before) or same(found, value), "the event before or this one"
            if same(found, value) and not done:
                done = rng.random() < 0.5  # continue from the event, or commit it once more
                before = value
        before = value
    assert kills > 40
    for name in ("event", "event-before"):
        state.load(tmp_path / f"{name}.safetensors")
