"""The files of a run in progress."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl.errors import ContractError
from cl.training.checkpoint import Checkpoint, Key
from tests.help.probe import probe


def test_changed_code_is_told_apart(tmp_path: Path) -> None:
    probe(tmp_path).train("a")
    with pytest.raises(ContractError, match=r"holds fit 'a' \(call 1 of task 0\) where learn\(\) now asks for fit 'b'"):
        probe(tmp_path).train("b")


def test_checkpoints_are_limited_to_a_share_of_the_time(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, every=0.001)
    checkpoint._duration = 1000.0  # a very slow disk
    assert not checkpoint.due()
    checkpoint.every = 0
    assert checkpoint.due()
    assert str(Key(1, 2, "fit", "x")) == "fit 'x' (call 2 of task 1)"
