"""Figures of a study: what they show, and the same bytes for the same trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl import scales
from cl.results.plots import style
from cl.results.plots.tuning import data, draw_importances, draw_parallel, save_figures

SCALES = {"lr": scales.log(1e-4, 1e-2), "size": scales.among(8, 16, 32), "steps": scales.among((), (3, 4))}
TRIALS: list[dict[str, Any]] = [
    {"options": {"lr": 1e-3, "size": 16, "steps": ()}, "value": 0.5, "state": "complete"},
    {"options": {"lr": 1e-4, "size": 8, "steps": (3, 4)}, "value": 0.75, "state": "complete"},
    {"options": {"lr": 1e-2, "size": 32, "steps": ()}, "value": 0.1, "state": "pruned"},
]
SHARES = {"size": 0.25, "lr": 0.75}


def test_values_are_placed_on_their_scales() -> None:
    found = data("a title", SCALES, TRIALS, SHARES)
    assert [trial["at"] for trial in found["trials"]] == [
        [pytest.approx(0.5), 0.5, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0],
    ]  # fmt: skip
    assert found["axes"][0]["ends"] == [(0.0, "0.0001"), (1.0, "0.01")]
    assert found["axes"][2]["ends"] == [(0.0, "none"), (1.0, "3,4")]
    assert found["shares"] == [("lr", 0.75), ("size", 0.25)]
    assert found["subtitle"] == "2 complete trials, 1 pruned or diverged (dashed)"


@pytest.mark.parametrize("theme", ["light", "dark", "transparent"])
def test_a_line_per_trial_and_a_bar_per_option(theme: str) -> None:
    found = data("a title", SCALES, TRIALS, SHARES)
    with style.styled(style.THEMES[theme]):
        (axes,) = draw_parallel(found, style.THEMES[theme]).axes
        lines = [line for line in axes.lines if len(line.get_xdata()) == 4]  # type: ignore[arg-type]
        assert [line.get_linestyle() for line in lines] == ["--", "-", "-"]
        assert [np.asarray(line.get_ydata())[-1] for line in lines] == [0.0, 0.0, 1.0]
        assert {"50.0", "75.0"} <= {text.get_text() for text in axes.texts}
        (axes,) = draw_importances(found, style.THEMES[theme]).axes
        assert [patch.get_width() for patch in axes.patches] == [75.0, 25.0]  # type: ignore[attr-defined]


def test_files_are_the_same_bytes_and_unknown_importances_are_left_out(tmp_path: Path) -> None:
    found = data("a title", SCALES, TRIALS, SHARES)
    one, two = (save_figures(found, tmp_path / name, ["svg"], ["light", "dark"]) for name in "ab")
    assert [path.name for path in one] == [
        "tuning-parallel.svg", "tuning-parallel-dark.svg", "tuning-importance.svg", "tuning-importance-dark.svg",
    ]  # fmt: skip
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    alone = save_figures(data("a title", SCALES, TRIALS[2:], {}), tmp_path / "c", ["svg"], ["dark"])
    assert [path.name for path in alone] == ["tuning-parallel.svg"]
