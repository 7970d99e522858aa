"""Find records in folders and read them into data frames."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from cl.errors import DataError, UsageError, counted, did_you_mean, sentence
from cl.protocol import default_rule
from cl.records.record import ACCURACY_COLUMNS, RECORD, Record, accuracy_rows, config_hash, load
from cl.results.collecting import without_collecting
from cl.values import shortened

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


OnBad = Literal["warn", "error", "skip"]
"""What `load_results` does about a record that cannot be read."""

NAMED = 10
"""Records left out that are named one by one; the rest are counted."""


class LeftOut(NamedTuple):
    """A record or a folder that could not be read, and one sentence that says why."""

    path: Path
    reason: str


def find_records(paths: Paths) -> list[Path]:
    """Every record.json in the given folders (or files), recursively, sorted, each once.

    Usually results/<stream>/<strategy>/<backbone>/<hash8>/seed<k>/record.json, but any layout does. Raises `UsageError`
    for a path that does not exist, `DataError` for a folder that cannot be read.
    """
    found, unreadable = search(paths)
    if unreadable:
        raise DataError(unreadable[0].reason)
    return found


def has_records(path: str | Path) -> bool:
    """Whether there is a record at or below an existing path, readable or not."""
    found, unreadable = search(path)
    return bool(found or unreadable)


def search(paths: Paths) -> tuple[list[Path], list[LeftOut]]:
    """The records below `paths`, sorted, each once, and the folders that cannot be read.

    Raises `UsageError` for a path that does not exist.
    """
    found: dict[str, str] = {}  # by the file itself, the path under which it was found
    closed: list[LeftOut] = []
    given = [paths] if isinstance(paths, str) or not isinstance(paths, Iterable) else list(paths)
    for each in given:
        if not isinstance(each, str | Path):
            raise UsageError(f"Results are read from paths, not from {shortened(each)}; give folders or records.")
        path = Path(each)
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(
                f"There are no results at {path}; check the path, or name the folder with --results."
            ) from None
        except (OSError, ValueError) as error:  # a name that is too long or holds a NUL, or a folder not to be entered
            why = getattr(error, "strerror", None) or error
            raise UsageError(f"Cannot read results at {path}: {why}; check the path and its permissions.") from error
        if path.is_dir():
            below = list(_below(str(path), os.path.realpath(path), closed))
        else:
            below = [(str(path), os.path.realpath(path))]
        for place, file in below:
            found[file] = min(place, found.get(file, place), key=_parts)
    return [Path(place) for place in sorted(found.values(), key=_parts)], closed


def _parts(path: str) -> list[str]:
    return path.split(os.sep)


def _below(folder: str, real: str, closed: list[LeftOut]) -> Iterator[tuple[str, str]]:
    """The paths of records below a folder, and the paths without links; links to folders are not followed.

    Only a link is resolved, which takes most of the time if done for every record.
    """
    waiting = [(folder, real)]
    while waiting:
        here, there = waiting.pop()
        try:
            with os.scandir(here) as entries:
                inside = list(entries)
        except OSError as error:
            closed.append(LeftOut(Path(here), f"Cannot read {here}: {error.strerror}; check its permissions."))
            continue
        for entry in inside:
            if entry.is_dir(follow_symlinks=False):
                waiting.append((os.path.join(here, entry.name), os.path.join(there, entry.name)))
            elif entry.name == RECORD and not _leads_to_folder(entry):
                place = os.path.join(here, RECORD)
                yield place, os.path.realpath(place) if entry.is_symlink() else os.path.join(there, RECORD)


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:
        return False


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
    """Records as data frames, row i of `runs` is `records[i]`, read from `files[i]`; a notebook shows a summary.

    `left_out` names the records that could not be read.
    """

    records: tuple[Record, ...]
    files: tuple[Path, ...]
    left_out: tuple[LeftOut, ...] = ()

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
        records, files = tuple(self.records[run] for run in kept), tuple(self.files[run] for run in kept)
        return Results(records, files, self.left_out)

    def leaderboard(self, *, metric: str = "A_last_sample", rule: str | None = None) -> pd.DataFrame:
        """The leaderboard of these runs; see `cl.results.leaderboard.ranking.leaderboard`."""
        from cl.results.leaderboard.ranking import leaderboard

        return leaderboard(self.records, metric=metric, rule=rule, folders=[file.parent for file in self.files])

    def __repr__(self) -> str:
        return f"Results({counted(len(self), 'run')}{f', {len(self.left_out)} left out' if self.left_out else ''})"

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


def load_results(paths: Paths, *, on_bad: OnBad = "warn") -> Results:
    """Read every record under the given folders or files.

    `.runs` has one row per run, `.accuracy` one per (run, rule, evaluation, group); both are empty, with their columns,
    if nothing is found. A record that is damaged, edited, unreadable or of a newer clbench is left out and listed in
    `.left_out`. `on_bad`: "warn" also warns of each, "skip" does not, and "error" raises the error of the first.
    Raises `UsageError` for a path that does not exist.
    """
    if on_bad not in get_args(OnBad):
        raise UsageError(f"on_bad must be one of {', '.join(get_args(OnBad))}, not {on_bad!r}.")
    files, bad = search(paths)
    if bad and on_bad == "error":
        raise DataError(bad[0].reason)
    kept: list[Path] = []
    records: list[Record] = []
    with without_collecting():
        for path in files:
            try:
                records.append(load(path, trust_hash=True))
                kept.append(path)
            except (DataError, UsageError) as error:
                if on_bad == "error":
                    raise
                bad.append(LeftOut(path, sentence(error)))
    if on_bad == "warn":
        for text in told(bad):
            warnings.warn(text, stacklevel=2)
    return Results(tuple(records), tuple(kept), tuple(bad))


def told(left_out: Iterable[LeftOut]) -> list[str]:
    """The sentences about records that were left out: the first `NAMED`, then the number of the rest."""
    reasons = [each.reason for each in left_out]
    more = len(reasons) - NAMED
    return reasons[:NAMED] + ([f"{more} more records could not be read either."] if more > 0 else [])
