"""Runs that continue another run are told from whole ones: on boards, in papers, beside figures and among costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cl.results.costs import costs
from cl.results.leaderboard.board_tables import to_csv, to_json, to_text
from cl.results.leaderboard.continued import EARLIER, continued, continues
from cl.results.leaderboard.entries import Run
from cl.results.leaderboard.paper_tables import to_latex, to_markdown
from cl.results.leaderboard.ranking import board_rows
from cl.results.plots import plots_of

Make = Callable[..., dict[str, Any]]

HASHES = ("0123456789ab", "fedcba987654")


def _runs(make: Make) -> list[Run]:
    """A whole run, and two seeds of one that continues runs after two tasks."""
    made = [make()]
    for seed, digest in enumerate(HASHES):
        made.append(make(seed=seed, result__stream__options={"tasks": 3, "learned": 2}))
        made[-1]["run_id"] = f"continued-{seed}"
        made[-1]["result"]["continues"] = {"result_sha256": digest, "tasks": 2}
    return [Run(record) for record in made]


def test_words(make_record: Make) -> None:
    whole, *others = [run.result for run in _runs(make_record)]
    assert continued(whole) == continues([whole]) == ""
    assert continued(others[0]) == "continued after 2 tasks"
    assert continues(others) == continues([whole, *others]) == "continues 01234567, fedcba98 after 2 tasks"
    one = {**others[0], "continues": {"result_sha256": HASHES[0], "tasks": 1}}
    assert continued(one) == "continued after 1 task"
    assert continues([one, others[1]]) == "continues 01234567, fedcba98 after 1 task and 2 tasks"


def test_headings_captions_and_notes_say_so(make_record: Make) -> None:
    rows = board_rows(_runs(make_record))
    whole, ours = [row for row in rows if not row["continued"]], [row for row in rows if row["continued"]]
    note = f"continues 01234567, fedcba98 after 2 tasks: {EARLIER}"
    assert note in ours[0]["note"] and "continue" not in whole[0]["note"]
    assert note in to_csv(ours) and '"continued": "continued after 2 tasks"' in to_json(ours)
    for text in (to_text(ours), to_markdown(ours)):
        assert "split-toy@1, continued after 2 tasks, on vit_micro" in text and note in text
    for write in (to_markdown, to_latex):
        named = write(ours).replace("\\_", "_")
        assert "split-toy, continued after 2 tasks, with vit_micro" in named
        assert f"percent, {EARLIER}." in named and note in named
        assert EARLIER not in write(whole) and "percent." in write(whole)
    told = {**ours[0], "setting": "task-incremental"}
    assert "split-toy@1, task-incremental, continued after 2 tasks, on" in to_text([told])


def test_costs_say_so(make_record: Make) -> None:
    found = costs(_runs(make_record))
    titles = {each.board: [row["continues"] for row in each.rows] for each in found}
    assert titles == {
        "split-toy@1 on vit_micro": [""],
        f"split-toy@1, continued after 2 tasks ({EARLIER}), on vit_micro": [
            "continues 01234567, fedcba98 after 2 tasks"
        ],
    }


def test_figures_say_so_and_have_names_of_their_own(make_record: Make) -> None:
    plots = plots_of([run.record for run in _runs(make_record)], ["curves", "matrix", "stream"])
    named = {plot.name: plot.data for plot in plots}
    assert {
        *("curves-split-toy", "matrix-split-toy-slca", "stream-split-toy", "curves-split-toy-continued-after-2-tasks"),
        *("matrix-split-toy-continued-after-2-tasks-slca", "stream-split-toy-continued-after-2-tasks"),
    } == set(named)
    curves = named["curves-split-toy-continued-after-2-tasks"]
    assert curves["title"] == "split-toy continued after 2 tasks, vit_micro"
    assert f"2 seeds, continues 01234567, fedcba98 after 2 tasks: {EARLIER}" in curves["subtitle"]
    assert "continue" not in named["curves-split-toy"]["title"] + named["curves-split-toy"]["subtitle"]
    assert "continued after 2 tasks" in named["matrix-split-toy-continued-after-2-tasks-slca"]["subtitle"]
