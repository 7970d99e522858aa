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
