"""The leaderboard of online and blurry streams."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl.random import Seeds
from cl.results.leaderboard.ranking import leaderboard
from cl.running import loop
from cl.settings import SettingOptions, transform
from cl.strategies.simplecil import SimpleCIL
from tests.conftest import header, make, tiny_stream


@pytest.mark.parametrize("name", ["online", "si-blurry"])
def test_runs_with_different_seeds_share_one_row(name: str, tmp_path: Path) -> None:
    records = []
    for seed in (1, 2):
        base = tiny_stream(seed, train_per_class=6, test_per_class=2)
        stream = transform(base, SettingOptions(setting=(name,)), seed)
        seeds = Seeds(seed, seed, seed)
        strategy = make(SimpleCIL, seeds=seeds)
        about = {**header(SimpleCIL, seeds), "limited": False}
        records.append(loop.run(strategy, stream, tmp_path / str(seed), about, trainer=strategy.trainer))
    board = leaderboard(records, metric="A_auc")
    assert board["n_seeds"].tolist() == [2] and board["metric"].tolist() == ["A_auc"]
