"""Runs on a Ray cluster of several nodes on this machine: a lost node, interrupts, folders that are not shared."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import cl
from cl.cli import signals
from cl.errors import UsageError
from cl.executors.base import make_executor
from cl.executors.ray import RayExecutor, _Grid
from cl.plan.plan import Plan, make_plan
from cl.records.record import load
from tests.help.grids import Heard, equal_local, odd_plans, until, waiting

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
MEMORY = 80 * 2**20


def test_without_ray_the_executor_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"^Executor 'ray' needs the package ray: pip install 'clbench\[ray\]'\.$"):
        make_executor("ray")


@needs_ray
def test_an_address_where_no_cluster_is_ends_in_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UsageError, match=rf"^no Ray cluster at {address} \(.*refused\); `ray status` shows one\.$"):
            RayExecutor(address=address).execute(odd_free_plans(1), Heard())


@pytest.fixture
def cluster(odd: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster whose head executes nothing, with two nodes of one CPU, which find the plugin of this test."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(odd), str(Path(cl.__file__).parent.parent)]))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    head: dict[str, Any] = {"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False}
    head["_system_config"] = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}
    made = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2):
            made.add_node(num_cpus=1, object_store_memory=MEMORY)
        yield made
    finally:
        made.shutdown()


def executor(cluster: Any, **options: Any) -> RayExecutor:
    return RayExecutor(address=cluster.address, threads=1, **options)


@needs_ray
@pytest.mark.slow
def test_a_grid_survives_the_loss_of_a_node_and_equals_the_local_executor(cluster: Any, tmp_path: Path) -> None:
    plans = [*odd_plans([1, 2], "wait"), *odd_plans([3, 4, 5, 6])]
    heard = Heard()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(executor(cluster).execute, plans, heard)
        node = cluster.list_all_nodes()[1]
        until(lambda: len(waiting()) == 2)
        lost = [each.seed for each in waiting() if each.node == node.node_id]
        cluster.remove_node(node, allow_graceful=False)
        cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
        Path("go").touch()
        outcomes = running.result()
    assert [outcome.error for outcome in outcomes] == [""] * 6 and len(lost) == 1
    assert sorted(index for _, index, _ in heard.begun) == list(range(6)) and len(heard.ended) == 6
    learned = Path("learned").read_text().split()
    again = f"{lost[0]}/1"
    assert sorted(learned) == sorted([f"{plan.seed}/{task}" for plan in plans for task in (0, 1)] + [again]), (
        "only the task that was in flight on the lost node is repeated"
    )
    (resumed,) = [each for each in outcomes if each.result and each.result.record["measurement"]["resumed_from"]]
    assert resumed.plan.seed == lost[0]
    assert f"{lost[0]}: the node or process of this run was lost; it is repeated." in heard.lines
    equal_local(outcomes, tmp_path)


@needs_ray
@pytest.mark.slow
def test_runs_that_fail_and_folders_that_are_not_shared(cluster: Any, tmp_path: Path) -> None:
    fine, fails, kills, own = *odd_plans([1]), *odd_plans([2], "fail"), *odd_plans([3], "kill"), *odd_plans([4])

    class OfThisProcess:
        """Options that no other process can read."""

    own = dataclasses.replace(own, options=OfThisProcess())
    heard = Heard()
    grid = executor(cluster, shared=False, retries=1, in_flight=1)
    outcomes = grid.execute([fine, fails, kills, own], heard)
    assert [outcome.exit_code for outcome in outcomes] == [0, 1, 1, 1]
    assert sorted(path.name for path in fine.folder.iterdir()) == [
        *("config.toml", "events.jsonl", "inputs.json", "log.txt", "predictions.npz", "record.json")
    ]
    equal_local(outcomes[:1], tmp_path)
    assert f"The traceback is in {fails.folder / 'log.txt'}" in outcomes[1].error
    assert "ZeroDivisionError: oh" in (fails.folder / "log.txt").read_text()
    assert outcomes[2].error == (
        "its node or process was lost 2 times; this continues it: clbench run -s odd --stream split-digits "
        f"--backbone test_vit@random --set how=kill --set stream.tasks=2 --limit 2 --seed 3 --results {kills.results}"
    )
    assert outcomes[3].error.startswith("this run cannot be sent to other nodes (")
    stored = (fine.folder / "record.json").stat().st_mtime_ns
    (again,) = grid.execute([fine], heard)
    assert again.result is not None and not again.result.executed
    assert (fine.folder / "record.json").stat().st_mtime_ns == stored


@needs_ray
@pytest.mark.slow
def test_an_interrupt_keeps_checkpoints_and_starts_no_other_run(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        until(lambda: len(waiting()) == 2)
        os.kill(os.getpid(), signal.SIGTERM)

    plans, heard = odd_plans([1, 2, 3, 4, 5], "wait"), Heard()
    thread = threading.Thread(target=interrupt)
    thread.start()
    with signals.handled():
        outcomes = executor(cluster).execute(plans, heard)
    thread.join()
    assert [outcome.exit_code for outcome in outcomes] == [130, 130]
    assert [load(outcome.plan.folder / "record.json")["status"] for outcome in outcomes] == ["partial", "partial"]
    until(lambda: all("interrupted" in (each.plan.folder / "log.txt").read_text() for each in outcomes))
    Path("go").touch()
    (continued,) = executor(cluster).execute([outcomes[0].plan], heard)
    assert continued.result is not None and continued.result.record["measurement"]["resumed_from"]


def test_at_most_twice_what_the_cluster_holds_is_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for Ray, because nothing is executed."""
    ray = FakeRay([{"CPU": 4.0, "GPU": 2.0}, {"CPU": 16.0, "GPU": 1.0}, {"CPU": 8.0}])
    monkeypatch.setitem(sys.modules, "ray", ray)
    plans = odd_free_plans(40)
    grid = _Grid(RayExecutor(threads=2), plans, Heard())
    grid._look()
    assert (grid.gpus, grid.room) == (1.0, 6), "one run per GPU"
    ray.added.append({"CPU": 4.0, "GPU": 4.0})
    grid.looked = 0.0
    grid._look()
    assert grid.room == 10, "a node has joined, with CPUs for two runs"
    for gpus, in_flight, room in ((0.5, 0, 2 * (2 + 2 + 2)), (0.0, 7, 7)):
        grid = _Grid(RayExecutor(threads=2, gpus=gpus, in_flight=in_flight), plans, Heard())
        grid._look()
        assert grid.room == room
    grid = _Grid(RayExecutor(threads=2, gpus=8.0), plans, Heard())
    grid._look()
    assert grid.room == 1, "no node holds a run, and one that is submitted lets a cluster grow"


class FakeRay(ModuleType):
    """Says what its nodes have; cannot execute anything."""

    def __init__(self, nodes: list[dict[str, float]]) -> None:
        super().__init__("ray")
        self.added = nodes

    def remote(self, *_: Any, **__: Any) -> Any:
        return lambda what: self

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": each} for each in self.added]


def odd_free_plans(number: int) -> list[Plan]:
    return [make_plan("simplecil", "split-digits", seed=seed) for seed in range(number)]
