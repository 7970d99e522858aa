"""Finding records and reading them into data frames."""

from __future__ import annotations

import gc
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.errors import DataError, UsageError
from cl.records.record import ACCURACY_COLUMNS, result_sha256, save
from cl.results.store import RUN_COLUMNS, find_records, load_results

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def folder(make_record: Make, tmp_path: Path) -> Path:
    for strategy in ("slca", "finetune"):
        for seed in (0, 1):
            record = make_record(strategy=strategy, seed=seed)
            save(record, tmp_path / "split-toy@1" / strategy / "vit" / "0badcafe" / f"seed{seed}" / "record.json")
    (tmp_path / "notes.json").write_text("{}")
    return tmp_path


def test_records_are_found_sorted_and_once(folder: Path) -> None:
    found = find_records(folder)
    assert [path.relative_to(folder).parts[1::3] for path in found] == [
        ("finetune", "seed0"),
        ("finetune", "seed1"),
        ("slca", "seed0"),
        ("slca", "seed1"),
    ]
    assert find_records([found[0], folder, str(folder / "split-toy@1")]) == found
    assert find_records(found[2]) == [found[2]]
    with pytest.raises(UsageError, match=r"no results at .*elsewhere; check the path"):
        find_records(folder / "elsewhere")


def test_runs_have_one_row_each(folder: Path) -> None:
    runs = load_results(folder).runs
    assert tuple(runs.columns[: len(RUN_COLUMNS)]) == RUN_COLUMNS
    assert runs["strategy"].tolist() == ["finetune", "finetune", "slca", "slca"]
    assert runs["seed_data"].tolist() == [0, 1, 0, 1]
    assert runs["cil_seen/BWT"].tolist() == pytest.approx([-0.125] * 4)
    assert runs["cil_seen/FWT"].isna().all()
    assert runs["flops_uncached"].tolist() == [2e12] * 4
    assert runs["memory_peak_device"].isna().all()
    assert runs["folder"].map(Path).tolist() == [path.parent for path in find_records(folder)]


def test_accuracy_is_long(folder: Path) -> None:
    results = load_results(folder)
    assert tuple(results.accuracy.columns) == ACCURACY_COLUMNS
    run = results.accuracy[results.accuracy["run"] == 3]
    assert run[["task", "group", "correct"]].to_numpy().tolist() == [
        [0, 0, 90],
        [1, 0, 80],
        [1, 1, 70],
        [2, 0, 60],
        [2, 1, 75],
        [2, 2, 50],
    ]
    assert run["accuracy"].tolist() == [0.9, 0.8, 0.7, 0.6, 0.75, 0.5]
    assert run["group_name"].iloc[-1] == "task 2"
    assert results.records[3]["run_id"] == "slca-1"


def test_nothing_there_gives_empty_frames(tmp_path: Path) -> None:
    results = load_results(tmp_path)
    assert len(results.runs) == len(results.accuracy) == 0
    assert tuple(results.runs.columns) == RUN_COLUMNS


DAMAGE = {
    "cut": "{",
    "empty": "",
    "list": "[]",
    "deep": "[" * 100_000,
    "deep in a record": '{"schema_version": "1.0", "result": ' + '{"a":' * 900 + "1" + "}" * 901,
    "long": '{"schema_version": "1.0", "a": ' + "9" * 5000 + "}",
    "nan": '{"schema_version": "1.0", "a": NaN}',
    "newer": '{"schema_version": "9.0"}',
    "version": '{"schema_version": "' + "9" * 5000 + '.0"}',
    "binary": "\x00\x01",
}


@pytest.mark.parametrize("text", DAMAGE.values(), ids=DAMAGE)
def test_a_bad_record_is_named_once_and_the_others_are_read(folder: Path, text: str) -> None:
    bad = find_records(folder)[1]
    bad.write_text(text)
    with pytest.warns(UserWarning, match=re.escape(str(bad))) as warned:
        results = load_results(folder)
    assert len(warned) == 1
    assert [record["run_id"] for record in results.records] == ["finetune-0", "slca-0", "slca-1"]
    assert results.files == tuple(path for path in find_records(folder) if path != bad)
    ((path, reason),) = results.left_out
    assert path == bad and str(bad) in reason and "\n" not in reason and len(reason) < 600 and reason.endswith(".")
    assert results.filter(strategy="slca").left_out == results.left_out
    assert repr(results) == "Results(3 runs, 1 left out)"
    with pytest.raises((DataError, UsageError), match=re.escape(str(bad))):
        load_results(folder, on_bad="error")


def test_many_bad_records_are_all_listed_and_ten_are_named(
    make_record: Make, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    for number in range(12):
        save(make_record(), tmp_path / f"{number:02}" / "record.json").clear()
        (tmp_path / f"{number:02}" / "record.json").write_text("{")
    results = load_results(tmp_path)
    assert len(results) == 0 and [each.path.parent.name for each in results.left_out] == [f"{n:02}" for n in range(12)]
    said = [str(each.message) for each in recwarn]
    assert len(said) == 11 and all(f"{number:02}" in text for number, text in enumerate(said[:10]))
    assert said[-1] == "2 more records could not be read either."
    recwarn.clear()
    assert len(load_results(tmp_path, on_bad="skip").left_out) == 12 and not recwarn.list
    with pytest.raises(UsageError, match="on_bad must be one of warn, error, skip, not 'ignore'"):
        load_results(tmp_path, on_bad="ignore")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('"name": "slca"', '"name": "edited"', "result_sha256"),
        ('"seconds"', '"hours"', "'seconds' is a required property"),
        ('"peak_rss"', '"peak"', "measurement.memory"),
        ('"train": 75.0', '"train": "1.0"', "measurement.seconds.train"),
        ('"train": 75.0', '"train": 1e999', "measurement.seconds.train"),
        ('"train": 75.0', '"train": 1' + "0" * 400, "measurement.seconds.train"),
    ],
)
def test_an_edited_record_is_left_out_although_its_tables_are_not_checked_again(
    folder: Path, old: str, new: str, where: str
) -> None:
    path = find_records(folder)[2]
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=where):
        load_results(folder, on_bad="error")


@pytest.mark.parametrize(
    ("place", "value", "where"),
    [
        ("limited", 1, "result.limited"),
        ("count", [100, 100, "100"], "result.count"),
        ("count", [100, 100, 10**400], "result.count"),
        ("accuracy", {"cil_seen": {"correct": [[90, None, None], [80, 70], [60, 75, 50]]}}, "correct.1."),
        ("accuracy", {"cil_seen": {"correct": [[90, None, None], [80, 70, 0.5], [60, 75, 50]]}}, "correct.1..2."),
        ("accuracy", {"cil_seen": {"correct": [[90, None, None], [80, 70, [0]], [60, 75, 50]]}}, "correct.1..2."),
        ("accuracy", {"cil_seen": {"correct": [[90, None, None], [80, 70, True], [60, 75, 50]]}}, "correct.1..2."),
        ("accuracy", {"cil_seen": {"correct": [[90, None, None], [80, 70, -1], [60, 75, 50]]}}, "correct.1..2."),
        ("accuracy", {"cil_seen": {"correct": [[90, None, None], [80, 70, 101], [60, 75, 50]]}}, "101 right answers"),
        ("stream__class_order", [0], "result.stream.class_order"),
        ("stream__groups", [{"name": "a", "classes": [9], "task": 0}] * 3, "groups.0..classes"),
    ],
)
def test_the_schema_is_checked_although_the_hash_of_the_result_fits(
    folder: Path, place: str, value: Any, where: str
) -> None:
    path = find_records(folder)[2]
    record = json.loads(path.read_text())
    *parents, key = place.split("__")
    section = record["result"]
    for parent in parents:
        section = section[parent]
    section[key] = value
    record["result_sha256"] = result_sha256(record["result"])
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match=f"damaged or was edited: .*{where}"):
        load_results(folder, on_bad="error")


def test_folders_that_cannot_be_read_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = folder / "split-toy@1" / "slca"

    def scandir(path: Any) -> Any:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    real = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    results = load_results(folder, on_bad="skip")
    assert len(results) == 2 and results.left_out[0].path == closed
    assert results.left_out[0].reason == f"Cannot read {closed}: Permission denied; check its permissions."
    with pytest.raises(DataError, match="Permission denied"):
        find_records(folder)


def test_pipes_and_dangling_links_are_named_and_not_waited_for(folder: Path) -> None:
    one, two = find_records(folder)[:2]
    one.unlink()
    two.unlink()
    os.mkfifo(one)
    two.symlink_to("nowhere")
    results = load_results(folder, on_bad="skip")
    assert len(results) == 2
    assert [each.path for each in results.left_out] == [one, two]
    assert "is not a file" in results.left_out[0].reason and "No such file" in results.left_out[1].reason


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b"])
def test_a_path_that_cannot_be_is_one_sentence(path: str) -> None:
    with pytest.raises(UsageError, match="Cannot read results at"):
        load_results(path)


def test_the_collector_runs_again_after_reading(folder: Path) -> None:
    assert gc.isenabled()
    load_results(folder)
    assert gc.isenabled()
