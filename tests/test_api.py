"""From Python: `cl.run`, `cl.resume` and `cl.load_results`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import cl
from cl.errors import UsageError
from cl.plan.plan import make_plan
from tests.help.small_runs import OPTIONS, run

pytestmark = pytest.mark.usefixtures("isolated", "toy")


def test_results_of_a_folder_are_frames() -> None:
    run()
    found = cl.load_results(Path(make_plan("simplecil", "split-digits").results))
    assert isinstance(found.runs, pd.DataFrame) and len(found.runs) == 1
    assert found.runs.loc[0, "config_hash"] == Path(str(found.runs.loc[0, "folder"])).parent.name
    assert len(found.accuracy) == 2 * 3


def test_mistakes_are_exceptions_with_the_same_sentences() -> None:
    with pytest.raises(UsageError, match=r"There is no strategy 'slcaa'\. Did you mean slca or slda or slca-pp\?"):
        cl.run("slcaa", "split-digits")
    with pytest.raises(UsageError, match=r"stream\.tasks must be at least 1"):
        run(**{"stream.tasks": 0})


NONE: Any = None
FIVE: Any = 5

WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: cl.load_learner(NONE), "The folder of a run must be a path, not None"),
    (lambda: cl.load_learner("x", precision="fp12"), "precision must be one of fp32, .*, not 'fp12'"),
    (lambda: cl.resume(FIVE), "The folder of a run must be a path, not 5"),
    (lambda: cl.load_results(FIVE), "Results are read from paths, not from 5"),
    (lambda: cl.load_results([NONE]), "Results are read from paths, not from None"),
    (lambda: cl.run(from_run=5), "--from must be a path, not 5"),
    (lambda: cl.run(config_file=5), "--config must be a path, not 5"),
]


@pytest.mark.parametrize(("call", "sentence"), WRONG, ids=[sentence for _, sentence in WRONG])
def test_a_wrong_kind_of_argument_is_one_sentence_too(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(cl.ClbenchError, match=f"^{sentence}") as caught:
        call()
    assert isinstance(caught.value, UsageError)


def test_settings_still_work_with_one_warning() -> None:
    with pytest.warns(FutureWarning, match="`settings` is now called `options`") as warned:
        old = cl.run("simplecil", "split-digits", backbone="test_vit@random", settings=OPTIONS, seed=7)
    assert [Path(each.filename) for each in warned] == [Path(__file__)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        new = cl.run("simplecil", "split-digits", backbone="test_vit@random", options=OPTIONS, seed=7)
    assert new.folder == old.folder and new.record == old.record


def test_python_call_returns_frames_and_the_learner(tmp_path: Path) -> None:
    result = cl.run("toy", "split-digits", limit=2, options={"stream.tasks": 2, "favourite": 1}, seed=3)
    assert result.status == "complete"
    assert result.folder.name == "seed3"
    assert result.learner.learned == [0, 1]
    assert list(result.accuracy["rule"].unique()) == ["cil_seen", "til_masked"]
    assert result.accuracy.query("rule == 'cil_seen'")["accuracy"].max() == pytest.approx(0.2)
    assert "A_last_sample" in result.metrics["cil_seen"]
    assert "forgetting" in result._repr_html_()
    assert result.learner.predict_images(torch.zeros(3, 1, 8, 8, dtype=torch.uint8)).shape == (3, 10)
    again = cl.resume(result.folder)
    with pytest.raises(UsageError, match="keeps no learner"):
        _ = again.learner
    assert again.record["result"] == result.record["result"]
    assert len(cl.load_results(tmp_path / "results").runs) == 1
    with pytest.raises(UsageError, match="--existing must be one of"):
        cl.run("toy", "split-digits", existing="sometimes")
