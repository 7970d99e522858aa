"""The config hash: equal for two runs of the same configuration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def config_hash(
    strategy: tuple[str, str], stream: tuple[str, str], backbone: str, values: Mapping[str, Any],
    *, precision: str, limited: bool, max_tasks: int | None,
) -> str:  # fmt: skip
    """Eight hex digits over everything that changes a result, except seeds; part of the path of a run's folder.

    `strategy` and `stream` are names with versions, `values` the JSON values of all options.
    """
    identity = {
        "strategy": strategy, "stream": stream, "backbone": backbone, "options": values,
        "precision": precision, "limited": limited, "max_tasks": max_tasks,
    }  # fmt: skip
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]
