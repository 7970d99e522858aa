"""A grid of sixty runs on a Ray cluster of two nodes, one of which is killed in the middle and replaced.

    python -m benchmarks.ray_grid FOLDER

Starts a cluster on this machine (a head that executes nothing, two nodes of one CPU), and `clbench sweep` on it. After
15 runs one node is killed, after 25 another is added. Then the local executor executes the same grid in another
folder, and every result must be equal. Prints the log of the sweep, how often each run was started, and the times that
the dry run had estimated. Exits with 1 if a run is missing, differs, or was done twice without having been in flight.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

GRID = Path(__file__).with_name("sixty-runs.toml")
KILL_AFTER, ADD_AFTER = 15, 25
MEMORY = 80 * 2**20
_START = re.compile(r" INFO .* -> ")


def sweep(results: Path, *more: str) -> list[str]:
    """The command that executes the grid."""
    command = [sys.executable, "-m", "cl.cli", "sweep", str(GRID), "--results", str(results), "--threads", "1"]
    return [*command, "--progress", "plain", *more]


def complete(results: Path) -> dict[str, dict[str, Any]]:
    """The complete records below a folder, by the path of their run."""
    found = {}
    for path in sorted(results.rglob("record.json")):
        record = json.loads(path.read_text())
        if record["status"] == "complete":
            found[str(path.parent.relative_to(results))] = record
    return found


def starts(results: Path) -> Counter[str]:
    """How often each run was started, as its log tells."""
    logs = results.rglob("log.txt")
    return Counter({str(log.parent.relative_to(results)): len(_START.findall(log.read_text())) for log in logs})


def on_ray(results: Path) -> tuple[float, set[str]]:
    """Execute the grid while a node is killed and one is added; returns the seconds and the runs in flight then."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    head: dict[str, Any] = {"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False}
    head["_system_config"] = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=MEMORY) for _ in range(2)]
    began, flying = time.monotonic(), set[str]()
    process = subprocess.Popen(sweep(results, "--executor", "ray", "--executor-set", f"address={cluster.address}"))
    try:
        for runs, what in ((KILL_AFTER, "kill"), (ADD_AFTER, "add")):
            while process.poll() is None and len(list(results.rglob("predictions.npz"))) < runs:
                time.sleep(0.2)
            if what == "kill":
                flying = set(starts(results)) - set(complete(results))
                cluster.remove_node(nodes[1], allow_graceful=False)
                print(
                    f"*** {time.monotonic() - began:.0f} s: a node is killed; in flight: {len(flying)} runs", flush=True
                )
            else:
                cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
                print(f"*** {time.monotonic() - began:.0f} s: a node is added", flush=True)
        process.wait()
    finally:
        process.kill()
        cluster.shutdown()
    return time.monotonic() - began, flying


def main() -> int:
    """Run everything; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="an empty folder, for two results folders and a cache")
    folder: Path = parser.parse_args().folder.absolute()
    os.environ["CLBENCH_HOME"] = str(folder / "home")
    seconds, flying = on_ray(folder / "ray")
    began = time.monotonic()
    subprocess.run(sweep(folder / "local", "--jobs", "2"), check=False)
    local = time.monotonic() - began
    subprocess.run(
        [*sweep(folder / "again"), "--dry-run", "--speeds-from", str(folder / "local"), "--jobs", "2"], check=False
    )
    ray, alone = complete(folder / "ray"), complete(folder / "local")
    equal = sum(record["result_sha256"] == alone.get(run, {}).get("result_sha256") for run, record in ray.items())
    begun = starts(folder / "ray")
    twice = {run: number for run, number in begun.items() if number > 1}
    print(f"Ray: {len(ray)} of 60 runs complete in {seconds:.0f} s; local, two at once: {len(alone)} in {local:.0f} s")
    print(f"equal results: {equal} of 60")
    print(f"started more than once: {len(twice)}, all in flight when the node was killed: {set(twice) <= flying}")
    work = sum(record["measurement"]["seconds"]["total"] for record in alone.values())
    print(f"seconds of the local runs themselves, without starts of processes: {work:.0f}")
    return 0 if equal == len(ray) == len(alone) == 60 and set(twice) <= flying else 1


if __name__ == "__main__":
    sys.exit(main())
