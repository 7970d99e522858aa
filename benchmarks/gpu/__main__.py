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
from benchmarks.gpu.speed import speed

GRIDS = ("b2-224.toml", "b2-224-all.toml")
"""Sweeps of this folder, the most important first."""

PARTS = ("checks", "speed", "rows")

WEIGHTS = "deit_tiny_patch16_224_in1k_fp16.safetensors"
IMAGES = ("cifar100_train.npz", "cifar-100-python.tar.gz", "cifar-100-binary.tar.gz", "cifar-100-matlab.tar.gz")

REHEARSED = "sweep -s simplecil,finetune --stream split-digits --limit 4 --set stream.tasks=2 --set finetune.epochs=1"


def clbench(arguments: list[str]) -> None:
    """The command line of clbench, which dies at a step if the environment says so."""
    from cl.cli import main

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


def _found(bench: Bench, *names: str) -> bool:
    """Whether a folder of data holds one of these files."""
    given = [str(bench.data), *filter(None, os.environ.get("CLBENCH_DATA_PATH", "").split(os.pathsep))]
    folders = [Path(folder, part) for folder in given for part in ("", "images", "weights")]
    return any((folder / name).is_file() for folder in folders for name in names)


def rows(bench: Bench) -> None:
    """Run the sweeps until the time is over; stopped runs keep their checkpoints, and the same program goes on."""
    done: list[dict[str, Any]] = []
    if not bench.rehearse and not (_found(bench, *IMAGES) and _found(bench, WEIGHTS)):
        print(f"No rows: {bench.data} and CLBENCH_DATA_PATH lack the images of CIFAR-100 or {WEIGHTS}.")
        return
    folder = Path(__file__).parent
    for sweep in [REHEARSED] if bench.rehearse else [f"sweep {shlex.quote(str(folder / name))}" for name in GRIDS]:
        if bench.left() < (0 if bench.rehearse else 20):
            print("The time for rows is over.", flush=True)
            return
        clock = time.monotonic()
        device = "cpu" if bench.rehearse else "cuda"
        command = f"{sweep} --device {device} --jobs {bench.jobs}"
        code = child(bench, f"{command} --results {shlex.quote(str(bench.results))} --progress plain", bench.left())
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
    parser.add_argument("--jobs", type=int, default=0, help="runs that share the GPU (default: one per two cores)")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="parts to do (default: all)")
    parser.add_argument("--data", type=Path, default=ROOT / "gpu-data", help="folder of CIFAR-100 and the weights")
    parser.add_argument("--out", type=Path, help="folder of the tables (default: results/reference/speed)")
    parser.add_argument("--results", type=Path, help="folder of the rows (default: results/reference/deit-tiny-224)")
    given = parser.parse_args(arguments)
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
        jobs = given.jobs or max(1, (os.cpu_count() or 1) // 2)
        end = now + 60 * given.minutes - 30
        bench = Bench(device, card, given.rehearse, out, results, data, end, now, jobs)
        passed = "checks" not in given.only or checks(bench)
        if "speed" in given.only:
            speed(bench)
        if "rows" in given.only:
            rows(bench)
    return 0 if passed else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["clbench"]:
        clbench(sys.argv[2:])
    else:
        sys.exit(main(sys.argv[1:]))
