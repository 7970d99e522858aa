"""Loggers hear what a run reports and can never break it: with, without and with a broken one, one result."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import cl
from cl import registry
from cl.cli import call
from cl.errors import NonFiniteLoss, UsageError
from cl.loggers import Logger, check
from cl.parts.heads.growing import GrowingHead
from cl.plan.plan import load_plan, make_plan
from cl.strategy import Inputs, Strategy
from cl.stream import StreamInfo, View
from cl.training.optim import sgd

SETTINGS = {"stream.tasks": 2, "stream.train_per_class": 8, "backbone.image_size": 32}


class Dropping(Strategy):
    """A linear head under dropout, which draws from the global generator; `stop` is called at every step."""

    stop: Callable[[int], None] = staticmethod(lambda step: None)

    def setup(self, info: StreamInfo) -> None:
        self.head = GrowingHead(self.backbone.dim)

    def learn(self, view: View) -> None:
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        self.fit(
            "train",
            self.encoded_batches(view.train, 8),
            lambda batch: F.cross_entropy(self.head(F.dropout(batch.x, 0.5)), batch.y),
            self.head.parameters(),
            epochs=3,
            optimizer=sgd(0.1),
            after_step=lambda when: type(self).stop(15 * view.task + when.epoch * when.steps + when.step),
        )

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.head(inputs.encode(self.backbone))


class Recorder(Logger):
    """Keeps what it is told."""

    told: list[tuple[Any, ...]]

    def start(self, run: Mapping[str, Any]) -> None:
        type(self).told = [("start", dict(run))]

    def scalar(self, name: str, value: float, step: int) -> None:
        self.told.append(("scalar", name, value, step))

    def evaluated(self, record: Mapping[str, Any]) -> None:
        self.told.append(("evaluated", record))

    def close(self, status: str) -> None:
        self.told.append(("close", status))


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    registry.strategies.register("dropping", Dropping)
    registry.loggers.register("recorder", Recorder)
    yield
    registry.strategies.unregister("dropping")
    registry.loggers.unregister("recorder")


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("CLBENCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLBENCH_RESULTS", str(tmp_path / "results"))
    yield
    registry.loggers.unregister("broken")


def run(*loggers: str, **arguments: Any) -> cl.RunResult:
    return cl.run(
        "dropping", "split-digits", backbone="test_vit@random", options=SETTINGS, seed=7, loggers=loggers, **arguments
    )


def broken(where: str) -> type[Logger]:
    """A logger that fails in one of its calls, or does what it should not."""

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
def test_no_logger_changes_or_breaks_a_run(expected: str, where: str) -> None:
    registry.loggers.register("broken", broken(where))
    result = run("recorder", "broken")
    assert result.status == "complete" and result.record["result_sha256"] == expected
    log = (result.folder / "log.txt").read_text()
    assert log.count("WARNING logger 'broken' failed and is off; the run goes on") == (where != "nowhere")
    assert Recorder.told[-1] == ("close", "complete")  # the other one heard everything


def test_a_logger_that_cannot_be_imported_is_left_out(
    expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "acme_logger.py").write_text("raise ValueError('not today')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = registry.Entry("acme", "acme_logger:Acme", registry.Distribution("acme", "1.5"))
    monkeypatch.setitem(registry.loggers._entries(), "acme", [entry])
    command = ["run", "-s", "dropping", "--stream", "split-digits", "-b", "test_vit@random", "--seed", "7"]
    command += [text for key, value in SETTINGS.items() for text in ("--set", f"{key}={value}")]
    assert call([*command, "--logger", "acme"]) == 0
    shown = capsys.readouterr().err
    assert shown.count("logger 'acme' failed and is off") == 1 and "of acme 1.5 cannot be imported" in shown
    assert run("acme", existing="always").record["result_sha256"] == expected


def test_what_a_logger_is_told() -> None:
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
def test_a_logger_hears_how_a_run_ended(monkeypatch: pytest.MonkeyPatch, error: type, status: str) -> None:
    def stop(step: int) -> None:
        raise error("stop")

    monkeypatch.setattr(Dropping, "stop", stop)
    with pytest.raises(error):
        run("recorder")
    assert Recorder.told[-1] == ("close", status)


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


def test_loggers_are_no_part_of_a_run_s_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = make_plan("dropping", "split-digits")
    assert plain.loggers == ()
    monkeypatch.setenv("CLBENCH_LOGGER", "recorder,recorder")
    plan = make_plan("dropping", "split-digits")
    assert plan.loggers == ("recorder",)
    assert (plan.folder, plan.config_hash) == (plain.folder, plain.config_hash)
    assert make_plan("dropping", "split-digits", loggers="none").loggers == ()
    folder = run("recorder").folder
    assert load_plan(folder).loggers == ("recorder",)  # a resumed run goes on reporting


def test_tensorboard_curves_go_on_where_they_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    whole = curves(run("tensorboard", results=tmp_path / "whole").folder)
    assert [step for step, _ in whole["loss/task 1/train"]] == list(range(15))
    assert [step for step, _ in whole["metrics/cil_seen/A_last_sample"]] == [1, 2]

    stops = [7, 22]

    def stop(step: int) -> None:
        if step in stops:
            stops.remove(step)
            raise KeyboardInterrupt

    monkeypatch.setattr(Dropping, "stop", stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run("tensorboard", results=tmp_path / "parts")
    folder = run("tensorboard", results=tmp_path / "parts").folder
    assert len(list((folder / "tensorboard").iterdir())) == 3
    assert curves(folder) == whole


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Every curve in the event files of a run, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    return {name: [(each.step, each.value) for each in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_loggers_are_listed_and_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["list", "loggers"]) == 0
    assert "tensorboard  " in capsys.readouterr().out
    assert call(["info", "tensorboard"]) == 0
    assert "pip install 'clbench[tensorboard]'" in capsys.readouterr().out
