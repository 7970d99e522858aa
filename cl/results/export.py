"""Runs as one long table, for other tools: CSV without further packages, Parquet with pyarrow.

Every row holds the identity of its run, so that no join is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cl.errors import UsageError
from cl.files import replace_file, write_text
from cl.records.class_table import class_values, has_classes
from cl.records.matrix import class_counts_of, main_split, rows_of
from cl.records.record import Record, accuracy_rows, config_hash, precision_of
from cl.results.leaderboard.entries import Run, options_text
from cl.results.store import Results
from cl.results.tables import csv_cell

if TYPE_CHECKING:
    import pandas as pd

IDENTITY = (
    *("stream", "stream_version", "stream_id", "setting", "strategy", "strategy_version", "options", "preset"),
    *("config_hash", "access", "marks", "limited", "status", "backbone", "backbone_sha256", "precision"),
    *("seed_order", "seed_init", "seed_data", "created", "run_id"),
)
"""The first columns of every table."""

Row = dict[str, Any]


def _identity(record: Record) -> Row:
    result = record["result"]
    stream, strategy, backbone = result["stream"], result["strategy"], result["backbone"]
    values = (
        *(stream["name"], stream["version"], stream["id"], stream["setting"]),
        *(strategy["name"], strategy["version"], options_text(result), strategy["preset"]),
        *(config_hash(record), strategy["access"], " ".join(strategy.get("marks", ())), result["limited"]),
        *(record["status"], backbone["name"], backbone["weights_sha256"], precision_of(result)),
        *(result["seeds"][key] for key in ("order", "init", "data")),
        *(record["measurement"]["created"], record["run_id"]),
    )
    return dict(zip(IDENTITY, values, strict=True))


def _metrics(record: Record, folder: Path) -> Iterator[Row]:
    """Every metric, computed from the counts and the stored predictions; undefined metrics have no row."""
    run = Run(record, folder)
    for rule in record["result"]["accuracy"]:
        for metric, value in run.metrics(rule).items():
            if value is not None:
                yield {"rule": rule, "metric": metric, "value": value}


def _accuracy(record: Record, folder: Path) -> Iterator[Row]:
    """Correct answers per evaluation and group; entries not measured have no row."""
    for row in accuracy_rows(record):
        yield {key: value for key, value in row.items() if key != "run"}


def _classes(record: Record, folder: Path) -> Iterator[Row]:
    """Correct answers per class after each task, on the split that the run was evaluated on."""
    result = record["result"]
    stream, split = result["stream"], main_split(result)
    counts = class_counts_of(result, split)
    for rule, tables in result["accuracy"].items():
        rows = rows_of(result, split) if counts and has_classes(tables) else []
        for row, values in zip(rows, class_values(result, rule, rows) if rows else (), strict=True):
            for place in np.flatnonzero(~np.isnan(values)).tolist():
                if counts:
                    correct, count = int(values[place]), counts[place]
                    yield {
                        "rule": rule,
                        "task": result["rows"][row]["task"],
                        "position": place,
                        "label": stream["class_order"][place],
                        "class_name": stream["class_names"][place],
                        "correct": correct,
                        "count": count,
                        "accuracy": correct / count if count else None,
                    }


def _costs(record: Record, folder: Path) -> Iterator[Row]:
    """Seconds, FLOPs, bytes and parameters; unknown values have no row."""
    for section in ("seconds", "flops", "memory", "parameters", "stored"):
        for name, value in record["measurement"][section].items():
            if value is not None:
                yield {"quantity": f"{section}.{name}", "value": float(value)}


_TABLES: dict[str, tuple[Callable[[Record, Path], Iterator[Row]], tuple[str, ...]]] = {
    "metrics": (_metrics, ("rule", "metric", "value")),
    "accuracy": (
        _accuracy,
        ("rule", "row", "event", "task", "split", "group", "group_name", "correct", "count", "accuracy"),
    ),
    "classes": (_classes, ("rule", "task", "position", "label", "class_name", "correct", "count", "accuracy")),
    "costs": (_costs, ("quantity", "value")),
}
TABLES = tuple(_TABLES)
"""The tables that can be exported."""


def long_table(results: Results, table: str = "metrics") -> pd.DataFrame:
    """One of `TABLES` in long form, `IDENTITY` first; runs of any status. Raises `UsageError` for an unknown table."""
    import pandas as pd

    if table not in _TABLES:
        raise UsageError(f"There is no table '{table}'; choose one of: {', '.join(TABLES)}.")
    rows_of_record, columns = _TABLES[table]
    runs = [(record, file.parent) for record, file in zip(results.records, results.files, strict=True)]
    rows = [{**_identity(record), **row} for record, folder in runs for row in rows_of_record(record, folder)]
    return pd.DataFrame(rows, columns=[*IDENTITY, *columns])


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table atomically, as CSV or Parquet by the file extension.

    Raises `UsageError` for another extension, and for Parquet if pyarrow is not installed.
    """
    if path.suffix == ".csv":
        write_text(path, to_csv(frame))
    elif path.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise UsageError(
                f"{path.name} needs pyarrow: pip install 'clbench[parquet]', or choose a name that ends in .csv."
            ) from error
        replace_file(path, lambda temporary: frame.to_parquet(temporary, engine="pyarrow", index=False))
    else:
        raise UsageError(f"{path.name} is neither .csv nor .parquet; choose a name that ends in one of them.")


def to_csv(frame: pd.DataFrame) -> str:
    """The table as CSV at full precision; unknown values are empty. Text is escaped by `csv_cell`."""
    import pandas as pd

    escaped = {
        name: frame[name].map(csv_cell) for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])
    }
    return str(frame.assign(**escaped).to_csv(index=False, lineterminator="\n"))
