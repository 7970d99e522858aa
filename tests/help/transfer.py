"""Records of learners that each task tests right after its training, with FLOPs per task, years and domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cl.protocol import TASK
from tests.help.records import build_record

FACTS: list[dict[str, Any]] = [
    {"year": 1998, "domain": "ocr"}, {"year": 1999, "domain": "face"}, {"year": 2005, "domain": "ocr"},
]  # fmt: skip


def learner(
    strategy: str, right: Sequence[int], flops: Sequence[float], *, seed: int = 0, several: Sequence[int] = (),
    facts: Sequence[dict[str, Any]] | None = tuple(FACTS), **changes: Any,
) -> dict[str, Any]:  # fmt: skip
    """`right` of 100 images of each task, or the mean average precision in percent of the tasks in `several`."""
    tasks = range(len(right))
    own = [[right[i] if i == j and i not in several else None for j in tasks] for i in tasks]
    told = [[right[i] / 100 if i == j and i in several else None for j in tasks] for i in tasks]
    events: list[dict[str, Any]] = []
    total = 0.0
    for task, spent in enumerate(flops):
        for what, more in ((f"train {task}", spent), ("evaluate test", 1.0)):
            total += more
            events.append({"event": len(events), "what": what, "seconds": 1.0, "executed": total, "uncached": total})
    groups = [{"name": f"task {i}", "classes": [2 * i, 2 * i + 1], "task": i} for i in tasks]
    for task in several:
        groups[task]["measure"] = "mAP"
    usual: dict[str, Any] = {
        "rules": ("til_oracle",), "result__stream__setting": TASK, "result__stream__groups": groups,
        "measurement__events": events,
    }  # fmt: skip
    usual |= {"result__mean_precision": {"til_oracle": told}} if several else {}
    usual |= {"measurement__groups": list(facts)} if facts is not None else {}
    return build_record(own, strategy=strategy, seed=seed, **{**usual, **changes})


def rivals() -> list[dict[str, Any]]:
    """Two seeds of `independent` with errors of 10, 30 and 50 %, and of another learner; the last task has mAP."""
    more: dict[str, Any] = {"several": (2,)}
    return [
        *(learner("independent", (90, 70, 50), (10.0, 20.0, 30.0), seed=seed, **more) for seed in (0, 1)),
        learner("other", (95, 70, 40), (5.0, 20.0, 60.0), seed=0, **more),
        learner("other", (93, 74, 44), (5.0, 20.0, 60.0), seed=1, **more),
    ]
