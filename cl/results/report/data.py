"""The data that the report embeds: leaderboard rows for the page, and every run in a compact form for its scripts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import orjson

from cl.protocol import default_rule
from cl.records.answers import answers_of, confusion
from cl.records.formulas import accuracy_shown, forgetting_per_group
from cl.records.matrix import AccuracyMatrix, Matrices
from cl.records.metrics import METRICS, metrics_of_rule, shown
from cl.records.predictions import Predictions
from cl.records.probe import probe_of
from cl.records.record import config_hash, precision_of
from cl.records.stored import stored_by_task
from cl.results.collecting import without_collecting
from cl.results.facts import group_name
from cl.results.leaderboard.cache_file import CacheFile
from cl.results.leaderboard.entries import Run, distinct, options_text
from cl.results.leaderboard.image_shares import answers_by_rule
from cl.results.leaderboard.kept_boards import files_sha256, key_of
from cl.results.leaderboard.layout import measured_with
from cl.results.leaderboard.ranking import COLUMNS, board_rows
from cl.results.leaderboard.stored_record import release
from cl.results.plots.rows import stream_label

_SEEDS = ("order", "init", "data")
_SHARED = {"streams": "stream", "backbones": "backbone", "configs": "config", "environments": "environment"}
"""What many runs share, each value stored once, and the key of a run that holds its index."""

_MAP, _WRONG = 25, 10
"""Classes up to which a run's whole table of answers is shown, and mistakes that are shown of more classes."""

_MOST_CLASSES = 1000
"""Classes up to which precision, recall and F1 of each are shown."""

_MANY, _CHUNK = 1000, 50
"""Runs from which processes of their own save more time than their start takes, and runs that one gets at a time."""

RUNS = CacheFile("reports.sqlite", "runs of reports are computed", most=50_000)
Row = dict[str, Any]
Counts = list[list[float | int | None]]


class _Pool:
    """Values that many runs share, each stored once and referenced by its index."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[bytes | str, int] = {}

    def place(self, value: Any) -> int:
        key = _key(value)
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]


def _key(value: Any) -> bytes | str:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a number of more than 64 bits, or half a surrogate pair
        return json.dumps(value, sort_keys=True)


def payload(runs: Iterable[Run], *, metric: str, rule: str | None, jobs: int = 1) -> tuple[list[Row], dict[str, Any]]:
    """Boards for the template, and the JSON that the page's scripts read; predictions are left out.

    `jobs`: processes for many runs that are not in the cache. Raises what `board_rows` raises.
    """
    once = distinct(runs)[0]
    rows = board_rows(once, metric=metric, rule=rule)
    pools = {name: _Pool() for name in _SHARED}
    with without_collecting():
        described = [
            {name: pools[name].place(value) if name in pools else value for name, value in each.items()}
            for each in _described(once, jobs)
        ]
    boards = _boards(rows, described, pools["streams"].values)
    data = {
        "metrics": [[each.id, each.title, each.higher_is_better, each.unit] for each in METRICS.values()],
        "boards": [
            {"title": board["title"], "rule": board["rule"], "rows": [row["runs"] for row in board["rows"]]}
            for board in boards
        ],
        "runs": [{_SHARED.get(name, name): value for name, value in each.items()} for each in described],
        **{name: pool.values for name, pool in pools.items()},
    }
    return boards, data


def _described(runs: Sequence[Run], jobs: int) -> Iterator[Row]:
    """Every run in a compact form, from the cache if its record and its predictions are as they were."""
    code = files_sha256("cl.records", "cl.results.leaderboard", "cl.results.report")
    plugins = METRICS.code_of_all()  # a run is described with all metrics
    keys = [key_of([run], plugins, "") for run in runs]
    known = RUNS.read([key for key in keys if key is not None], code)
    computed = _computed([run for key, run in zip(keys, runs, strict=True) if key not in known], jobs)
    fresh: dict[str, bytes] = {}
    for key in keys:
        if key is not None and key in known:
            yield orjson.loads(known[key])
            continue
        described, damaged = next(computed)
        if key is not None and not damaged and isinstance(described, bytes):
            fresh[key] = described
        yield orjson.loads(described) if isinstance(described, bytes) else described
    RUNS.write(fresh, code)


def _computed(runs: Sequence[Run], jobs: int) -> Iterator[tuple[bytes | Row, bool]]:
    """`_run` of every run, and whether its predictions are damaged; many runs are shared among `jobs` processes.

    A run on disk is JSON, as the cache holds it: processes exchange it in half the time of an object.
    """
    if jobs == 1 or len(runs) < _MANY:
        yield from map(_run_and_damage, runs)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_run_and_damage, runs, chunksize=_CHUNK)


def _run_and_damage(run: Run) -> tuple[bytes | Row, bool]:
    with without_collecting():
        described, damaged = _run(run), run.has_damaged_predictions
        release([run])
    try:
        return described if run.summary.content is None else orjson.dumps(described), damaged
    except TypeError:  # see `_key`
        return described, damaged


def _boards(rows: Sequence[Row], runs: Sequence[Row], streams: Sequence[Row]) -> list[Row]:
    """Rows of the leaderboard by board, the largest first, each with the indices of its runs in `runs`.

    Boards keep the numbers that they have in `clbench leaderboard`.
    """
    by_hash: dict[str, list[int]] = {}
    for index, run in enumerate(runs):
        by_hash.setdefault(run["hash"], []).append(index)
    boards: dict[int, Row] = {}
    for given in rows:
        row: Row = {name: given.get(name) for name in COLUMNS} | {"runs": _runs_of(given, runs, streams, by_hash)}
        board = boards.setdefault(
            row["board"],
            {
                "number": row["board"],
                "title": f"{streams[runs[row['runs'][0]]['streams']]['label']}, {row['backbone']}",
                "stream": row["stream"],
                "backbone": row["backbone"],
                "rule": row["rule"],
                "metric": row["metric"],
                "unit": METRICS[row["metric"]].unit,
                "setting": row["setting"],
                "secondary": [name for name in shown(row["setting"]) if name != row["metric"]],
                "notes": {},
                "rows": [],
            },
        )
        row["links"] = [(index, _seeds_text(runs[index]["seeds"])) for index in row["runs"]]
        notes = [note for note in (row["note"] or "").split("; ") if note]
        notes += [f"reported: {row['reported_unlike']}"] if row["reported_unlike"] else []
        row["notes"] = [(board["notes"].setdefault(note, len(board["notes"]) + 1), note) for note in notes]
        board["rows"].append(row)
    for board in boards.values():
        board["reported"] = any(row["reported"] is not None for row in board["rows"])
        board["measured_with"] = measured_with(board["rows"])
        _scaled(board["rows"])
    return sorted(boards.values(), key=lambda board: (-len(board["rows"]), board["number"]))


def _seeds_text(seeds: Sequence[int]) -> str:
    """As `Run.seeds`."""
    return str(seeds[0]) if len(set(seeds)) == 1 else "/".join(map(str, seeds))


def _runs_of(row: Row, runs: Sequence[Row], streams: Sequence[Row], by_hash: Mapping[str, Sequence[int]]) -> list[int]:
    """The runs that a row averages: of its configurations and streams, the newest for every choice of seeds."""
    ids = set(row["stream_id"].split(" "))
    found = [index for digest in row["config_hash"].split(" ") for index in by_hash[digest]]
    fitting = [
        index
        for index in found
        if runs[index]["status"] == "complete"
        and streams[runs[index]["streams"]]["id"] in ids
        and runs[index]["version"] == row["strategy_version"]
    ]
    newest = {
        (streams[runs[i]["streams"]]["id"], *runs[i]["seeds"]): i
        for i in sorted(fitting, key=lambda i: str(runs[i]["created"]))
    }
    return sorted(newest.values(), key=lambda i: list(runs[i]["seeds"]))


def _scaled(rows: Sequence[Row]) -> None:
    """Position of a row's mean and interval on the board's scale, in percent of its width, for the bar."""
    values = [row[name] for row in rows for name in ("mean", "ci_low", "ci_high") if row[name] is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
    width = (high - low) or 1.0

    def place(value: float) -> float:
        return round(100 * (value - low) / width, 2)

    for row in rows:
        ends = (row["ci_low"], row["ci_high"])
        row["bar"] = None
        if row["mean"] is not None:
            left, right = (row["mean"] if end is None else end for end in ends)
            row["bar"] = (place(left), round(place(right) - place(left), 2), place(row["mean"]))


def _run(run: Run) -> Row:
    """One run; what it shares with other runs is under the names of `_SHARED`."""
    result, measured = run.result, run.record["measurement"]
    strategy, backbone, stream = result["strategy"], result["backbone"], result["stream"]
    matrices = Matrices(result)
    answers = answers_by_rule(matrices, run.folder, result["accuracy"])
    names = ("id", "name", "version", "setting", "options", "n_tasks", "n_classes", "verified")
    about = {name: stream[name] for name in names} | {"label": stream_label(result)}
    about["groups"] = [[group_name(group), len(group["classes"])] for group in stream["groups"]]
    about["count"] = result["count"]
    return {
        "label": f"{strategy['name']} {options_text(result)}".rstrip(),
        **{name: strategy[name] for name in ("version", "preset", "access", "distribution")},
        "marks": list(strategy.get("marks", ())),
        "hash": config_hash(run.record),
        "seeds": [result["seeds"][name] for name in _SEEDS],
        "status": run.record["status"],
        "error": run.record["error"],
        "limited": result["limited"],
        "precision": precision_of(result),
        "created": str(measured["created"]),
        "id": run.record["run_id"],
        "sha": run.record["result_sha256"],
        "streams": about,
        "backbones": backbone,
        "configs": {key: [entry["value"], entry["origin"]] for key, entry in result["config"].items()},
        "environments": measured["environment"],
        "steps": [task + 1 for task in matrices.steps],
        "rule": default_rule(result["accuracy"]),
        "rules": {rule: _rule(matrices, rule, answers.get(rule)) for rule in result["accuracy"]},
        **{name: _rounded(measured[name]) for name in ("seconds", "flops", "memory", "parameters", "stored")},
        **_by_task(run, matrices.steps),
        **_by_class(matrices, answers),
        "warnings": measured["warnings"],
        "resumed": len(measured["resumed_from"]),
    }


def _by_task(run: Run, steps: Sequence[int]) -> Row:
    """Bytes kept after every step, and the accuracies of the probe, if the record has them."""
    kept, probe = stored_by_task(run.record), probe_of(run.result)
    found: Row = {}
    if kept:
        found["kept"] = [sum(kept[task].values()) if task in kept else None for task in steps]
    if probe is not None:
        found["probe"] = [run.result["probe"]["dataset"], _fractions([probe.before, *probe.after])]
    return found


def _by_class(matrices: Matrices, answers: Mapping[str, Predictions]) -> Row:
    """Of every class, under the run's own rule: name, test images, right ones, answers; and answers by class.

    `mistakes` are class, answer (-1: none) and images, of all pairs or of the most frequent ones. Empty without
    predictions.
    """
    rule, stream = default_rule(matrices.result["accuracy"]), matrices.result["stream"]
    classes = stream["n_classes"]
    if rule not in answers or classes > _MOST_CLASSES:
        return {}
    table = confusion(matrices.of(rule), answers_of(matrices.result, answers[rule], rule), classes)
    if not table.any():
        return {}
    counts = np.stack([table.sum(1), table.diagonal(), table[:, :classes].sum(0)], axis=1)
    wrong = [(int(table[row, column]), row, column) for row, column in np.argwhere(table).tolist() if row != column]
    shown = wrong if classes <= _MAP else sorted(wrong, key=lambda each: (-each[0], each[1:]))[:_WRONG]
    return {
        "classes": [[name, *map(int, row)] for name, row in zip(stream["class_names"], counts, strict=True)],
        "mistakes": [[row, column if column < classes else -1, images] for images, row, column in shown],
    }


def _rule(matrices: Matrices, rule: str, predictions: Predictions | None) -> Row:
    """One rule's table: counts of correct answers (rows end at their last number), curve, forgetting, metrics.

    The count of a group whose images may have several classes is its mean average precision times its images.
    """
    matrix = matrices.of(rule)
    counts: Counts = [[None if math.isnan(n) else int(n) for n in row] for row in matrix.correct.tolist()]
    if matrix.mean_precision is not None:
        counts = _with_precision(matrix, counts)
    metrics = metrics_of_rule(matrices.result, rule, predictions=predictions, matrices=matrices)
    return {
        "correct": list(map(_trimmed, counts)),
        "curve": _fractions(accuracy_shown(matrix).tolist()),
        "forgetting": _fractions(forgetting_per_group(matrix).tolist()),
        "metrics": _fractions([metrics.get(name) for name in METRICS]),
    }


def _with_precision(matrix: AccuracyMatrix, counts: Counts) -> Counts:
    """The counts, with those of groups without answers to count."""
    others = (matrix.accuracy * matrix.count).tolist()
    return [
        [None if math.isnan(other) else round(other, 5) if count is None else count for count, other in row]
        for row in (zip(*pair, strict=True) for pair in zip(counts, others, strict=True))
    ]


def _trimmed(values: list[float | int | None]) -> list[float | int | None]:
    while values and values[-1] is None:
        values.pop()
    return values


def _fractions(values: Iterable[float | None]) -> list[float | None]:
    return [None if value is None or math.isnan(value) else round(float(value), 5) for value in values]


def _rounded(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Measured numbers to six digits, more than are reproducible."""
    return {key: float(f"{v:.6g}") if isinstance(v, float) else v for key, v in values.items()}
