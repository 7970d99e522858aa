"""`python -m tools.soak`: all its parts with a tally; exit code 1 if anything is silent or unexpected."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.soak import damage, fuzz, kills, report, shared
from tools.soak.outcome import Outcome
from tools.soak.scenarios import SCENARIOS, Workshop
from tools.soak.server import preload

PARTS = {"kill": kills.attempt, "shared": shared.attempt, "damage": damage.attempt, "fuzz": fuzz.attempt}
COUNTS = {"kill": "kills", "shared": "shared", "damage": "damage", "fuzz": "fuzz"}
"""Options that tell how many tries of each part are made."""

_WORKSHOP: list[Workshop] = []


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak and print its table."""
    options = _parser().parse_args(arguments)
    names = options.only or [f"{part}:{number}" for part in PARTS for number in range(getattr(options, COUNTS[part]))]
    if unknown := [
        name for name in names if name.partition(":")[0] not in PARTS or not name.partition(":")[2].isdigit()
    ]:
        print(
            f"There is no try {unknown[0]}; a try is {', '.join(PARTS)} with a number, such as kill:17.",
            file=sys.stderr,
        )
        return 2
    preload()
    base = Path(options.keep or tempfile.mkdtemp(prefix="clbench-soak-")).resolve()
    start, found = time.monotonic(), list[Outcome]()
    try:
        with report.Tally(len(names)) as tally:
            for outcome in _outcomes(names, base, options.seed, min(options.jobs, len(names))):
                found.append(outcome)
                tally.add(outcome)
    finally:
        if not options.keep:
            shutil.rmtree(base, ignore_errors=True)
    seconds = time.monotonic() - start
    if options.json:
        print(json.dumps(report.as_json(found, options.seed, seconds), indent=1))
    else:
        print(report.markdown(found, options.seed))
    for text in report.failures(found, options.seed):
        print(text, file=sys.stderr)
    return 1 if any(outcome.failed for outcome in found) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="runs that are killed")
    parser.add_argument("--shared", type=int, default=60, metavar="N", help="lost nodes, lost disks, crowds")
    parser.add_argument("--damage", type=int, default=400, metavar="N", help="stored files that are damaged")
    parser.add_argument("--fuzz", type=int, default=1500, metavar="N", help="odd inputs")
    parser.add_argument("--seed", type=int, default=0, help="everything that is drawn depends on it")
    parser.add_argument("--only", nargs="+", metavar="PART:N", help="only these tries, such as kill:17")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), metavar="N", help="tries at once")
    parser.add_argument("--keep", metavar="FOLDER", help="work in this folder and keep it")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    return parser


def _outcomes(names: Sequence[str], base: Path, seed: int, jobs: int) -> Iterator[Outcome]:
    """The outcomes of the tries, as they end. The workers are forked before anything is computed."""
    tries = [(name, seed) for name in names]
    if jobs <= 1:
        _prepare(base)
        yield from map(_try, tries)
        return
    with multiprocessing.get_context("fork").Pool(jobs, _prepare, (base,)) as pool:
        yield from pool.imap_unordered(_try, tries)


def _prepare(base: Path) -> None:
    _WORKSHOP[:] = [Workshop(base / f"worker-{os.getpid()}", next(iter(SCENARIOS.values())))]


def _try(which: tuple[str, int]) -> Outcome:
    name, seed = which
    part, _, number = name.partition(":")
    try:
        return PARTS[part](_WORKSHOP[0], int(number), seed)
    except Exception:  # a fault of the soak itself must not end it
        return Outcome(name, part, "unexpected", f"the soak failed: {traceback.format_exc()}")
