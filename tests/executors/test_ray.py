"""Runs on a real Ray cluster of several nodes on this machine: loss of a node, interrupts, folders that are not shared."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import cl
from cl.errors import UsageError
from cl.executors.base import make_executor
from cl.executors.local import LocalExecutor
from cl.executors.ray import RayExecutor
from cl.plan.plan import Plan, make_plan
from cl.records.record import load
from tests.help.grids import Heard, odd_plans, until, waiting

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
MEMORY = 80 * 2**20


def test_without_ray_the_executor_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"^Executor 'ray' needs the package ray: pip install 'clbench\[ray\]'\.$"):
        make_executor("ray")


@pytest.fixture
def cluster(odd: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster whose head executes nothing, with two nodes of one CPU, which find the plugin of this test."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(odd), str(Path(cl.__file__).parent.parent)]))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    head = {"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False}
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
        lost = [each.seed for each in until(lambda: len(waiting()) == 2 and waiting()) if each.node == node.node_id]
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
