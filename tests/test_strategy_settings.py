"""Which settings a strategy supports: the methods for online and blurry streams learn them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cl.protocol import BLURRY, ONLINE, SETTINGS
from cl.strategies.avalanche import AvalancheSLDA
from cl.strategies.ewc import EWC
from cl.strategies.finetune import Finetune
from cl.strategies.kvb import KVB
from cl.strategies.linear_probe import LinearProbe
from cl.strategies.replay import Replay
from cl.strategies.simplecil import SimpleCIL
from cl.strategies.slca import SLCA
from tests.conftest import make, run
from tests.help.online import ONE_PASS, stream_in


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (Finetune, {**ONE_PASS, "loss": "global"}),
        (LinearProbe, ONE_PASS),
        (Replay, {**ONE_PASS, "memory_size": 20}),
        (SimpleCIL, {}),
        (AvalancheSLDA, {}),
        (KVB, {"epochs": 1, "codebooks": 6, "pairs": 20, "key_dim": 4, "key_images": 64, "key_epochs": 1}),
    ],
)
def test_methods_that_support_online_and_blurry_streams_learn_them(
    method: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    assert method.supports(ONLINE, method.Options(**options)) and method.supports(BLURRY, method.Options(**options))
    stream = stream_in("online", "i-blurry", chunk=16, evaluate_every=40)
    strategy = make(method, **options)
    result = run(strategy, stream, tmp_path)["result"]
    assert [row["seen"] for row in result["rows"]] == sorted(row["seen"] for row in result["rows"])
    assert result["rows"][-1]["seen"] == 10
    metrics = result["metrics"]["cil_seen"]
    assert 0 <= metrics["A_auc"] <= 1 and metrics["A_last_sample"] is not None
    with torch.no_grad():
        assert strategy.predict_images(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).shape == (2, 10)


def test_other_methods_do_not_support_online_and_blurry_streams() -> None:
    for method in (SLCA, EWC):
        assert not {ONLINE, BLURRY} & set(method.settings)
    assert not Replay.supports(ONLINE, Replay.Options(pred_kd=1.0)) and SimpleCIL.settings == SETTINGS
