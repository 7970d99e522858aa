"""Loggers receive the reports of a run; the result is the same with, without and with a broken logger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cl import registry
from cl.cli import call
from cl.errors import NonFiniteLoss
from cl.loggers import Logger
from tests.help.loggers import OPTIONS, Dropping, Recorder, run


def broken(where: str) -> type[Logger]:
    """A logger that fails in one of its calls, draws random numbers and changes the record."""

    class Broken(Recorder):
        def __init__(self) -> None:
            if where == "__init__":
                raise RuntimeError("broken")

        def start(self, run: Mapping[str, Any]) -> None:
            super().start(run)
            self.act("start")

        def scalar(self, name: str, value: float, step: int) -> None:
            torch.rand(3), np.random.rand(3)
            self.act("scalar")

        def evaluated(self, record: Any) -> None:
            record["result"]["rows"].clear()
            self.act("evaluated")

        def close(self, status: str) -> None:
            self.act("close")

        def act(self, here: str) -> None:
            if here == where:
                raise SystemExit(3) if where == "scalar" else ValueError("broken")

    return Broken


@pytest.fixture(scope="module")
def expected(registered: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of the result without a logger."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        return str(run(results=tmp_path_factory.mktemp("plain")).record["result_sha256"])


@pytest.mark.parametrize("where", ["nowhere", "__init__", "start", "scalar", "evaluated", "close"])
def test_a_logger_cannot_change_or_break_a_run(expected: str, where: str) -> None:
    registry.loggers.register("broken", broken(where))
    result = run("recorder", "broken")
    assert result.status == "complete" and result.record["result_sha256"] == expected
    log = (result.folder / "log.txt").read_text()
    assert log.count("WARNING logger 'broken' failed and is disabled; the run continues") == (where != "nowhere")
    assert Recorder.told[-1] == ("close", "complete")  # the other logger received everything


def test_a_logger_that_cannot_be_imported_is_skipped(
    expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "acme_logger.py").write_text("raise ValueError('not today')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = registry.Entry("acme", "acme_logger:Acme", registry.Distribution("acme", "1.5"))
    monkeypatch.setitem(registry.loggers._entries(), "acme", [entry])
    command = ["run", "-s", "dropping", "--stream", "split-digits", "-b", "test_vit@random", "--seed", "7"]
    command += [text for key, value in OPTIONS.items() for text in ("--set", f"{key}={value}")]
    assert call([*command, "--logger", "acme"]) == 0
    shown = capsys.readouterr().err
    assert shown.count("logger 'acme' failed and is disabled") == 1 and "of acme 1.5 cannot be imported" in shown
    assert run("acme", existing="always").record["result_sha256"] == expected


def test_a_logger_receives_losses_accuracies_metrics_and_records() -> None:
    result = run("recorder")
    start, *told, close = Recorder.told
    assert start[1]["folder"] == result.folder and start[1]["options"]["stream.tasks"] == 2
    assert close == ("close", "complete")
    scalars = {(name, step): value for kind, name, value, step in (each for each in told if each[0] == "scalar")}
    assert len(scalars) == sum(each[0] == "scalar" for each in told)
    assert [step for name, step in scalars if name == "loss/task 1/train"] == list(range(15))
    for cell in result.accuracy.to_dict("records"):
        name = f"accuracy/{cell['rule']}/{cell['group_name']}"
        assert scalars[name, cell["task"] + 1] == cell["accuracy"]
    for rule, values in result.metrics.items():
        assert {name: scalars.get((f"metrics/{rule}/{name}", 2)) for name in values} == values
    assert [each[1]["result"]["rows"] for each in told if each[0] == "evaluated"][-1] == result.record["result"]["rows"]


@pytest.mark.parametrize(("error", "status"), [(NonFiniteLoss, "failed"), (KeyboardInterrupt, "interrupted")])
def test_a_logger_receives_the_final_status_of_a_run(monkeypatch: pytest.MonkeyPatch, error: type, status: str) -> None:
    def stop(step: int) -> None:
        raise error("stop")

    monkeypatch.setattr(Dropping, "stop", stop)
    with pytest.raises(error):
        run("recorder")
    assert Recorder.told[-1] == ("close", status)
