"""`clbench leaderboard`: complete runs, ranked."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.cli import call
from cl.records.record import config_hash, load
from tests.help.on_disk import write_records
from tests.help.small_runs import SMALL
from tests.help.toy import QUICK, records

pytestmark = pytest.mark.usefixtures("toy")


def test_the_leaderboard_of_real_records(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = ["run", *SMALL, "--seed", "1,2", "-q"]
    assert call([*command, "-s", "simplecil"]) == 0
    assert call([*command, "-s", "linear-probe,finetune", "--set", "epochs=1"]) == 0
    capsys.readouterr()
    table = tmp_path / "board.csv"
    assert call(["leaderboard", str(tmp_path / "results"), "--csv", str(table)]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].endswith("on test_vit@random, rule cil_seen, ranked by A_last_sample")
    rows = list(csv.DictReader(table.open()))
    assert {row["strategy"]: (row["n_seeds"], row["seeds"], row["board"]) for row in rows} == dict.fromkeys(
        ("simplecil", "linear-probe", "finetune"), ("2", "1 2", "1")
    )
    for row in rows:
        records = [load(path) for path in tmp_path.rglob(f"{row['strategy']}/*/{row['config_hash']}/*/record.json")]
        values = [record["result"]["metrics"]["cil_seen"]["A_last_sample"] for record in records]
        assert len(values) == 2 and float(row["mean"]) == pytest.approx(sum(values) / 2)
        assert row["strategy"] in shown and f"{50 * sum(values):.2f}" in shown
    assert [float(row["mean"]) for row in rows] == sorted((float(row["mean"]) for row in rows), reverse=True)


def test_leaderboard_ranks_complete_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    board = ["leaderboard", str(tmp_path / "results")]
    small = ["--stream", "split-digits", "--set", "stream.tasks=2", "--set", "stream.train_per_class=2"]
    for favourite in ("0", "9"):
        run = ["run", "-s", "toy", *small, "--set", "stream.test_per_class=2", "--seed", "1,2", "-q"]
        assert call([*run, "--set", f"favourite={favourite}"]) == 0
    capsys.readouterr()
    assert call([*board, "--csv", str(tmp_path / "board.csv")]) == 0
    shown = capsys.readouterr().out
    assert "split-digits@1 tasks=2" in shown and "on vit_micro_patch4_32" in shown
    for path in records(tmp_path):  # the row says where its runs are
        assert f"| {path.parent.parent.name} |" in shown
        record = json.loads(path.read_text())
        assert config_hash(record) == record.pop("config_hash") == config_hash(record) == path.parent.parent.name
    assert (tmp_path / "board.csv").read_text().startswith("rank,strategy")
    assert call([*board, "--json", "--metric", "F_chaudhry"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert call([*board, "--metric", "F_chaudry"]) == 2


def test_quiet_leaves_remarks_out_and_errors_in(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call(["run", "-s", "toy", *QUICK, "--seed", "1,2", "-q"]) == 0
    first, second = records(tmp_path)
    (first.parent / "predictions.npz").unlink()
    capsys.readouterr()
    board = ["leaderboard", str(tmp_path / "results")]
    assert call(board) == 0
    loud = capsys.readouterr()
    assert "1 run has no predictions.npz" in loud.err
    assert call([*board, "-q"]) == 0
    quiet = capsys.readouterr()
    assert (quiet.out, quiet.err) == (loud.out, "")
    second.write_text("{")
    assert call([*board, "--quiet"]) == 0
    assert f"Left out: {second}" in capsys.readouterr().err, "a record that cannot be read is an error"


def test_limited_runs_are_marked_and_unranked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call(["run", "-s", "toy", *QUICK, "-q"]) == 0
    assert call(["leaderboard", str(tmp_path / "results")]) == 0
    assert "| limited | toy" in capsys.readouterr().out


def test_the_suffix_of_a_file_is_its_format_unless_one_is_given(
    make_record: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    board = ["leaderboard", str(write_records(tmp_path / "records", [make_record(strategy="slca")])), "-q"]
    starts = {"a.tex": "% ", "a.TEX": "% ", "a.md": "## ", "a.csv": "rank,", "a.json": "[", "a.txt": "split-toy@1 on"}
    for name, start in starts.items():
        assert call([*board, "--out", str(tmp_path / name)]) == 0
        assert (tmp_path / name).read_text().startswith(start), name
    assert call([*board, "--out", str(tmp_path / "a.tex"), "--format", "table"]) == 0
    assert (tmp_path / "a.tex").read_text().startswith(starts["a.txt"])
    assert call([*board, "--out", str(tmp_path / "a.tex"), "--json"]) == 0
    assert (tmp_path / "a.tex").read_text().startswith("[")
    capsys.readouterr()
    assert call(board) == 0 and capsys.readouterr().out.startswith(starts["a.txt"])


@pytest.mark.parametrize("form", ["table", "markdown", "latex"])
def test_runs_without_the_rule_are_counted_and_make_no_table(
    form: str, make_record: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    told = make_record(strategy="wsn", rules=("til_oracle",), result__stream__name="split-told")
    folder = str(write_records(tmp_path / "records", [make_record(strategy="slca"), told]))
    assert call(["leaderboard", folder, "--rule", "cil_seen", "--format", form]) == 0
    shown = capsys.readouterr()
    assert "1 run on boards without the rule cil_seen left out" in shown.err and "split-told" not in shown.out
    assert call(["leaderboard", folder, "--rule", "cil_seen", "--format", form, "-q"]) == 0
    assert capsys.readouterr() == (shown.out, "")
    assert call(["leaderboard", folder, "--rule", "cil_sen", "--format", form]) == 2
    assert "'cil_sen'; they have: cil_seen, til_oracle." in capsys.readouterr().err


def test_a_table_for_a_paper_and_its_bibliography_are_files(
    make_record: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    records = [make_record(strategy=name, seed=seed) for name in ("slca", "ewc", "l2") for seed in (0, 1)]
    board = ["leaderboard", str(write_records(tmp_path / "records", records))]
    table, entries = tmp_path / "table.tex", tmp_path / "methods.bib"
    assert call([*board, "--format", "latex", "--out", str(table), "--bibtex", str(entries), "--top", "2"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{table}\n" and "No BibTeX entry" not in shown.err
    assert r"\begin{tabular}" in table.read_text() and "more row" in table.read_text()
    assert entries.read_text().startswith("@")
    assert call([*board, "--columns", "strategy,mean", "--filter", "strategy=ewc,l2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["|", "strategy", "|", "A_last_sample", "|"]
    assert [line.split("|")[1].strip() for line in lines[3:5]] == ["ewc", "l2"]
    assert call([*board, "--columns", "stratgy"]) == 2
    assert "Did you mean strategy" in capsys.readouterr().err


def test_a_table_on_a_terminal_is_as_wide_as_it(
    make_record: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = write_records(tmp_path / "records", [make_record(strategy="slca")])
    assert call(["leaderboard", str(folder)]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) > 70
    monkeypatch.setattr("shutil.get_terminal_size", lambda *_: os.terminal_size((70, 24)))
    for given in ("COLUMNS", "terminal"):
        monkeypatch.delenv("COLUMNS", raising=False)
        if given == "COLUMNS":
            monkeypatch.setenv("COLUMNS", "70")
        else:
            monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        assert call(["leaderboard", str(folder)]) == 0
        shown = capsys.readouterr().out
        assert max(map(len, shown.splitlines())) <= 70 and "Left out to fit 70 characters" in shown
    assert call(["leaderboard", str(folder), "--out", str(tmp_path / "board.txt")]) == 0
    assert max(map(len, (tmp_path / "board.txt").read_text().splitlines())) > 70, "a file has all columns"
