"""The report's text: self-contained, escaped, the same each time, and what it embeds. The browser is another file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.cli.app import call
from cl.results.leaderboard.ranking import leaderboard
from cl.results.report import render
from tests.results.on_disk import write_records
from tests.results.report_runs import HOSTILE, report_records

Make = Callable[..., dict[str, Any]]


def embedded(page: str) -> dict[str, Any]:
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    data: dict[str, Any] = json.loads(text)
    return data


def test_the_page_loads_nothing_and_repeats(make_record: Make) -> None:
    page = render(report_records(make_record))
    assert page == render(report_records(make_record))
    assert not re.findall(r'<link[^>]+href="(?!data:)|<(?:script|img|iframe)[^>]+\bsrc=|@import|url\(', page)
    # Names of XML vocabularies are not fetched.
    assert set(re.findall(r"https?://[^\s\"']+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "{{" not in page and "{%" not in page


def test_words_of_records_stay_words(make_record: Make) -> None:
    page = render(report_records(make_record), title=HOSTILE)
    assert "<img" not in page
    assert page.count("</script>") == 2
    data = embedded(page)
    assert HOSTILE in [run["error"]["message"] for run in data["runs"] if run["error"]]
    assert "&lt;/script&gt;" in page.partition("</title>")[0]


def test_rows_are_those_of_the_leaderboard_with_their_runs(make_record: Make) -> None:
    records = report_records(make_record)
    board, data = leaderboard(records), embedded(render(records))
    assert sum(len(each["rows"]) for each in data["boards"]) == len(board)
    rows = [row for each in data["boards"] for row in each["rows"]]
    found = [(data["runs"][row[0]]["label"].split()[0], len(row)) for row in rows]
    assert found == list(zip(board["strategy"], board["n_seeds"], strict=True))
    assert {run["status"] for run in data["runs"]} == {"complete", "failed"}


def test_what_runs_share_is_kept_once_and_numbers_survive(make_record: Make) -> None:
    records = report_records(make_record)
    data = embedded(render(records))
    assert (len(data["environments"]), len(data["backbones"]), len(data["streams"])) == (1, 1, 2)
    run = data["runs"][2]
    assert run["label"] == "slca epochs=20" and run["rule"] == "cil_seen"
    table = run["rules"]["cil_seen"]
    assert table["correct"] == [[99], [99, 80], [62, 62, 62]]
    assert table["curve"] == pytest.approx([0.99, 0.895, 0.62])
    assert table["forgetting"] == [pytest.approx(0.37), pytest.approx(0.18), None]
    names = [name for name, *_ in data["metrics"]]
    stored = records[2]["result"]["metrics"]["cil_seen"]
    shown = dict(zip(names, table["metrics"], strict=True))
    assert {k: v for k, v in shown.items() if v is not None} == pytest.approx(
        {k: round(v, 5) for k, v in stored.items() if v is not None}
    )
    assert data["configs"][run["config"]]["lr"] == [0.02, "preset slca#1"]


def test_the_newest_run_of_a_repeated_seed_stands_in_its_row(make_record: Make) -> None:
    old, new = make_record(), make_record(measurement__created="2025-02-01T00:00:00+00:00")
    new["run_id"] = "newer"
    data = embedded(render([new, old]))
    [[row]] = [each["rows"] for each in data["boards"]]
    assert [data["runs"][index]["id"] for index in row] == ["newer"]


def test_a_thousand_records_stay_small(make_record: Make) -> None:
    """Sizes of 200 rows of 5 seeds of ten tasks, from what ten and twenty runs add."""
    ten = [[50 + step if group <= step else None for group in range(10)] for step in range(10)]

    def size(rows: int) -> int:
        records = []
        for index in range(rows):
            config = {f"option_{n}": {"value": index, "origin": "preset x#1"} for n in range(30)}
            for seed in range(5):
                records.append(make_record(ten, seed=seed, strategy=f"s{index}", result__config=config))
        return len(render(records).encode())

    small, large = size(2), size(4)
    assert small + (large - small) / 2 * 198 < 5e6


def test_the_command_writes_one_file(make_record: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_records(tmp_path / "results", report_records(make_record))
    out = tmp_path / "new" / "all.html"
    assert call(["report", str(folder), "--out", str(out), "--title", "Ours", "--metric", "A_inc_sample"]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == str(out) and "9 runs" in captured.err
    page = out.read_text(encoding="utf-8")
    assert "<h1>Ours</h1>" in page and "ranked by <code>A_inc_sample</code>" in page
    assert [path.name for path in out.parent.iterdir()] == ["all.html"]


@pytest.mark.parametrize(
    ("arguments", "says"), [(["--metric", "A_lust_sample"], "A_last_sample"), (["nowhere"], "no results at nowhere")]
)
def test_mistakes_are_one_sentence_and_write_nothing(
    arguments: list[str], says: str, make_record: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_records(tmp_path / "results", [make_record()])
    assert call(["report", str(folder), *arguments, "--out", str(tmp_path / "r.html")]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and not (tmp_path / "r.html").exists()
