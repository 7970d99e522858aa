"""Records: validation with a clear sentence, a stable hash, and reading what may be damaged or too new."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.errors import ContractError, DataError, StorageError, UsageError
from cl.records import record as records

Make = Callable[..., dict[str, Any]]


def test_the_schema_is_a_schema_and_describes_what_it_fixes() -> None:
    from jsonschema import Draft202012Validator

    schema = records.schema()
    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    for section in ("result", "stream", "strategy", "backbone", "measurement"):
        fixed = schema["$defs"][section]
        assert fixed["additionalProperties"] is False
        assert all("description" in entry or "$ref" in entry for entry in fixed["properties"].values())


def test_save_and_load_give_back_the_record(make_record: Make, tmp_path: Path) -> None:
    record = make_record()
    path = tmp_path / "run" / "record.json"
    written = records.save({**record, "result_sha256": "stale"}, path)
    assert written == {**record, "rest_sha256": records.rest_sha256(record)} == records.load(path)
    first = path.read_bytes()
    records.save(records.load(path), path)
    assert path.read_bytes() == first
    assert [entry.name for entry in path.parent.iterdir()] == ["record.json"]


def test_tuples_and_non_ascii_names_survive(make_record: Make, tmp_path: Path) -> None:
    record = make_record(result__stream__class_names=("é",) * 6)
    written = records.save(record, tmp_path / "record.json")
    assert written["result"]["stream"]["class_names"] == ["é"] * 6
    assert records.load(tmp_path / "record.json") == written


@pytest.mark.parametrize(
    ("dotted", "value", "where"),
    [
        ("result__rows", [{"event": 1, "task": "x", "split": "test"}] * 3, "result.rows[0].task"),
        ("result__stream__colour", "red", "result.stream"),
        ("status", "done", "status"),
        ("result__limited", 1, "result.limited"),
        ("result__count", [100, 100], "result.count"),
        ("result__accuracy", {"cil_seen": {"correct": [[1, None, None]]}}, "result.accuracy.cil_seen.correct"),
        ("result__accuracy", {"r": {"correct": [[1, 1, 1], [1, 1], [1, 1, 1]]}}, "result.accuracy.r.correct[1]"),
        ("result__accuracy", {"r": {"correct": [[1, 1, 1], [1, 1, 101], [1, 1, 1]]}}, "correct[1][2]: 101 right"),
        ("result__accuracy", {"r": {"correct": [[1, 1, -1]] * 3}}, "result.accuracy.r.correct[0][2]"),
        (
            "result__accuracy",
            {"r": {"correct": [[1] * 3] * 3, "class_correct": [[51] + [1] * 5] * 3}},
            "class_correct[0]",
        ),
        ("result__metrics", {"other": {}}, "result.metrics.other"),
        ("result__rows", [{"event": 1, "task": 0, "split": "val"}] * 3, "result.rows[0].split"),
        ("result__split_count", {"val": [1]}, "result.split_count.val"),
        ("result_sha256", "0" * 64, "result_sha256"),
    ],
)
def test_an_invalid_record_is_refused_in_one_sentence_that_names_the_place(
    make_record: Make, dotted: str, value: Any, where: str
) -> None:
    record = make_record()
    *parents, key = dotted.split("__")
    section = record
    for parent in parents:
        section = section[parent]
    section[key] = value
    if key != "result_sha256":
        record["result_sha256"] = records.result_sha256(record["result"])
    with pytest.raises(ContractError) as caught:
        records.validate(record)
    message = str(caught.value)
    assert where in message
    assert message.endswith(".")
    assert "\n" not in message


@pytest.mark.parametrize(("status", "value"), [("partial", -1), ("partial", 1), ("complete", 1)])
def test_the_record_of_an_incomplete_run_is_checked_too(
    make_record: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, value: int
) -> None:
    record = make_record() | {"status": status}
    record["result"]["accuracy"] = {"r": {"correct": [[value, 1, 1]] * 3}}
    record["result"]["metrics"] = {}
    asked: list[str] = []
    validate = records.validate

    def noted(each: Any) -> None:
        asked.append(each["status"])
        validate(each)

    monkeypatch.setattr(records, "validate", noted)
    if value == -1:
        with pytest.raises(ContractError, match=r"result\.accuracy\.r\.correct\[0\]\[0\]"):
            records.save(record, tmp_path / "record.json")
    else:
        records.save(record, tmp_path / "record.json")
    assert bool(asked) == (status == "complete" or value == -1)  # jsonschema takes 20 times as long
    assert value == -1 or records.load(tmp_path / "record.json")["status"] == status


def test_missing_keys_are_named(make_record: Make) -> None:
    record = make_record()
    del record["result"]["seeds"]
    with pytest.raises(ContractError, match="'seeds' is a required property"):
        records.validate(record)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_what_json_cannot_hold_is_not_written(make_record: Make, tmp_path: Path, value: Any) -> None:
    record = make_record()
    record["result"]["metrics"]["cil_seen"]["BWT"] = value
    with pytest.raises(ContractError, match="not plain JSON"):
        records.save(record, tmp_path / "record.json")
    assert list(tmp_path.iterdir()) == []


def test_an_invalid_record_leaves_the_old_file(make_record: Make, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    records.save(make_record(), path)
    before = path.read_bytes()
    with pytest.raises(ContractError):
        records.save(make_record(status="done"), path)
    assert path.read_bytes() == before


def test_a_folder_that_is_a_file_is_a_storage_error(make_record: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        records.save(make_record(), tmp_path / "file" / "record.json")


@pytest.mark.parametrize("text", ["", "{", '{"schema_version": "1.0", "resul', "\x00\x01"])
def test_corrupt_json_names_the_file_and_the_fix(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"record\.json is not valid JSON .*; delete its folder"):
        records.load(path)


@pytest.mark.parametrize("value", [[], {}, {"schema_version": 1}, {"schema_version": "new"}])
def test_other_json_is_not_taken_for_a_record(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(value))
    with pytest.raises(DataError, match="not a clbench record"):
        records.load(path)


def test_missing_files_and_undecodable_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Cannot read"):
        records.load(tmp_path / "record.json")
    (tmp_path / "record.json").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not valid JSON"):
        records.load(tmp_path / "record.json")


def test_versions(make_record: Make, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps({"schema_version": "2.0", "anything": 1}))
    with pytest.raises(UsageError, match=r"newer clbench \(record schema 2\.0.*pip install --upgrade"):
        records.load(path)
    path.write_text(json.dumps(make_record(schema_version="1.99")))
    assert records.load(path)["schema_version"] == "1.99"


def test_an_edited_result_is_noticed(make_record: Make, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    records.save(make_record(), path)
    path.write_text(path.read_text().replace('"verified": true', '"verified": false'))
    with pytest.raises(DataError, match=r"record\.json is damaged or was edited: .*result_sha256"):
        records.load(path)


def test_the_hash_depends_on_values_and_not_on_the_order_of_keys(make_record: Make) -> None:
    result = make_record()["result"]
    backwards = dict(reversed(list(result.items())))
    assert records.result_sha256(backwards) == records.result_sha256(result)
    changed = copy.deepcopy(result)
    changed["accuracy"]["cil_seen"]["correct"][2][0] -= 1
    assert records.result_sha256(changed) != records.result_sha256(result)
    spelled = rb'{"a":[1,null,"\u00e9"],"b":0.1}'
    assert records.result_sha256({"b": 0.1, "a": [1, None, "é"]}) == hashlib.sha256(spelled).hexdigest()
    with pytest.raises(ValueError, match="JSON"):
        records.result_sha256({"a": float("nan")})


def test_config_hash_is_that_of_the_folder_for_all_seeds(make_record: Make, tmp_path: Path) -> None:
    record = make_record(seed=1)
    assert records.config_hash(record) == records.config_hash(make_record(seed=2))
    config = {"epochs": {"value": 21, "origin": "default"}}
    changes: list[dict[str, Any]] = [{"result__config": config}, {"result__precision": {"dtype": "bf16"}}]
    assert len({records.config_hash(make_record(**change)) for change in [{}, *changes]}) == 3
    record["config_hash"] = "0123abcd"
    records.save(record, tmp_path / "record.json")
    assert records.config_hash(records.load(tmp_path / "record.json")) == "0123abcd"


def test_recompute_restores_metrics_from_counts(make_record: Make) -> None:
    record = make_record()
    wrong = copy.deepcopy(record)
    wrong["result"]["metrics"] = {"cil_seen": {"BWT": 0.0}}
    assert records.recompute(wrong) == record
    assert wrong["result"]["metrics"] == {"cil_seen": {"BWT": 0.0}}


def test_matrix_names_the_rules_there_are(make_record: Make) -> None:
    assert records.matrix(make_record(), "cil_seen").correct[2, 0] == 60
    with pytest.raises(UsageError, match="no prediction rule 'dil'; it has: cil_seen"):
        records.matrix(make_record(), "dil")


def test_no_flipped_bit_of_a_record_goes_unnoticed(make_record: Make, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    records.save(make_record(), path)
    whole = path.read_bytes()
    expected = records.load(path)
    for place in range(0, len(whole), 7):
        data = bytearray(whole)
        data[place] ^= 1 << (place // 7 % 8)
        path.write_bytes(data)
        for trust in (False, True):
            with contextlib.suppress(DataError, UsageError):
                assert records.load(path, trust_hash=trust) == expected, f"byte {place}"
