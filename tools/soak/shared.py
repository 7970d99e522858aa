"""Shared disks: a node that is lost, a disk that goes away and comes back, eight processes on one folder and one cache.

The other node is this machine under another name: the leases that a killed run leaves are given another host, so that
whoever continues it has to watch them.
"""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tools.soak.kills import finished, moment
from tools.soak.outcome import Outcome, failure, symptom_in
from tools.soak.scenarios import SCENARIOS, Workshop, contents
from tools.soak.server import clbench, together

METHODS = ("simplecil", "slca", "replay", "l2p")
PROCESSES = 8
SEEDS = "1,2,3,4"
PATIENCE, BEAT = 0.6, 0.1
"""Seconds in place of those of `cl.leases`, so that a try takes seconds."""


def attempt(workshop: Workshop, number: int, seed: int) -> Outcome:
    """One of the three disturbances, in turn."""
    rng = random.Random(f"{seed} shared {number}")
    workshop.scenario = SCENARIOS[METHODS[number // 3 % len(METHODS)]]
    kind, disturb = KINDS[number % len(KINDS)]
    verdict, why, count = disturb(workshop, rng)
    return Outcome(f"shared:{number}", kind, verdict, why, count)


def quick(function: Callable[[], int]) -> Callable[[], int]:
    """A command with leases that count, and are given up, within a second."""

    def command() -> int:
        from cl import leases

        leases.BEAT, leases.PATIENCE = BEAT, PATIENCE
        return function()

    return command


# ------------------------------------------------------------------------------------------------------------ node lost


def lose_node(workshop: Workshop, rng: random.Random) -> tuple[str, str, int]:
    """A run is killed with its machine; the same command on another machine finishes it."""
    whole = workshop.whole
    workshop.enter(rng.choice(("inputs", "warm")))
    strike = moment(rng, whole.ticks, whole.seconds, signal.SIGKILL)
    done = workshop.run(workshop.command(), strike)
    if done.code not in (0, -signal.SIGKILL):
        return "unexpected", f"{strike}: {failure(done)[1]}", 1
    left = move_elsewhere(workshop.work)
    verdict, why = finished(workshop, workshop.run(quick(workshop.command())))
    if not why and (stale := leases_in(workshop.work)):
        verdict, why = "unexpected", f"leases remain: {', '.join(path.name for path in stale)}"
    return verdict, f"{strike}, {left} leases left: {why}" if why else "", int(done.struck)


def leases_in(folder: Path) -> list[Path]:
    """The files of leases below a folder."""
    return [path for path in folder.rglob("*") if path.is_file() and b'"token"' in path.read_bytes()[:500]]


def move_elsewhere(folder: Path) -> int:
    """Give every lease below a folder another host; the number of leases."""
    found = leases_in(folder)
    for path in found:
        about, _, counter = path.read_bytes().partition(b"\n")
        moved = {**json.loads(about), "host": "elsewhere", "machine": "another boot"}
        path.write_bytes(json.dumps(moved).encode() + b"\n" + counter)
    return len(found)


# ------------------------------------------------------------------------------------------------------------ disk away


def lose_disk(workshop: Workshop, rng: random.Random) -> tuple[str, str, int]:
    """The results folder is away for a while, once or twice, while a run writes to it; the run outlasts it."""
    whole = workshop.whole
    workshop.enter(rng.choice(("inputs", "warm")))
    times = [(start, rng.uniform(0.05, 1.5)) for start in starts(rng, whole.seconds)]
    note = workshop.work / "outages"
    done = workshop.run(_with_outages(quick(workshop.command()), Path("results"), times, note))
    count = len(note.read_text().split()) if note.exists() else 0
    verdict, why = finished(workshop, done)
    if done.code == 0 and "is back" not in done.err + done.out and "cannot be reached" in done.err + done.out:
        verdict, why = "unexpected", "the run does not say that the disk is back"
    told = ", ".join(f"away after {start:.2f} s for {length:.2f} s" for start, length in times)
    return verdict, f"{told}: {why}" if why else "", count


def starts(rng: random.Random, seconds: float) -> list[float]:
    """Seconds before each outage: after the first checkpoint, and after the outage before."""
    return [rng.choice((0.0, rng.uniform(0, 0.2) * seconds)) for _ in range(rng.randint(1, 2))]


def _with_outages(
    function: Callable[[], int], results: Path, times: list[tuple[float, float]], note: Path
) -> Callable[[], int]:
    """A command whose results folder is renamed away and back by a thread, once the run has a checkpoint folder."""

    over = threading.Event()

    def disturb() -> None:
        while not any(results.rglob("checkpoint")):
            if over.wait(0.01):
                return
        away = results.with_name("away")
        for start, length in times:
            if over.wait(start):
                return
            results.rename(away)
            time.sleep(length)
            away.rename(results)
            with note.open("a") as file:
                file.write("away\n")

    def command() -> int:
        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            return function()
        finally:
            over.set()
            thread.join()

    return command


# -------------------------------------------------------------------------------------------------- eight processes


def crowd(workshop: Workshop, rng: random.Random) -> tuple[str, str, int]:
    """Eight processes run one grid with one cold cache: each run is done once, each block of features computed once."""
    workshop.scenario = SCENARIOS["simplecil"]
    command = workshop.scenario.command("--seed", SEEDS, "--existing", "skip-running")
    runs = _grid_alone(workshop, command)
    workshop.enter("inputs")
    delays = [rng.choice((0.0, rng.random())) for _ in range(PROCESSES)]
    for number, ended in enumerate(together([_later(command, delay) for delay in delays], workshop.work)):
        if ended.code != 0:
            return "unexpected", f"process {number}: {failure(ended)[1]}", PROCESSES
        if symptom := symptom_in(ended.err):
            return "unexpected", f"process {number} prints {symptom!r}", PROCESSES
    results = workshop.work / "results"
    found = {path.parent.relative_to(results): contents(path.parent) for path in results.rglob("record.json")}
    if found != runs:
        return "silent", f"{len(found)} runs, of which {sum(found[k] == runs.get(k) for k in found)} are as alone", 8
    started = {folder: (results / folder / "log.txt").read_text().count(" -> ") for folder in found}
    if set(started.values()) != {1}:
        return "unexpected", f"runs were started {sorted(started.values())} times", PROCESSES
    if twice := computed_twice(workshop.work / "home" / "features"):
        return "unexpected", f"{twice} blocks of features were computed more than once", PROCESSES
    if stale := leases_in(workshop.work):
        return "unexpected", f"leases remain: {', '.join(path.name for path in stale)}", PROCESSES
    return "equal", "", PROCESSES


_ALONE: dict[Path, dict[Path, tuple[dict[str, object], str, str]]] = {}


def _grid_alone(workshop: Workshop, command: list[str]) -> dict[Path, tuple[dict[str, object], str, str]]:
    """The runs of the grid by one process, by their folders; made once."""
    if workshop.base not in _ALONE:
        workshop.enter("inputs")
        done = workshop.run(clbench(command))
        if done.code != 0:
            raise RuntimeError(f"the undisturbed grid fails: {done.err[-2000:]}")
        results = workshop.work / "results"
        _ALONE[workshop.base] = {
            path.parent.relative_to(results): contents(path.parent) for path in results.rglob("record.json")
        }
    return _ALONE[workshop.base]


def _later(command: list[str], delay: float) -> Callable[[], int]:
    def run() -> int:
        time.sleep(delay)
        return clbench(command)()

    return run


def computed_twice(features: Path) -> int:
    """How many blocks of features are in more than one file of a cache."""
    from cl.training import state

    twice = 0
    for folder in features.iterdir():
        counts: Counter[int] = Counter()
        for path in folder.glob("*.safetensors"):
            counts.update(state.load(path)["blocks"].tolist())
        twice += sum(count > 1 for count in counts.values())
    return twice


KINDS: tuple[tuple[str, Callable[[Workshop, random.Random], tuple[str, str, int]]], ...] = (
    ("node lost", lose_node),
    ("disk away and back", lose_disk),
    ("8 processes, cold cache", crowd),
)
