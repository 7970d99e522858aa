"""Progress in a notebook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cl.progress.notebook import NotebookProgress
from tests.help.notebooks import execute


class Page:
    """Replaces IPython's display and keeps its calls in order."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def display(self, bundle: dict[str, str], **_: Any) -> Page:
        self.shown.append(bundle)
        return self

    update = display


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    pytest.importorskip("IPython")
    page = Page()
    monkeypatch.setattr("IPython.display.display", page.display)
    monkeypatch.setattr("cl.progress.notebook._EVERY", 0.0)
    return page


def test_one_line_is_updated_and_the_last_state_remains(page: Page) -> None:
    with NotebookProgress("mine <on> digits") as show:
        show.message("resuming after event 1")
        show.task(1, 5, "60 images")
        show.phase("train", 10, 3)
        show.advance(8, 1.25)
        assert page.shown[-1]["text/plain"] == (
            "resuming after event 1\nmine <on> digits · task 2/5 · train 4/10, loss 1.2500 · 0:00"
        )
        show.end_phase()
        show.event(2, 10, "4 classes, accuracy 61.00 %")
        assert '<progress max="10" value="3"></progress> mine &lt;on&gt; digits' in page.shown[-1]["text/html"]
    assert page.shown[-1] == {
        "text/plain": "resuming after event 1\nmine <on> digits · 4 classes, accuracy 61.00 % · 0:00",
        "text/html": "resuming after event 1<br>mine &lt;on&gt; digits · 4 classes, accuracy 61.00 % · 0:00",
    }


@pytest.mark.parametrize(
    ("error", "said"), [(ValueError, "failed"), (KeyboardInterrupt, "interrupted; the same call continues")]
)
def test_the_last_line_says_how_the_run_ended(page: Page, error: type[BaseException], said: str) -> None:
    with pytest.raises(error), NotebookProgress("mine") as show:
        show.task(1, 5, "60 images")
        show.phase("train", 10)
        raise error
    assert page.shown[-1]["text/plain"] == f"mine · task 2/5 · {said} · 0:00"


def test_updates_are_limited_and_nothing_is_shown_without_progress(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cl.progress.notebook._EVERY", 3600.0)
    with NotebookProgress("mine") as show:
        show.task(0, 1, "60 images")
        for _ in range(100):
            show.advance(8)
    assert len(page.shown) == 2
    with NotebookProgress("nothing happened"):
        pass
    assert len(page.shown) == 2


def shown(cell: Any) -> str:
    """The whole output of a cell, as text."""
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/html") or output["data"]["text/plain"]
        for output in cell.outputs
    )


def test_a_run_in_a_kernel(tmp_path: Path) -> None:
    """One line remains, tables are HTML, stderr is empty, and an edited cell is recognised as changed code."""
    strategy = """
        import cl, torch

        class Mine(cl.Strategy):
            '''Constant scores.'''

            def learn(self, view):
                self.favourite = {}

            def predict(self, inputs, task=None):
                return torch.eye(10)[torch.full((len(inputs),), self.favourite)]

        cl.registry.strategies.register("mine", Mine, replace=True)
    """
    run = """
        small = {"stream.tasks": 2, "stream.train_per_class": 2, "stream.test_per_class": 2, "backbone.image_size": 32}
        cl.run("mine", "split-digits", backbone="test_vit@random", options=small, save_learner=True)
    """
    load = """
        results = cl.load_results()
        print(cl.load_learner(results.runs["folder"][0]).favourite)
        results
    """
    cells = [strategy.replace("{}", "1"), run, load, strategy.replace("{}", "2"), run]
    book = execute(cells, tmp_path)
    _, first, frames, _, second = book.cells
    assert [output.output_type for output in first.outputs] == ["display_data", "execute_result"]
    progress, table = first.outputs[0].data["text/html"], first.outputs[1].data["text/html"]
    assert "mine on split-digits, test_vit@random, seed 1993 · 10 classes, accuracy 10.00 %" in progress
    assert "<progress" not in progress and "<pre>mine on split-digits" in table and "|after task" in table
    assert first.outputs[1].data["text/plain"].startswith("RunResult(complete, ")
    assert [output.output_type for output in frames.outputs] == ["stream", "execute_result"]
    assert frames.outputs[0].text == "1\n" and "<td>0.1000</td>" in frames.outputs[1].data["text/html"]
    assert "complete already" in shown(second) and "The code of mine has changed since that run." in shown(second)
