"""Checks and measures clbench on one GPU, then runs rows of board B2-224 until the time is over: `make gpu`."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.gpu.bench import DIE, ROOT, Bench, child
from benchmarks.gpu.checks import checks
from benchmarks.gpu.pack import PACK, WEIGHTS, pack, use_if_there
from benchmarks.gpu.speed import speed

SAMPLE = "--stream split-cifar100 --set stream.train_per_class=100 --set stream.test_per_class=50 --precision bf16"
SMALL = "--preset small"
ROWS = [
    *("-s simplecil", f"-s ranpac {SMALL}", f"-s slca {SMALL}", "-s finetune --preset seq-ft-uniform-small"),
    *(f"-s {name} {SMALL}" for name in ("mos", "aper", "norga", "l2p")),
    *("-s kvb --set codebooks=256", "-s linear-probe --set lr=0.005 --set epochs=10"),
]
"""Rows of B2-224, those of B2 with a preset for its backbone: claims C1 and C2 of docs/claims.md first."""

SEEDS = (1993, 1996, 1997)
"""All rows get the first seed before any gets the second."""

REHEARSED = ["-s simplecil", "-s finetune --set epochs=1"]


def clbench(arguments: list[str]) -> None:
    """The command line of clbench, on the images of the pack if they are there."""
    from cl.cli import main

    use_if_there()
    if DIE in os.environ:
        _die_at(int(os.environ[DIE]))
    sys.argv = ["clbench", *arguments]
    main()


def _die_at(step: int) -> None:
    """Kill this process by SIGKILL before a step of a fit."""
    from cl.training.fit import Fit

    one_step, steps = Fit._one_step, itertools.count()

    def until(self: Fit, *arguments: Any) -> None:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        one_step(self, *arguments)

    Fit._one_step = until  # type: ignore[method-assign, assignment]


def commands(bench: Bench) -> Iterator[str]:
    """The runs of B2-224, the most important first."""
    if bench.rehearse:
        for row in REHEARSED:
            yield f"run {row} --stream split-digits --limit 4 --set stream.tasks=2 --device cpu"
        return
    for seed, row in itertools.product(SEEDS, ROWS):
        if seed != SEEDS[0] and "simplecil" in row:
            continue  # its accuracy does not depend on the order
        yield f"run {row} {SAMPLE} -b deit_tiny_patch16_224@{WEIGHTS} --seed {seed} --device cuda"


def _found(bench: Bench, *names: str) -> bool:
    """Whether a folder of data holds one of these files."""
    given = [str(bench.data), *filter(None, os.environ.get("CLBENCH_DATA_PATH", "").split(os.pathsep))]
    folders = [Path(folder, part) for folder in given for part in ("", "images", "weights")]
    return any((folder / name).is_file() for folder in folders for name in names)


def rows(bench: Bench) -> None:
    """Run rows until the time is over; a run that it stops keeps its checkpoint, and the same program continues it."""
    done: list[dict[str, Any]] = []
    images = _found(bench, PACK, "cifar100_train.npz", "cifar-100-python.tar.gz")
    if not bench.rehearse and not (images and _found(bench, WEIGHTS)):
        print(f"No rows: {bench.data} lacks images or weights; make it with: python -m benchmarks.gpu --pack FOLDER.")
        return
    for command in commands(bench):
        if bench.left() < (0 if bench.rehearse else 20):
            print("The time for rows is over.", flush=True)
            return
        clock = time.monotonic()
        code = child(bench, f"{command} --results {shlex.quote(str(bench.results))} -q", bench.left())
        how = "stopped: the time was over" if code is None else "complete" if code == 0 else f"failed with code {code}"
        seconds = f"{time.monotonic() - clock:.1f}"
        done.append({"card": bench.card, "command": command, "outcome": how, "seconds": seconds})
        print(f"{how} after {seconds} s: clbench {command}", flush=True)
        bench.table("-rows", done)


@contextmanager
def rehearsal(rehearse: bool) -> Iterator[Path | None]:
    """A folder for the files of a rehearsal, which measures nothing worth keeping."""
    if not rehearse:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def main(arguments: list[str]) -> int:
    """Run the parts; the exit code is 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rehearse", action="store_true", help="go through every part on the CPU, in a tiny size")
    parser.add_argument("--minutes", type=float, default=8.0, help="time for everything (default: 8)")
    parser.add_argument("--data", type=Path, default=ROOT / "gpu-data", help="folder made by --pack")
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="write the data for a GPU machine, and stop")
    parser.add_argument("--out", type=Path, help="folder of the tables (default: results/reference/speed)")
    parser.add_argument("--results", type=Path, help="folder of the rows (default: results/reference/deit-tiny-224)")
    given = parser.parse_args(arguments)
    if given.pack is not None:
        pack(given.pack)
        return 0
    import torch

    if not torch.cuda.is_available() and not given.rehearse:
        print("No CUDA GPU is present, so nothing is measured; --rehearse goes through every part on the CPU.")
        return 0
    device = torch.device("cpu" if given.rehearse else "cuda")
    name = "rehearsal" if given.rehearse else torch.cuda.get_device_name()
    card = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    now = time.monotonic()
    with rehearsal(given.rehearse) as folder:
        reference = folder or ROOT / "results" / "reference"
        out, results = given.out or reference / "speed", given.results or reference / "deit-tiny-224"
        out, results, data = (path.resolve() for path in (out, results, given.data))  # children run in another folder
        bench = Bench(device, card, given.rehearse, out, results, data, now + 60 * given.minutes - 30, now)
        passed = checks(bench)
        speed(bench)
        rows(bench)
    return 0 if passed else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["clbench"]:
        clbench(sys.argv[2:])
    else:
        sys.exit(main(sys.argv[1:]))
