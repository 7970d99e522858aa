"""Heat maps of precision, recall and F1 by class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cl.results.leaderboard.entries import Run
from cl.results.plots import plots_of

MakeRun = Callable[..., Run]


def test_rows_are_classes_with_the_worst_first(make_run: MakeRun, tmp_path: Path) -> None:
    right = np.ones((3, 12), dtype=bool)
    right[2, 0] = False  # an image of one class is answered as the class at the next position
    run = make_run(right)
    [plot] = plots_of([run.record], ["classes"], folders=[run.folder])
    order = np.random.default_rng(0).permutation(6)
    first = int(np.flatnonzero(order == 0)[0])
    names = [f"class {0}", f"class {order[(first + 1) % 6]}"]
    assert plot.data["classes"][:2] == names and plot.data["images"] == [2] * 6
    assert plot.data["table"][0] == pytest.approx([100, 50, 200 / 3], abs=0.01)
    assert plot.data["table"][1] == pytest.approx([200 / 3, 100, 80], abs=0.01)
    assert plot.data["table"][2:] == [[100, 100, 100]] * 4
    assert b"precision" in plot.save(tmp_path / "classes.svg").read_bytes()
    assert plots_of([run.record], ["classes"]) == []
