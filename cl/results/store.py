"""Find records in folders and read them into data frames."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cl.errors import UsageError, did_you_mean
from cl.protocol import default_rule
from cl.records.record import ACCURACY_COLUMNS, RECORD, Record, accuracy_rows, config_hash, load

if TYPE_CHECKING:
    import pandas as pd

Paths = str | Path | Iterable[str | Path]

RUN_COLUMNS = (
    *("stream", "stream_version", "stream_id", "setting", "n_tasks", "n_classes"),
    *("strategy", "strategy_version", "strategy_source_sha256", "access", "preset", "config_hash"),
    *("backbone", "backbone_sha256", "seed_order", "seed_init", "seed_data", "status", "limited"),
    *("seconds_train", "seconds_eval", "seconds_data", "seconds_checkpoint", "seconds_total"),
    *("flops_executed", "flops_uncached", "memory_peak_rss", "memory_peak_device"),
    *("parameters_total", "parameters_trainable", "stored_samples", "stored_statistics", "stored_parameters"),
    *("created", "run_id", "folder"),
)
"""Columns of `Results.runs` that every run has; metrics follow as "<rule>/<metric id>"."""


def find_records(paths: Paths) -> list[Path]:
    """Every record.json in the given folders (or files), recursively, sorted, each once.

    Usually results/<stream>/<strategy>/<backbone>/<hash8>/seed<k>/record.json, but any layout does. Raises `UsageError`
    for a path that does not exist.
    """
    found: set[Path] = set()
    for path in map(Path, [paths] if isinstance(paths, str | Path) else paths):
        if path.is_file():
            found.add(path)
        elif path.is_dir():
            found.update(Path(folder) / RECORD for folder, _, files in os.walk(path) if RECORD in files)
        else:
            raise UsageError(f"There are no results at {path}; check the path, or name the folder with --results.")
    return sorted({path.resolve(): path for path in sorted(found, reverse=True)}.values())


METRIC_COLUMNS = (
    "run",
    "stream",
    "strategy",
    "backbone",
    "preset",
    "seed_order",
    "seed_init",
    "seed_data",
    "rule",
    "metric",
    "value",
)
"""Columns of `Results.metrics`; `run` is the index of `Results.runs`."""


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """Records as data frames, row i of `runs` is `records[i]`, read from `files[i]`; a notebook shows a summary."""

    records: tuple[Record, ...]
    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.records)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run: `RUN_COLUMNS`, then "<rule>/<metric id>"."""
        import pandas as pd

        rows = [run_row(record, path.parent) for path, record in zip(self.files, self.records, strict=True)]
        extra = sorted({key for row in rows for key in row} - set(RUN_COLUMNS))
        runs = pd.DataFrame(rows, columns=[*RUN_COLUMNS, *extra])
        runs.index.name = "run"
        return runs

    @cached_property
    def accuracy(self) -> pd.DataFrame:
        """One row per (run, rule, evaluation, group): `ACCURACY_COLUMNS`."""
        import pandas as pd

        rows = [row for index, record in enumerate(self.records) for row in accuracy_rows(record, index)]
        return pd.DataFrame(rows, columns=list(ACCURACY_COLUMNS))

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Metrics in long form, `METRIC_COLUMNS`: one row per (run, rule, metric), fractions, none undefined."""
        import pandas as pd

        names = METRIC_COLUMNS[1:-3]
        rows = [
            (run, *(row[name] for name in names), rule, metric, value)
            for run, (row, record) in enumerate(zip(self.runs.to_dict("records"), self.records, strict=True))
            for rule, values in record["result"]["metrics"].items()
            for metric, value in values.items()
            if value is not None
        ]
        return pd.DataFrame(rows, columns=list(METRIC_COLUMNS))

    def filter(self, **wanted: Any) -> Results:
        """The runs whose columns have one of the given values, renumbered.

            results.filter(stream="split-digits", strategy=["slca", "finetune"], status="complete")

        Raises `UsageError` for a column that `runs` does not have.
        """
        kept = list(range(len(self)))
        for column, values in wanted.items():
            if column not in self.runs.columns:
                known = list(map(str, self.runs.columns))
                raise UsageError(f"runs have no column '{column}'.{did_you_mean(column, known)}")
            allowed = values if isinstance(values, list | tuple | set) else [values]
            kept = [run for run in kept if self.runs[column].iloc[run] in allowed]
        return Results(tuple(self.records[run] for run in kept), tuple(self.files[run] for run in kept))

    def leaderboard(self, *, metric: str = "A_last_sample", rule: str | None = None) -> pd.DataFrame:
        """The leaderboard of these runs; see `cl.results.leaderboard.ranking.leaderboard`."""
        from cl.results.leaderboard.ranking import leaderboard

        return leaderboard(self.records, metric=metric, rule=rule, folders=[file.parent for file in self.files])

    def __repr__(self) -> str:
        return f"Results({len(self)} runs)"

    def _repr_html_(self) -> str:
        columns = ["stream", "strategy", "backbone", "seed_order", "status", "seconds_total"]
        shown = self.runs[columns].copy()
        rules = [default_rule(record["result"]["accuracy"]) for record in self.records]
        for name in ("A_last_sample", "A_inc_sample", "F_chaudhry"):
            values = [
                record["result"]["metrics"].get(rule, {}).get(name)
                for rule, record in zip(rules, self.records, strict=True)
            ]
            shown[name] = np.array(values, dtype=float)
        return str(shown.to_html(float_format="{:.4f}".format, na_rep="", notebook=True))


def run_row(record: Mapping[str, Any], folder: Path | str | None = None) -> dict[str, Any]:
    """One run as a flat row: `RUN_COLUMNS`, then "<rule>/<metric id>" as fractions; None if unknown."""
    result, measurement = record["result"], record["measurement"]
    stream, strategy, backbone = result["stream"], result["strategy"], result["backbone"]
    row: dict[str, Any] = {
        "stream": stream["name"],
        "stream_version": stream["version"],
        "stream_id": stream["id"],
        **{key: stream[key] for key in ("setting", "n_tasks", "n_classes")},
        "strategy": strategy["name"],
        "strategy_version": strategy["version"],
        "strategy_source_sha256": strategy["source_sha256"],
        **{key: strategy[key] for key in ("access", "preset")},
        "config_hash": config_hash(record),
        "backbone": backbone["name"],
        "backbone_sha256": backbone["weights_sha256"],
        **{f"seed_{key}": result["seeds"][key] for key in ("order", "init", "data")},
        "status": record["status"],
        "limited": result["limited"],
    }
    for section in ("seconds", "flops", "memory", "parameters", "stored"):
        row.update({f"{section}_{key}": value for key, value in measurement[section].items()})
    row.update(created=measurement["created"], run_id=record["run_id"], folder=None if folder is None else str(folder))
    for rule, values in result["metrics"].items():
        row.update({f"{rule}/{metric}": value for metric, value in values.items()})
    return row


def load_results(paths: Paths) -> Results:
    """Read every record under the given folders or files.

    `.runs` has one row per run, `.accuracy` one per (run, rule, evaluation, group); both are empty, with their columns,
    if nothing is found. Raises `UsageError` for a path that does not exist and `DataError` for a damaged record.
    """
    files = find_records(paths)
    return Results(tuple(load(path, trust_hash=True) for path in files), tuple(files))
