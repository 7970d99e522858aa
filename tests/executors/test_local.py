"""Executing many runs: one after the other or several at once; failures, kills, Ctrl-C and other processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import cl
from cl.cli import call
from cl.errors import DataError, RunInUse
from cl.executors import base
from cl.executors.local import LocalExecutor, gpus_for
from cl.plan.plan import Plan, make_plan
from cl.records.record import load
from cl.running.result import RunResult
from cl.training import state
from tests.help.commands import SMALL
from tests.help.grids import Heard
from tests.help.leases import held

Shown = pytest.CaptureFixture[str]

ODD = '''
import os, signal, sys, time
from dataclasses import dataclass
from pathlib import Path
import cl
from cl.strategies.simplecil import SimpleCIL

class Odd(SimpleCIL):
    """Does something else in its second task."""

    @dataclass(frozen=True)
    class Options(SimpleCIL.Options):
        how: str = cl.option("fine", "what", choices=("fine", "kill", "wait"))

    def learn(self, view):
        if view.task == 1 and self.options.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if view.task == 1 and self.options.how == "wait" and not Path("go").exists():
            Path(f"waits-{os.getpid()}").touch()
            time.sleep(120)
        super().learn(view)
'''


@pytest.fixture
def odd(plugin: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A strategy that other processes find too."""
    plugin("odd", {"odd_m": ODD}, {"clbench.strategies": {"odd": "odd_m:Odd"}})
    monkeypatch.setattr(cl.registry, "strategies", cl.registry.Registry("clbench.strategies", "strategy"))
    monkeypatch.chdir(tmp_path)


def test_sequential_runs_continue_after_failures_and_stop_at_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = [make_plan("simplecil", "split-digits", seed=seed) for seed in range(6)]
    ends: Sequence[Any] = [None, DataError("No data."), ZeroDivisionError("oh"), RunInUse("Busy."), KeyboardInterrupt()]

    def execute(plan: Plan, **_: Any) -> RunResult:
        if ends[plan.seed] is not None:
            raise ends[plan.seed]
        return RunResult({}, plan.folder)

    monkeypatch.setattr(base, "execute", execute)
    heard = Heard()
    outcomes = LocalExecutor(existing="skip-running").execute(plans, heard)
    assert outcomes == heard.ended and len(outcomes) == 5 and heard.begun[-1] == ("simplecil", 4, 6)
    assert [outcome.exit_code for outcome in outcomes] == [0, 3, 1, 0, 130]
    assert outcomes[0].result is not None and outcomes[1].error == "No data."
    assert outcomes[2].error.startswith("unexpected ZeroDivisionError: oh.") and "Traceback" in outcomes[2].traceback
    assert outcomes[3].skipped == "another process is running it."
    (busy,) = LocalExecutor().execute(plans[3:4], heard)
    assert (busy.error, busy.exit_code) == ("Busy.", 1)


def test_runs_of_a_grid_share_features_and_equal_runs_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Shown
) -> None:
    read: list[Path] = []
    load_state = state.load

    def counted(path: Path, *rest: Any, **given: Any) -> Any:
        read.append(path)
        return load_state(path, *rest, **given)

    monkeypatch.setattr(state, "load", counted)

    def run(strategies: str, seeds: str, place: str) -> dict[tuple[str, int], dict[str, Any]]:
        command = ["run", "-s", strategies, *SMALL, "--seed", seeds, "--init-seed", "7"]  # 7: one random backbone
        assert call([*command, "--results", str(tmp_path / place), "-q", "--json"]) == 0
        records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return {(each["result"]["strategy"]["name"], each["result"]["seeds"]["data"]): each for each in records}

    def features() -> int:
        return len([path for path in read if "features" in path.parts])

    run("simplecil", "1,2", "first")  # computes the features
    read.clear()
    alone: dict[tuple[str, int], dict[str, Any]] = {}
    for strategy in ("simplecil", "linear-probe"):
        for seed in ("1", "2"):
            alone |= run(strategy, seed, "alone")
    each = features() // 4
    read.clear()
    together = run("simplecil,linear-probe", "1,2", "together")
    assert each > 0 and features() == each, "only the first run reads the files"
    assert together.keys() == alone.keys() and len(alone) == 4
    for key, record in alone.items():
        assert together[key]["result_sha256"] == record["result_sha256"]
        assert together[key]["measurement"]["flops"] == record["measurement"]["flops"]
        assert together[key]["measurement"]["parameters"] == record["measurement"]["parameters"]
        assert together[key]["measurement"]["stored"] == record["measurement"]["stored"]


def test_parallel_runs_equal_sequential_runs(odd: None, tmp_path: Path, capsys: Shown) -> None:
    command = ["run", "-s", "odd", *SMALL, "--set", "odd.how=fine,kill", "--json"]
    assert call([*command, "--jobs", "2"]) == 1
    shown = capsys.readouterr()
    (record,) = [json.loads(line) for line in shown.out.splitlines()]
    assert "Error: the process of this run was ended by SIGKILL" in shown.err and "how=kill, seed 1993)" in shown.err
    assert "odd on split-digits, test_vit@random, how=fine, seed 1993: 0:" in shown.err, "progress, with the title"
    assert len([line for line in shown.err.splitlines() if line.startswith("Error:")]) == 1
    alone = ["run", "-s", "odd", *SMALL, "--set", "how=fine", "--json", "--results", str(tmp_path / "alone"), "-q"]
    assert call(alone) == 0
    same = json.loads(capsys.readouterr().out)
    assert same["result_sha256"] == record["result_sha256"]
    assert record["measurement"]["environment"]["threads"] == 1
    statuses = [load(path)["status"] for path in (tmp_path / "results").rglob("record.json")]
    assert sorted(statuses) == ["complete", "partial"]


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_an_interrupt_stops_every_process_and_the_runs_continue(odd: None, tmp_path: Path, capsys: Shown) -> None:
    def interrupt() -> None:
        until = time.monotonic() + 120
        while len(list(tmp_path.glob("waits-*"))) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)  # workers of pytest-xdist hear no SIGINT

    thread = threading.Thread(target=interrupt)
    thread.start()
    command = ["run", "-s", "odd", *SMALL, "--set", "how=wait", "--seed", "1,2,3", "--jobs", "2", "-q"]
    assert call(command) == 143
    thread.join()
    assert capsys.readouterr().err.count("Interrupted; the same command continues (") == 2
    assert not multiprocessing.active_children()
    records = sorted((tmp_path / "results").rglob("record.json"))
    assert [load(path)["status"] for path in records] == ["partial", "partial"]
    assert "interrupted" in (records[0].parent / "log.txt").read_text()
    (tmp_path / "go").touch()
    assert call(["resume", str(records[0].parent), "-q", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["status"] == "complete" and record["measurement"]["resumed_from"]


def test_a_run_of_another_process_is_left_to_it(capsys: Shown, tmp_path: Path) -> None:
    command = ["run", "-s", "simplecil", *SMALL, "--seed", "1,2"]
    options = {"stream.tasks": 2}
    plan = make_plan("simplecil", "split-digits", "test_vit@random", seed=1, limit=2, options=options)
    plan.folder.mkdir(parents=True)
    with held(plan.folder / ".lock"):
        assert call([*command, "--existing", "skip-running"]) == 0
        shown = capsys.readouterr()
        assert f"Skipped: {plan.title}: another process is running it." in shown.err
        assert [path.parent.name for path in (tmp_path / "results").rglob("record.json")] == ["seed2"]
        assert call([*command, "-q"]) == 1
        assert "Another process is running" in capsys.readouterr().err
        with pytest.raises(RunInUse):
            cl.run("simplecil", "split-digits", "test_vit@random", seed=1, limit=2, options=options,
                   existing="skip-running")  # fmt: skip
    assert call([*command, "--existing", "skip-running", "-q"]) == 0
    assert len(list((tmp_path / "results").rglob("record.json"))) == 2


def test_two_processes_share_a_grid(tmp_path: Path) -> None:
    code = "from cl.cli import main; main()"
    command = [sys.executable, "-c", code, "run", "-s", "simplecil", *SMALL, "--seed", "1,2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(cl.__file__).parent.parent)}
    command += ["--existing", "skip-running"]
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, env=environment, **pipes) for _ in range(2)]
    said = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    records = [load(path) for path in (tmp_path / "results").rglob("record.json")]
    assert [record["status"] for record in records] == ["complete"] * 2


def test_each_slot_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    auto, told = make_plan("simplecil", "split-digits"), make_plan("simplecil", "split-digits", device="cpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-5")
    assert gpus_for([told, auto]) == ["2", "GPU-5"] and gpus_for([told]) == []
    assert LocalExecutor().at_once([auto]) == 2 and LocalExecutor(runs_per_gpu=3).at_once([auto]) == 6
    assert LocalExecutor(jobs=1).at_once([auto]) == 1 and LocalExecutor().at_once([told]) == 1
    assert LocalExecutor(jobs=2).runs_per_process([auto] * 3) == 1, "each run has a process of its own"
    assert LocalExecutor(jobs=1).runs_per_process([auto] * 3) == 3, "this process executes all"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert gpus_for([auto]) == [] and LocalExecutor().at_once([auto]) == 1
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert gpus_for([auto]) == ["0", "1", "2"]


def test_a_process_sees_the_gpu_of_its_slot_unless_it_was_given_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, Any]] = []

    class Process:
        def __init__(self, target: Any, args: Any, name: str) -> None:
            seen.append((args[1].seed, args[3]))

        def start(self) -> None:
            raise OSError("no processes here")

    context = types.SimpleNamespace(Pipe=multiprocessing.Pipe, Process=Process)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: context)
    devices = ("auto", "cpu", "cuda", "cuda:1")
    plans = [make_plan("simplecil", "split-digits", seed=n, device=device) for n, device in enumerate(devices)]
    outcomes = LocalExecutor(jobs=2).execute(plans, Heard())
    assert [outcome.exit_code for outcome in outcomes] == [1] * 4 and "no processes here" in outcomes[0].error
    gpus = {seed: given.get("CUDA_VISIBLE_DEVICES") for seed, given in seen}
    assert (gpus[1], gpus[3]) == (None, None) and {gpus[0], gpus[2]} <= {"4", "5"}


def test_runs_at_once_compute_shared_features_once(
    tmp_path: Path, capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encoded(jobs: str) -> float:
        """The FLOPs that four runs executed, with a cache of their own."""
        monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / f"home{jobs}"))
        command = ["run", "-s", "simplecil,ncm", *SMALL, "--seed", "1,2", "--init-seed", "7", "-q", "--json"]
        assert call([*command, "--jobs", jobs, "--results", str(tmp_path / jobs)]) == 0
        records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert len(records) == 4
        return float(sum(record["measurement"]["flops"]["executed"] for record in records))

    # A second process passes one image to count its FLOPs; a block computed twice would be 16 images of about 320
    assert encoded("2") == pytest.approx(encoded("1"), rel=0.005)
