"""`clbench sweep`: a grid from a file, its failures, its state and its repetition."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from cl.cli import call
from cl.running.folder import locked

Shown = pytest.CaptureFixture[str]

GRID = """
strategies = ["simplecil", "ncm"]
streams = ["split-digits", "pacs"]
backbones = ["test_vit@random"]
seeds = [1, 2]
[run]
limit = 2
max_tasks = 2
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "grid.toml"
    path.write_text(GRID)
    return str(path)


def test_a_sweep_goes_on_after_failures_and_names_them_with_their_commands(
    file: str, tmp_path: Path, capsys: Shown
) -> None:
    command = ["sweep", file, "--threads", "1", "--progress", "plain"]
    assert call(command) == 3
    shown = capsys.readouterr()
    assert "8 runs: 4 complete, 4 failed." in shown.err and shown.out == ""
    assert "[1 of 8 done" in shown.err and "% in 0:0" in shown.err
    failures = shown.err.partition("Failed:\n")[2].splitlines()
    commands = [line.strip() for line in failures if line.startswith("    clbench run")]
    assert len(commands) == 4 and all("--stream pacs" in each for each in commands)
    assert "pacs needs photo" in failures[0]
    assert call(shlex.split(commands[0])[1:]) == 3, "the command repeats the failure"
    capsys.readouterr()

    assert call(["sweep", "status", file]) == 1
    shown = capsys.readouterr()
    assert "8 runs: 4 complete, 4 failed. About " in shown.out and shown.out.count("failed    ") == 4
    assert call(["sweep", "status", file, "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["state"] for each in lines].count("complete") == 4 and lines[0]["tasks_done"] == 2

    journal = next((tmp_path / "results" / "sweeps").iterdir())
    before = journal.read_text()
    assert call(["sweep", "retry", file, "-s", "ncm", "--dry-run", "--json"]) == 3, "as the command would end"
    shown = capsys.readouterr()
    *runs, _ = [json.loads(line) for line in shown.out.splitlines()]
    assert len(runs) == 2 and all("ncm on pacs" in each["run"] for each in runs) and journal.read_text() == before
    assert call(["sweep", "retry", file, "--device-model", "H200"]) == 2
    assert "are for --dry-run" in capsys.readouterr().err

    assert call(["sweep", "retry", file, "-s", "ncm"]) == 3
    assert "2 runs: 0 complete, 2 failed." in capsys.readouterr().err
    assert call([*command, "--stream", "split-digits"]) == 0
    assert "4 runs: 0 complete, 4 complete already." in capsys.readouterr().err
    for more in ([], ["--dry-run"]):
        assert call(["sweep", "retry", file, "--stream", "split-digits", *more]) == 0
        shown = capsys.readouterr()
        assert shown.out == "" and shown.err == "Nothing is to be repeated: no run of this sweep failed.\n"


def test_a_sweep_equals_single_runs_and_prints_records(file: str, tmp_path: Path, capsys: Shown) -> None:
    command = ["sweep", file, "--stream", "split-digits", "-s", "simplecil", "--jobs", "2", "--threads", "1"]
    assert call([*command, "-q", "--json", "--results", str(tmp_path / "sweep")]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    alone = ["run", "-s", "simplecil", "--stream", "split-digits", "-b", "test_vit@random", "--seed", "1,2"]
    alone += ["--limit", "2", "--max-tasks", "2", "--threads", "1", "-q", "--json"]
    assert call([*alone, "--results", str(tmp_path / "alone")]) == 0
    expected = [json.loads(line)["result_sha256"] for line in capsys.readouterr().out.splitlines()]
    assert sorted(each["result_sha256"] for each in records) == sorted(expected)


def test_a_grid_may_be_given_by_options_alone(capsys: Shown, tmp_path: Path) -> None:
    command = ["sweep", "-s", "simplecil,ncm", "--stream", "split-digits", "-b", "test_vit@random", "--limit", "2"]
    assert call([*command, "--max-tasks", "1", "--threads", "1"]) == 0
    assert "2 runs: 2 complete." in capsys.readouterr().err
    assert (tmp_path / "results" / "sweeps" / "sweep.jsonl").is_file()


def test_a_word_that_is_nearly_a_subcommand_and_no_file(capsys: Shown) -> None:
    assert call(["sweep", "statu", "grid.toml"]) == 2
    assert "There is no sweep file statu. Did you mean status or start?" in capsys.readouterr().err


def test_a_run_of_another_process_is_shown_as_running(file: str, tmp_path: Path, capsys: Shown) -> None:
    from cl.plan.sweeps import plans_of, read_sweep

    plan = plans_of(read_sweep(Path(file))).plans[0]
    plan.folder.mkdir(parents=True)
    with locked(plan.folder):
        assert call(["sweep", "status", file]) == 0
        assert "running   simplecil on split-digits" in capsys.readouterr().out
        assert call(["sweep", file, "--stream", "split-digits", "-s", "simplecil"]) == 0
        assert "2 runs: 1 complete, 1 skipped." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--executor", "lokal"], "There is no executor 'lokal'. Did you mean local?"),
        (["--executor-set", "jbs=2"], "There is no option 'executor.jbs'"),
        (["--executor-set", "jobs=1", "--jobs", "3"], "--jobs and --executor-set jobs are the same; give one of them."),
        (["--executor", ""], "There is no executor ''."),
        (["--executor-set", "jobs"], "--executor-set takes KEY=VALUE, such as --executor-set jobs=4"),
        (["--set", "lrr=2"], "There is no option 'lrr'"),
        (["-s", "simplcil"], "There is no strategy 'simplcil'."),
    ],
)
def test_wrong_input_is_one_sentence_before_anything_runs(
    more: list[str], sentence: str, file: str, capsys: Shown, tmp_path: Path
) -> None:
    assert call(["sweep", file, *more]) == 2
    assert sentence in capsys.readouterr().err and not (tmp_path / "results").exists()
