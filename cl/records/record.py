"""record.json: schema, hash, safe reading and writing."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import stat
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from cl.errors import ContractError, DataError, UsageError
from cl.files import write_text
from cl.records import identity
from cl.records.class_table import DENSE, RUNS, fault_of_runs
from cl.records.matrix import AccuracyMatrix, class_counts_of, counts_of, matrix_of
from cl.records.metrics import recorded_metrics
from cl.records.structure import canonical, conforms, schema

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

Record = dict[str, Any]
"""A record: plain JSON values, see record.schema.json."""

RECORD = "record.json"
"""Name of the file in the folder of a run."""

ACCURACY_COLUMNS = (
    "run",
    "rule",
    "row",
    "event",
    "task",
    "split",
    "group",
    "group_name",
    "correct",
    "count",
    "accuracy",
)
"""Columns of `Results.accuracy`; `run` is the index of `Results.runs`."""

SCHEMA_VERSION = "1.9"
"""Version written by this package; a newer minor version only adds keys."""


@cache
def _validator() -> Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema())


def result_sha256(result: Mapping[str, Any]) -> str:
    """SHA-256 of canonical JSON: sorted keys, no spaces, ASCII. Raises `ValueError` for NaN or infinity."""
    return hashlib.sha256(canonical(result)).hexdigest()


def rest_sha256(record: Mapping[str, Any]) -> str:
    """The same hash of everything but the result: names, status and measurement, which damage may also change."""
    rest = {key: value for key, value in record.items() if key not in ("result", "result_sha256", "rest_sha256")}
    return hashlib.sha256(canonical(rest)).hexdigest()


def precision_of(result: Mapping[str, Any]) -> str | None:
    """The precision of a run, as "bf16", or "bf16, compiled" for a run with `--compile`."""
    dtype = result["precision"].get("dtype")
    return f"{dtype}, compiled" if result["precision"].get("compile") else dtype


def config_hash(record: Mapping[str, Any]) -> str:
    """The config hash of a record: eight hex digits over everything that changes the result, except seeds."""
    if "config_hash" in record:
        return str(record["config_hash"])
    # An old record without the hash: exact unless the run used --max-tasks or a folder of images.
    result = record["result"]
    strategy, stream = ((part["name"], part["version"]) for part in (result["strategy"], result["stream"]))
    values = {key: entry["value"] for key, entry in result["config"].items()}
    precision, limited = result["precision"].get("dtype", ""), result["limited"]
    return identity.config_hash(
        strategy, stream, result["backbone"]["name"], values, precision=precision, limited=limited, max_tasks=None
    )


def _dotted(path: Iterable[str | int]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".") or "its top level"


def _require(condition: bool, where: str, what: str) -> None:
    if not condition:
        raise ContractError(f"The record is invalid at {where}: {what}.")


def _as_many(table: list[Any], counts: list[Any], where: str) -> list[Any]:
    """A table, which must have as many rows as the record."""
    _require(len(table) == len(counts), where, f"it has {len(table)} rows and result.rows has {len(counts)}")
    return table


def _check_counts(table: list[list[int | None]], counts: list[list[int]], where: str) -> None:
    """Check that counts of correct answers fit the rows of the record and the numbers of images."""
    for index, (row, count) in enumerate(zip(_as_many(table, counts, where), counts, strict=True)):
        _require(len(row) == len(count), f"{where}[{index}]", f"it has {len(row)} entries instead of {len(count)}")
        for column, (value, most) in enumerate(zip(row, count, strict=True)):
            fits = value is None or value <= most
            _require(fits, f"{where}[{index}][{column}]", f"{value} right answers among {most} images")


def validate(record: Mapping[str, Any]) -> None:
    """Check a record: the schema, agreement of its tables, and the hash of its result.

    Raises `ContractError` with one sentence that names the place in the record.
    """
    error = next(iter(_validator().iter_errors(record)), None)
    if error is not None:
        raise ContractError(f"The record is invalid at {_dotted(error.absolute_path)}: {error.message[:200]}.")
    result = record["result"]
    stream = result["stream"]
    for key in ("class_order", "class_names"):
        _require(len(stream[key]) == stream["n_classes"], f"result.stream.{key}", "it needs one entry per class")
    for index, group in enumerate(stream["groups"]):
        known = max(group["classes"], default=-1) < stream["n_classes"]
        _require(known, f"result.stream.groups[{index}].classes", "it has a position that is not a class")
    groups = len(stream["groups"])
    _require(len(result["count"]) == groups, "result.count", f"it needs {groups} entries, one per group of the stream")
    for split, count in result.get("split_count", {}).items():
        _require(len(count) == groups, f"result.split_count.{split}", f"it needs {groups} entries, one per group")
    for index, row in enumerate(result["rows"]):
        known = row["split"] == "test" or row["split"] in result.get("split_count", {})
        _require(known, f"result.rows[{index}].split", f"result.split_count lacks {row['split']!r}")
    counts = [counts_of(result, row["split"]) for row in result["rows"]]
    for rule, tables in result["accuracy"].items():
        _check_counts(tables["correct"], counts, f"result.accuracy.{rule}.correct")
        classes = [found for row in result["rows"] if (found := class_counts_of(result, row["split"])) is not None]
        where = f"result.accuracy.{rule}"
        _require(not {DENSE, RUNS} <= tables.keys(), where, f"it has {DENSE} and {RUNS}")
        if DENSE in tables and len(classes) == len(counts):  # older records: test split only
            _check_counts(tables[DENSE], classes, f"{where}.{DENSE}")
        for index, row in enumerate(_as_many(tables[RUNS], classes, f"{where}.{RUNS}") if RUNS in tables else ()):
            fault = fault_of_runs(row, classes[index])
            _require(not fault, f"{where}.{RUNS}[{index}]", fault)
    for rule, told in result.get("mean_precision", {}).items():
        where = f"result.mean_precision.{rule}"
        _require(rule in result["accuracy"], where, "there is no such prediction rule")
        _require(len(told) == len(counts), where, f"it has {len(told)} rows and result.rows has {len(counts)}")
        for index, row in enumerate(told):
            _require(len(row) == groups, f"{where}[{index}]", f"it has {len(row)} entries instead of {groups}")
    probe = result.get("probe", {"rows": [], "test": 0})
    for index, row in enumerate(probe["rows"]):
        most = max(row["ridge"], row["nearest_mean"])
        fits = most <= probe["test"]
        _require(fits, f"result.probe.rows[{index}]", f"{most} right answers among {probe['test']} images")
    for rule in result["metrics"]:
        _require(rule in result["accuracy"], f"result.metrics.{rule}", "there are no counts for this rule")
    digest = result_sha256(result)
    _require(
        record["result_sha256"] == digest,
        "result_sha256",
        f"the result hashes to {digest[:12]} not to the recorded value",
    )


def _is_sound(record: Mapping[str, Any]) -> bool:
    """Whether the fast checks find a record valid and its result unedited; if not, `validate` names the fault."""
    result = record.get("result")
    if not isinstance(result, dict):
        return False
    try:
        text = canonical(result)
    except ValueError:  # a number too large for a float
        return False
    return hashlib.sha256(text).hexdigest() == record.get("result_sha256") and conforms(record, text)


def read_bytes(path: Path) -> bytes:
    """The content of a file; raises `DataError` if it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
            raise DataError(f"{path} is not a file; leave it out of the results folder.")
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"Cannot read {path}: {error.strerror or error}; check the path and its permissions."
        ) from error


def parsed(data: bytes, path: Path) -> Any:
    """The content of a JSON file; raises `DataError` if it is not JSON."""
    try:
        try:
            return orjson.loads(data)  # three times as fast as json
        except orjson.JSONDecodeError:  # json names more faults, and reads escapes that no UTF-8 has
            return json.loads(data.decode(), parse_constant=_refuse)
    except RecursionError as error:
        raise DataError(
            f"{path} is no clbench record: it is nested too deeply; delete its folder and run the same command again."
        ) from error
    except ValueError as error:
        fix = "delete its folder and run the same command again"
        if path.name != RECORD:  # a file that a user named
            fix = "give a record.json, or a folder that holds runs"
        problem = str(error).partition("; use sys.set_int")[0]  # an integer of thousands of digits
        raise DataError(f"{path} is not valid JSON ({problem}); {fix}.") from error


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def load(path: Path | str, *, trust_hash: bool = False, data: bytes | None = None) -> Record:
    """Read a record.json and check it; `data` is its content if that was read before.

    With `trust_hash` a result that matches its hash and passes a fast check of the schema is not checked with
    `jsonschema` again, which takes 95 % of the time: records are checked before they are written.
    Raises `UsageError` if a newer clbench wrote it, `DataError` if it cannot be read, is damaged or was edited; both
    name the file and the fix.
    """
    path = Path(path)
    record = parsed(read_bytes(path) if data is None else data, path)
    version = record.get("schema_version") if isinstance(record, dict) else None
    if not isinstance(version, str) or re.match(r"[0-9]{1,9}(\.|$)", version) is None:
        raise DataError(
            f"{path} is not a clbench record: it has no schema_version; leave it out of the results folder."
        )
    if int(version.partition(".")[0]) > int(SCHEMA_VERSION.partition(".")[0]):
        raise UsageError(
            f"{path} was written by a newer clbench (record schema {version}, this one reads {SCHEMA_VERSION}); "
            "update it with: pip install --upgrade clbench."
        )
    try:
        if not (trust_hash and _is_sound(record)):
            validate(record)
        if "rest_sha256" in record and record["rest_sha256"] != rest_sha256(record):
            raise ContractError("its measurement, status or names do not hash to rest_sha256")
    except (ContractError, ValueError, RecursionError) as error:
        problem = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).removesuffix(".")
        raise DataError(
            f"{path} is damaged or was edited: {problem}; restore it or run the same command again."
        ) from error
    return record


def save(record: Mapping[str, Any], path: Path | str) -> Record:
    """Write a record atomically as sorted, indented JSON, with a fresh `result_sha256`; returns what was written.

    The record of an incomplete run, which is written after every evaluation, passes the fast check of the schema;
    `jsonschema` checks the others. Raises `ContractError` if the record is invalid or holds NaN, `StorageError` if it
    cannot be written.
    """
    try:
        # Through JSON and back, so that tuples and integer keys are checked in the form that a reader sees.
        plain = json.loads(json.dumps(record, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ContractError(f"The record is not plain JSON: {error}.") from error
    if isinstance(plain.get("result"), dict):
        plain["result_sha256"] = result_sha256(plain["result"])
        plain["rest_sha256"] = rest_sha256(plain)
    if plain.get("status") != "partial" or not _is_sound(plain):
        validate(plain)
    write_text(Path(path), json.dumps(plain, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return plain


def matrix(record: Mapping[str, Any], rule: str, split: str | None = None) -> AccuracyMatrix:
    """The accuracy matrix of one prediction rule; raises `UsageError` for a rule the record does not have."""
    rules = record["result"]["accuracy"]
    if rule not in rules:
        raise UsageError(f"This run has no prediction rule {rule!r}; it has: {', '.join(sorted(rules)) or 'none yet'}.")
    return matrix_of(record["result"], rule, split)


def recompute(record: Mapping[str, Any]) -> Record:
    """A copy of a record with its metrics computed again from the counts, and the hash that goes with them."""
    fresh = copy.deepcopy(dict(record))
    fresh["result"]["metrics"] = recorded_metrics(fresh["result"])
    fresh["result_sha256"] = result_sha256(fresh["result"])
    return fresh


def accuracy_rows(record: Mapping[str, Any], run: int = 0) -> list[dict[str, Any]]:
    """The accuracy tables of one run in long form, `ACCURACY_COLUMNS`; entries that were not measured are left out.

    The accuracy of a group whose images may have several classes is its mean average precision; it has no `correct`.
    """
    result = record["result"]
    names = [group["name"] for group in result["stream"]["groups"]]
    rows = []
    for rule, tables in result["accuracy"].items():
        ranked = result.get("mean_precision", {}).get(rule)
        for index, (place, values) in enumerate(zip(result["rows"], tables["correct"], strict=True)):
            for group, (correct, count) in enumerate(zip(values, counts_of(result, place["split"]), strict=True)):
                precision = None if ranked is None else ranked[index][group]
                if correct is not None or precision is not None:
                    accuracy = precision if correct is None else correct / count if count else None
                    where = (run, rule, index, place["event"], place["task"], place["split"], group, names[group])
                    rows.append(dict(zip(ACCURACY_COLUMNS, (*where, correct, count, accuracy), strict=True)))
    return rows
