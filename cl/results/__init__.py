"""What people read: data frames, leaderboards, tables, plots, reports. No torch; names load on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "METRICS": "cl.records.metrics",
    "AccuracyMatrix": "cl.records.matrix",
    "Metric": "cl.records.metrics",
    "Predictions": "cl.records.predictions",
    "Results": "cl.results.store",
    "compute_all": "cl.records.metrics",
    "find_records": "cl.results.store",
    "forgetting_table": "cl.results.tables",
    "forgetting_text": "cl.results.tables",
    "load_results": "cl.results.store",
    "metrics_of": "cl.records.metrics",
    "pareto_table": "cl.results.pareto",
    "predictions_sha256": "cl.records.predictions",
    "read_predictions": "cl.records.predictions",
    "result_sha256": "cl.records.record",
    "transfer_table": "cl.results.transfer",
    "write_predictions": "cl.records.predictions",
}

if TYPE_CHECKING:
    from cl.records.matrix import AccuracyMatrix
    from cl.records.metrics import METRICS, Metric, compute_all, metrics_of
    from cl.records.predictions import Predictions, predictions_sha256, read_predictions, write_predictions
    from cl.records.record import result_sha256
    from cl.results.pareto import pareto_table
    from cl.results.store import Results, find_records, load_results
    from cl.results.tables import forgetting_table, forgetting_text
    from cl.results.transfer import transfer_table

__all__ = [
    "METRICS",
    "AccuracyMatrix",
    "Metric",
    "Predictions",
    "Results",
    "compute_all",
    "find_records",
    "forgetting_table",
    "forgetting_text",
    "load_results",
    "metrics_of",
    "pareto_table",
    "predictions_sha256",
    "read_predictions",
    "result_sha256",
    "transfer_table",
    "write_predictions",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cl.results' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
