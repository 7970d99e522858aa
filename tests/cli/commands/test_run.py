"""`clbench run`: its table, its JSON, and runs that exist."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cl.cli import call
from tests.help.toy import QUICK, records

pytestmark = pytest.mark.usefixtures("toy")


def test_a_run_prints_its_table_and_is_skipped_the_second_time(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = ["run", "-s", "toy", *QUICK]
    assert call(command) == 0
    shown = capsys.readouterr()
    assert "forgetting" in shown.out
    (path,) = records(tmp_path)
    assert f"Record: {path}" in shown.out
    assert "untuned" in shown.err
    record = json.loads(path.read_text())
    assert record["status"] == "complete"
    assert record["result"]["limited"] is True
    assert record["result"]["config"]["stream.tasks"] == {"value": 2, "origin": "command line"}
    assert record["result"]["strategy"]["preset"] is None
    assert (path.parent / "config.toml").is_file()
    assert not (path.parent / "checkpoint").exists()

    before = path.stat().st_mtime_ns
    assert call([*command, "--json", "-q"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == record
    assert shown.err == ""
    assert path.stat().st_mtime_ns == before
    assert call([*command, "--existing", "never"]) == 2
    assert "choose --existing only-missing" in capsys.readouterr().err
    assert call([*command, "--existing", "always", "-q"]) == 0
    again = json.loads(path.read_text())
    assert again["result_sha256"] == record["result_sha256"]
    assert again["run_id"] != record["run_id"]


def test_a_run_goes_on_from_another(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call(["run", "-s", "toy", *QUICK, "--max-tasks", "1", "--save-learner"]) == 0
    (path,) = records(tmp_path)
    assert call(["run", "--from", str(path.parent), "-q", "--json"]) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["result"]["continues"]["tasks"] == 1 and record["result"]["continues"]["rest"]
    assert record["result"]["continues"]["result_sha256"] == json.loads(path.read_text())["result_sha256"]
    for words, sentence in [
        (["--from", str(path.parent), "-s", "toy,slca"], "--from makes one run; name one --strategy, or none."),
        (["--from", str(path.parent), "--at", "2"], "keeps no learner after task 2, only after 1"),
        (["--from", str(path.parent), "--set", "favourite=7"], "favourite=7 differs from the run that is continued"),
        (["-s", "toy", *QUICK, "--at", "2"], "name the run with --from"),
    ]:
        assert call(["run", *words]) == 2
        assert sentence in capsys.readouterr().err
