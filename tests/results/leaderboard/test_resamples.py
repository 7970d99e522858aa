"""What is kept of drawn images: the same numbers as computed, never stale, and nothing lost where it cannot be kept."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.cli import call
from cl.records.metrics import BUILT_IN
from cl.records.predictions import read_predictions, write_predictions
from cl.records.record import save
from cl.results.leaderboard import resamples
from cl.results.leaderboard.entries import Run
from cl.results.leaderboard.ranking import board_rows
from cl.results.leaderboard.resamples import FILE, Asked, moves_of

MakeRun = Callable[..., Run]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The strategies whose predictions are read, as they are."""
    seen: list[str] = []
    inner = resamples.image_shares

    def image_shares(result: Any, *rest: Any) -> Any:
        seen.append(result["strategy"]["name"])
        return inner(result, *rest)

    monkeypatch.setattr(resamples, "image_shares", image_shares)
    return seen


def right(seed: int, images: int = 300) -> Any:
    last = np.random.default_rng(seed).random(images) < 0.6
    return np.stack([np.ones(images, bool), np.ones(images, bool), last])


def asked(*runs: Run, metric: str = "A_last_sample") -> list[Asked]:
    return [Asked(run, "cil_seen", metric) for run in runs]


def test_every_run_is_drawn_once(make_run: MakeRun, computed: list[str]) -> None:
    a, b, c = (make_run(right(seed), strategy=name) for seed, name in enumerate("abc"))
    first = moves_of(asked(a, b))
    assert computed == ["a", "b"]
    again = moves_of(asked(b, a, c))
    assert computed == ["a", "b", "c"]
    np.testing.assert_array_equal(again[0], first[1])
    np.testing.assert_array_equal(again[1], first[0])
    moves_of(asked(a, metric="A_inc_sample"))  # another metric moves otherwise
    assert computed == ["a", "b", "c", "a"]


def test_a_run_that_comes_later_shares_the_draws_of_those_kept(make_run: MakeRun, home: Path) -> None:
    runs = [make_run(right(0), seed=seed, strategy=name) for name in "ab" for seed in (0, 1)]
    board_rows(runs[:2])
    added = board_rows(runs)
    (home / FILE).unlink()
    together = board_rows(runs)
    assert added == together == board_rows(runs)
    assert added[0]["drawn"] == "seeds x images"


def test_other_predictions_and_other_code_are_drawn_anew(
    make_run: MakeRun, computed: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(right(0), strategy="a")
    assert run.folder is not None
    (before,) = moves_of(asked(run))
    file = run.folder / "predictions.npz"
    found = read_predictions(file)
    answer = found.prediction["cil_seen"].copy()
    one = np.flatnonzero(found.group == 2)
    answer[2, one] = np.where(answer[2, one] == found.label[one], answer[2, one], found.label[one] - 1)
    for label in np.unique(found.label[one]):  # as many right answers as before, to other images
        mine = np.flatnonzero(found.label == label)
        answer[2, mine] = answer[2, mine[::-1]]
    digest = write_predictions(file, type(found)(found.rows, found.label, found.group, {"cil_seen": answer}, {}))
    assert moves_of(asked(run)) == [None], "predictions of another run, although their counts fit"
    computed.pop()
    record = {**run.record, "result": {**run.result, "predictions_sha256": digest}}
    run = Run(save(record, run.folder / "record.json"), run.folder)
    (after,) = moves_of(asked(run))
    assert computed == ["a", "a"] and not np.array_equal(before, after)  # type: ignore[arg-type]
    monkeypatch.setattr(resamples, "_code", lambda: "another")
    moves_of(asked(run))
    assert computed == ["a", "a", "a"]
    with sqlite3.connect(home / FILE) as connection:
        assert connection.execute("select distinct code from moves").fetchall() == [("another",)]
    connection.close()


def test_where_images_differ_all_draws_are_shared_and_none_is_kept(make_run: MakeRun, computed: list[str]) -> None:
    a, b = make_run(right(0), strategy="a"), make_run(right(0, images=240), strategy="b")
    alone = moves_of(asked(a))
    for _ in range(2):
        computed.clear()
        first, second = moves_of(asked(a, b))
        assert computed[-2:] == ["a", "b"]
        assert first is not None and second is not None
        assert len(first) == len(second) and not np.allclose(first, second)
    np.testing.assert_allclose(moves_of(asked(a))[0], alone[0])  # type: ignore[arg-type]


def test_runs_without_predictions_leave_no_trace(make_run: MakeRun, home: Path) -> None:
    run = make_run(right(0))
    assert run.folder is not None
    (run.folder / "predictions.npz").unlink()
    assert moves_of(asked(run, Run(run.record))) == [None, None]
    (run.folder / "predictions.npz").write_bytes(b"damaged")
    assert moves_of(asked(run)) == [None]
    assert not (home / FILE).exists() or not _rows(home / FILE)


def _rows(file: Path) -> list[Any]:
    connection = sqlite3.connect(file)
    try:
        return connection.execute("select key from moves").fetchall()
    finally:
        connection.close()


def test_a_damaged_file_costs_time_and_no_result(
    make_run: MakeRun, home: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    resamples._warn.cache_clear()
    runs = [make_run(right(seed), strategy=name) for seed, name in enumerate("ab")]
    rows = board_rows(runs)
    (home / FILE).write_bytes(b"not a database" * 100)
    with caplog.at_level(logging.WARNING, "clbench"):
        assert board_rows(runs) == rows == board_rows(runs)
    (warning,) = caplog.messages
    assert "clbench cache clean resamples" in warning
    assert call(["cache", "--json"]) == 0
    assert '"resamples"' in capsys.readouterr().out
    assert call(["cache", "clean", "resamples", "--yes"]) == 0
    assert not (home / FILE).exists()
    assert board_rows(runs) == rows and len(_rows(home / FILE)) == 2


def test_a_folder_that_cannot_be_written_is_named_once(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    resamples._warn.cache_clear()
    (tmp_path / "file").touch()
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "file" / "home"))
    with caplog.at_level(logging.WARNING, "clbench"):
        assert moves_of(asked(make_run(right(0))))[0] is not None
    (warning,) = caplog.messages
    assert "set CLBENCH_HOME to a folder that can be written" in warning


def test_what_is_kept_depends_on_the_code_of_every_metric() -> None:
    """A metric that is computed in another way must not find what the earlier way gave."""
    modules = {metric.compute.__module__ for metric in BUILT_IN.values()} | {"cl.records.metric", "cl.records.metrics"}
    assert modules <= set(resamples._CODE)
