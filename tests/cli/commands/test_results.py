"""`clbench results`: counts, conflicts on stderr, exit codes, and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cl.cli.app import call
from tests.help.remote import content, place, write_run, write_runs


def test_merge_counts_and_ends_with_1_for_a_conflict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = write_runs(tmp_path / "one", 2), tmp_path / "two"
    write_run(place(two), seed=8)
    into = ["--into", str(tmp_path / "all")]
    assert call(["results", "merge", str(one), *into, "--dry-run"]) == 0
    assert "would be merged |      2" in capsys.readouterr().out and not (tmp_path / "all").exists()
    assert call(["results", "merge", str(one), str(two), *into]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith(f"Conflict: {place(two)} and ") and shown.err.count("\n") == 1
    rows = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in shown.out.splitlines()[2:]}
    assert rows == {"merged": "2", "the same": "0", "conflict": "1", "unfinished": "0", "refused": "0"}
    assert content(tmp_path / "all") == content(one)


def test_push_and_pull_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("fsspec")
    runs, url = write_runs(tmp_path / "runs", 2), str(tmp_path / "elsewhere")
    assert call(["results", "push", str(runs), url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["sent"] == 2
    (place(Path(url)) / "config.toml").write_text("[run")
    assert call(["results", "pull", url, str(tmp_path / "there"), "--json"]) == 1
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert found["counts"] == {"received": 1, "the same": 0, "conflict": 0, "unfinished": 0, "refused": 1}
    assert [run["state"] for run in found["runs"]] == ["refused", "received"]
    assert shown.err.startswith("Refused: split-toy/") and "config.toml" in shown.err
    assert call(["results", "pull", url, str(tmp_path / "there"), "--max-bytes", "10"]) == 1


def test_dry_runs_say_what_would_be_sent_and_received(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("fsspec")
    runs, url, there = write_runs(tmp_path / "runs", 2), tmp_path / "elsewhere", tmp_path / "there"
    assert call(["results", "push", str(runs), str(url), "--dry-run"]) == 0
    assert "would be sent |      2" in capsys.readouterr().out and not url.exists()
    assert call(["results", "push", str(runs), str(url)]) == 0
    assert call(["results", "push", str(runs), str(url), "--dry-run", "--json"]) == 0
    sent = content(url)
    (place(url) / "config.toml").write_text("[run")
    capsys.readouterr()
    assert call(["results", "pull", str(url), str(there), "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["counts"]["would be received"] == 2, "the records alone are checked"
    assert [run["state"] for run in found["runs"]] == ["would be received"] * 2 and not there.exists()
    assert call(["results", "pull", str(url), str(there)]) == 1
    received = content(there)
    (place(url) / "record.json").write_text("{}")
    capsys.readouterr()
    assert call(["results", "pull", str(url), str(there), "--dry-run"]) == 1
    assert capsys.readouterr().err.startswith("Refused: split-toy/") and content(there) == received
    assert set(content(url)) == set(sent)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["merge", "nowhere", "--into", "all"], 2, "no results at nowhere"),
        (["merge", "--into", "all"], 2, "FOLDER"),
        (["push", "nowhere", "memory://x"], 2, "no results at nowhere"),
        (["pull", "nope://x", "there"], 2, "nope"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], code: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert call(["results", *arguments]) == code
    assert says in capsys.readouterr().err and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["merge", "push", "pull"])
def test_help_has_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["results", name, "--help"]) == 0
    assert f"clbench results {name} " in capsys.readouterr().out.partition("Examples:")[2]
