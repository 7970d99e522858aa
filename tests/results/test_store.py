"""Finding records and reading them into data frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.errors import DataError, UsageError
from cl.records.record import ACCURACY_COLUMNS, save
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


def test_a_damaged_record_is_never_skipped(folder: Path) -> None:
    find_records(folder)[1].write_text("{")
    with pytest.raises(DataError, match=r"finetune.*seed1.*record\.json"):
        load_results(folder)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('"name": "slca"', '"name": "edited"', "result_sha256"),
        ('"seconds"', '"hours"', "'seconds' is a required property"),
        ('"peak_rss"', '"peak"', "measurement.memory"),
    ],
)
def test_an_edited_record_is_refused_although_its_tables_are_not_checked_again(
    folder: Path, old: str, new: str, where: str
) -> None:
    path = find_records(folder)[2]
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=where):
        load_results(folder)
