"""The leaderboard as in a paper: names in print, spread, bold, citations, and what is a comment."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.results.leaderboard.entries import Run
from cl.results.leaderboard.layout import Layout
from cl.results.leaderboard.paper_tables import RULE, bibtex_of, to_latex, to_markdown
from cl.results.leaderboard.ranking import Row, board_rows

Make = Callable[..., dict[str, Any]]


def board(make: Make, **last: list[int]) -> list[Row]:
    """Strategies with the accuracy of each seed after the last task, percent; "joint" is a bound."""
    return board_rows(
        Run(make([[99, None, None], [99, 99, None], [value] * 3], strategy=name.replace("_", "-"), seed=seed,
                 result__strategy__access="past" if name == "joint" else "present"))
        for name, values in last.items()
        for seed, value in enumerate(values)
    )  # fmt: skip


def lines_of(text: str) -> list[str]:
    """The rows of a LaTeX table without its head."""
    return [line for line in text.splitlines() if line.endswith(r"\\")][1:]


def test_latex_is_booktabs_with_its_characters_escaped(make_record: Make) -> None:
    text = to_latex(board(make_record, slca=[60, 62], joint=[90, 91]))
    assert all(text.count(rule) == 1 for rule in (r"\toprule", r"\bottomrule", r"\begin{tabular}", r"\end{table}"))
    assert text.count(r"\midrule") == 2  # below the head, and above what is not ranked
    assert r"vit\_micro" in text and r"rule cil\_seen" in text and r"\label{tab:split-toy}" in text
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len({line.replace(r"\&", "").count("&") for line in lines}) == 1 and len(lines) == 3


def test_the_caption_names_the_stream_and_single_seeds(make_record: Make) -> None:
    config = {"stream.train_per_class": {"value": 100, "origin": "command line"}}
    record = make_record(result__stream__name="split-cifar100", result__config=config)
    text = to_markdown(board_rows([Run(record)]))
    assert "\nSplit CIFAR-100 (train_per_class=100) with vit_micro, rule cil_seen: 1 seed, percent." in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_tables_compile(make_record: Make, tmp_path: Path) -> None:
    config = [{"name": {"value": value, "origin": "command line"}} for value in ("a_b", r"50%&\x", "{#~^$}", "[c]")]
    records = [make_record(strategy="slca", seed=seed) for seed in range(2)]
    records += [make_record(strategy="der-pp", result__config=each) for each in config]
    rows = board_rows(map(Run, [*records, make_record(result__strategy__access="past", result__backbone__name="b_2")]))
    body = [r"\documentclass{article}", r"\usepackage{booktabs}", r"\begin{document}", to_latex(rows)]
    body += [r"\bibliographystyle{plain}", r"\bibliography{methods}", r"\end{document}"]
    (tmp_path / "table.tex").write_text("\n".join(body), encoding="utf-8")
    (tmp_path / "methods.bib").write_text(bibtex_of(rows)[0], encoding="utf-8")
    for command in ("pdflatex -halt-on-error -interaction=nonstopmode", "bibtex", *["pdflatex -halt-on-error"] * 2):
        done = subprocess.run(
            [*command.split(), "table"], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout
    assert "undefined" not in done.stdout and "multiply" not in done.stdout


def test_each_table_has_a_label_of_its_own(make_record: Make) -> None:
    records = [make_record(result__backbone__name=name) for name in ("a", "b", "c")]
    labels = re.findall(r"\\label\{(.*?)\}", to_latex(board_rows(map(Run, records))))
    assert labels == ["tab:split-toy", "tab:split-toy-2", "tab:split-toy-3"]


def test_names_and_citations_are_those_of_papers(make_record: Make) -> None:
    rows = board(make_record, slca=[60, 62], der_pp=[50, 51], joint=[90, 91], unknown=[1, 2])
    text = to_latex(rows)
    assert r"SLCA~\cite{slca} &" in text and r"DER++~\cite{der-pp} &" in text
    assert "\nJoint training" in text and "\nunknown &" in text  # no paper; not installed
    shown = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert all(row["config_hash"] not in shown for row in rows) and all(row["config_hash"] in text for row in rows)
    entries, without = bibtex_of(rows)
    assert entries.count("@") == 2 and "{slca," in entries and without == ["unknown", "joint"]
    markdown = to_markdown(rows)
    assert "DER++ ([Buzzega et al., 2020](https://arxiv.org/abs/2004.07211))" in markdown


def test_bold_are_the_first_rank_and_equal_printed_values(make_record: Make) -> None:
    rows = board(make_record, slca=[60, 71], ewc=[59, 71], l2=[40, 41], joint=[90, 95])
    text = to_latex(rows)
    slca, ewc, l2, joint = lines_of(text)
    assert slca.startswith("SLCA") and r"\textbf{65.50} $\pm$ 7.78" in slca
    assert r"\textbf{65.00}" in ewc and r"\textbf{33.50}" in slca and r"& 34.00" in ewc  # a tie, but less forgetting
    assert "textbf" not in l2 and "textbf" not in joint
    assert RULE in text and RULE in to_markdown(rows) and "**65.50** ± 7.78" in to_markdown(rows)


def test_spread_is_a_choice_and_one_seed_has_none(make_record: Make) -> None:
    rows = board(make_record, slca=[60, 62], ewc=[50])
    slca, ewc = lines_of(to_latex(rows, Layout(("strategy", "mean", "F_chaudhry"))))
    assert slca.endswith(r"\textbf{61.00} $\pm$ 1.41 & \textbf{38.00} $\pm$ 1.41 \\")
    assert ewc.endswith(r"& 50.00 & 49.00 \\") and r"\textsuperscript{1}" in ewc
    assert r"\textsuperscript{1} 1 seed" in to_latex(rows, Layout(("strategy", "mean")))
    slca, _ = lines_of(to_latex(rows, Layout(("strategy", "mean", "F_chaudhry"), "ci")))
    assert slca.endswith(r"\textbf{61.00} [60.00, 62.00] & \textbf{38.00} \\")
    slca, _ = lines_of(to_latex(rows, Layout(("strategy", "mean"), "none")))
    assert slca.endswith(r"\textbf{61.00} \\") and "standard deviation over 1 to 2 seeds" in to_latex(rows)


def test_rows_of_one_method_have_the_options_in_which_they_differ(make_record: Make) -> None:
    records = []
    for lr in (0.1, 0.2):
        config = {"lr": {"value": lr, "origin": "command line"}, "epochs": {"value": 5, "origin": "command line"}}
        records.append(make_record(strategy="slca", result__config=config))
    text = to_latex(board_rows(map(Run, records)))
    assert r"SLCA (lr=0.1)~\cite{slca}" in text and "% SLCA (lr=0.2): slca" in text
    assert "epochs" in text and "epochs" not in "".join(lines_of(text))


def test_rows_that_differ_in_nothing_shown_are_told_apart(make_record: Make) -> None:
    make = [make_record(strategy="slca", result__strategy__preset=preset) for preset in ("small", "large")]
    assert {"SLCA (preset small)", "SLCA (preset large)"} <= {
        line.partition("~")[0] for line in lines_of(to_latex(board_rows(map(Run, make))))
    }
    config = [{"lr": {"value": lr, "origin": "default"}} for lr in (0.1, 0.2)]
    twins = board_rows(Run(make_record(strategy="slca", result__config=each)) for each in config)
    assert {line.partition("~")[0] for line in lines_of(to_latex(twins))} == {"SLCA", "SLCA (2)"}


def test_footnotes_say_what_a_reader_must_know_and_comments_the_rest(make_record: Make) -> None:
    records = [make_record(strategy="slca", seed=seed) for seed in range(2)]
    records += [make_record(strategy="ewc", seed=0, result__strategy__access="past")]
    records[1]["measurement"]["environment"]["packages"] = {"torch": "1.0"}
    text = to_latex(board_rows(map(Run, records)))
    assert r"bound: may read earlier data" in text.partition(r"\bottomrule")[2]
    assert any(line.startswith("% ") and "torch" in line for line in text.splitlines())
    shown = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert "usual here" not in shown, "one comment per row; the line on costs names all releases"


@pytest.mark.parametrize("write", [to_latex, to_markdown])
def test_costs_name_what_they_were_measured_with(make_record: Make, write: Callable[..., str]) -> None:
    records = [make_record(strategy=name) for name in ("slca", "ewc")]
    records[1]["measurement"]["environment"]["packages"] = {"torch": "1.0"}
    rows = board_rows(map(Run, records))
    told = "Costs measured with torch 1.0, unknown device, float32; torch 2.8.0, unknown device, float32"
    assert f"{told}.\n" in write(rows), "FLOPs are counted: any release counts the same"
    timed = write(rows, Layout(columns=("strategy", "mean", "train_seconds")))
    assert f"{told}: compare no seconds and memory across these" in timed
    assert "measured with" not in write(rows, Layout(columns=("strategy", "mean")))


def test_markdown_escapes_what_would_break_a_table(make_record: Make) -> None:
    config = [{"name": {"value": value, "origin": "command line"}} for value in ("a|b", "c-->d")]
    text = to_markdown(board_rows(Run(make_record(result__config=each)) for each in config))
    assert text.startswith("## split-toy@1 on vit_micro, rule cil_seen, ranked by A_last_sample\n\n| Method")
    assert r"name=a\|b" in text and not any("-->" in line[:-3] for line in text.splitlines() if line[:1] == "<")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in table}) == 1 and "-:|" in table[1]


@pytest.mark.parametrize("write", [to_latex, to_markdown])
def test_rows_that_are_left_out_are_counted_in_a_comment(make_record: Make, write: Callable[..., str]) -> None:
    assert "4 more rows of the board not shown" in write(board(make_record, slca=[60]), Layout(left_out={1: 4}))
