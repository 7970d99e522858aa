"""The loggers of a run: names, packages and the plan."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cl import registry
from cl.cli import call
from cl.errors import UsageError
from cl.loggers import check
from cl.plan.plan import load_plan, make_plan
from tests.help.loggers import run


def test_wrong_and_missing_loggers_are_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r"There is no logger 'tensorbord'\. Did you mean tensorboard\?"):
        run("tensorbord")
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    command = ["run", "-s", "simplecil", "--stream", "split-digits", "--logger", "recorder,tensorboard"]
    assert call(command) == 2
    shown = capsys.readouterr().err
    assert shown == "Error: Logger 'tensorboard' needs the package tensorboard: pip install 'clbench[tensorboard]'.\n"
    entry = registry.Entry("acme", "no_such_module:X", registry.Distribution("acme", "1.5"))
    monkeypatch.setitem(registry.loggers._entries(), "acme", [entry])
    with pytest.raises(UsageError, match=r"No module named 'no_such_module'\. Install that, or leave --logger acme"):
        check(["acme"])
    assert not (tmp_path / "results").exists()


def test_loggers_do_not_change_the_identity_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = make_plan("dropping", "split-digits")
    assert plain.loggers == ()
    monkeypatch.setenv("CLBENCH_LOGGER", "recorder,recorder")
    plan = make_plan("dropping", "split-digits")
    assert plan.loggers == ("recorder",)
    assert (plan.folder, plan.config_hash) == (plain.folder, plain.config_hash)
    assert make_plan("dropping", "split-digits", loggers="none").loggers == ()
    folder = run("recorder").folder
    assert load_plan(folder).loggers == ("recorder",)  # a resumed run keeps its loggers


def test_loggers_are_listed_and_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["list", "loggers"]) == 0
    assert "tensorboard  " in capsys.readouterr().out
    assert call(["info", "tensorboard"]) == 0
    assert "pip install 'clbench[tensorboard]'" in capsys.readouterr().out
