"""Features kept in memory between the runs of a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from cl.training.encodings import Encodings
from cl.training.shared_tables import SharedTables
from tests.conftest import tiny_backbone, tiny_stream


def test_tables_beyond_the_bound_are_evicted_least_recently_used_first(tmp_path: Path) -> None:
    backbone, store = tiny_backbone(), tiny_stream(train_per_class=None).dataset.train
    tables, rows = SharedTables(memory=2 * backbone.dim * 4 * len(store)), np.arange(len(store))

    def is_kept(folder: str) -> bool:
        run = Encodings(tmp_path / folder, shared=tables)
        run.get(backbone, store, rows, torch.device("cpu"))
        for path in (tmp_path / folder).rglob("*.safetensors"):
            path.unlink()  # features that are not in memory are computed again
        return run.cost.flops["executed"] == 0

    assert [is_kept(folder) for folder in "abac"] == [False, False, True, False]
    assert not is_kept("d")  # three tables are over the bound: b is evicted
    assert is_kept("a") and is_kept("c")
    assert not is_kept("b")


def test_a_grid_of_complete_runs_needs_no_torch() -> None:
    code = "import sys, cl.executors.local, cl.training.shared_tables; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
