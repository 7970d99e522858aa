"""The page for papers shows what its commands write."""

from __future__ import annotations

from pathlib import Path

import paper
import pytest

from cl.results import load_results
from cl.results.plots import plots_of


def test_the_page_shows_what_its_commands_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")  # which a table in a file is not cut to
    text = paper.PAGE.read_text(encoding="utf-8")
    folder = paper.run(text, tmp_path)
    assert paper.page(text, folder) == text, "run `python docs/paper.py`"
    assert paper.page(text.replace("56.80", "99.99"), folder) == text
    [figure] = plots_of(
        load_results(folder / "results" / "reference" / "split-cifar100-small").records, ["curves"], "cil_seen",
        filters={"strategy": paper.commands(text)[1][7].partition("=")[2].split(","), "options": [""]},
    )  # fmt: skip
    for path in (paper.drawn(folder), paper.FIGURE):
        assert figure.digest in path.read_text(encoding="utf-8"), "run `python docs/paper.py`"
    assert paper.FIGURE.stat().st_size < 120_000
    entries = (folder / "methods.bib").read_text(encoding="utf-8")
    table = (folder / "table.tex").read_text(encoding="utf-8")
    cited = [part.partition("}")[0] for part in table.partition(r"\begin{table}")[2].split(r"\cite{")[1:]]
    assert len(cited) == 7 and all(f"{{{key}," in entries for key in cited)
    assert sorted(path.suffix for path in (folder / "figures").iterdir()) == [".pdf", ".pdf", ".svg", ".svg"]
