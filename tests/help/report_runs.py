"""Records that a report has to show well: two boards, seeds, a bound, a limited run, a failed one, hostile words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

HOSTILE = "</script><img src=x onerror=alert(1)>"
"""Words that must arrive as words."""


def report_records(make: Callable[..., dict[str, Any]]) -> list[dict[str, Any]]:
    """Nine records; of seed 0 slca ends at 62, finetune at 41, joint (a bound) at 90 percent."""
    records = []
    for strategy, last, lr in (("finetune", 40, 0.01), ("slca", 61, 0.02)):
        for seed in (0, 1):
            records.append(
                make(
                    [[99, None, None], [99, 80, None], [last + 1 - 2 * seed] * 3],
                    strategy=strategy,
                    seed=seed,
                    rules=("cil_seen", "til_masked"),
                    result__config={"lr": {"value": lr, "origin": f"preset {strategy}#1"}, "epochs": _given(20)},
                )
            )
    once = [[None] * 3, [None] * 3, [90] * 3]
    records.append(make(once, strategy="joint", result__strategy__access="past", measurement__warnings=["took long"]))
    records.append(make(strategy="slca", seed=7, result__limited=True, result__config={"note": _given(HOSTILE)}))
    records.append(make(strategy="ewc", status="failed", error={"type": "NonFiniteLoss", "message": HOSTILE}))
    other: dict[str, Any] = {"result__stream__name": "split-z", "result__stream__id": "stream-1"}
    records += [make(strategy="slca", **other), make(strategy="l2", **other)]
    for index, record in enumerate(records):
        record["run_id"] = f"run {index}"
    return records


def _given(value: Any) -> dict[str, Any]:
    return {"value": value, "origin": "command line"}


def embedded(page: str) -> dict[str, Any]:
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    data: dict[str, Any] = json.loads(text)
    return data
