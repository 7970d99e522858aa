"""Peak memory and seconds to read, plan and open a declared stream of millions of generated images.

`python -m benchmarks.many_rows` needs no data: it writes a pack of small random images and a stream file over it. Each
step has a process of its own. The peak is the maximum resident memory, of which mapped files are a part (Linux).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.measuring import table

ROWS, SIDE, CLASSES, TASKS = 8_000_000, 4, 100, 10
LIMIT = 2 << 30
"""Target: at most so many bytes at once, whatever the step."""
_TOGETHER = 1 << 20
_FIRST_BATCH = """
import sys
import numpy as np
from cl.family import make_stream
stream = make_stream(sys.argv[1], progress=lambda *_: None)
images = stream.view(0).train
rows = np.random.default_rng(0).permutation(len(images))[:512]
print(stream.id, images.pixels(rows).sum().item())
"""
_CLBENCH = "import sys; from cl.cli import call; sys.exit(call(sys.argv[1:]))"


@dataclass(frozen=True)
class Step:
    """What a process took: seconds, peak bytes of resident memory, and what it printed."""

    seconds: float
    peak: int
    output: str


def write_pack(path: Path, rows: int, side: int, classes: int) -> None:
    """A pack of random RGB images, every fifth a test image, written piece by piece."""
    rng = np.random.default_rng(0)
    small = {
        "labels": (np.arange(rows) % classes).astype(np.int16),
        "split": (np.arange(rows) // classes % 5 == 4).astype(np.uint8),
        "classes": np.array([f"class {number:03d}" for number in range(classes)]),
        "meta": np.array(json.dumps({"licence": "none", "paper": "none"})),
    }
    with zipfile.ZipFile(path, "w") as pack:
        for name, values in small.items():
            with pack.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, values, allow_pickle=False)
        with pack.open("images.npy", "w", force_zip64=True) as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (rows, side, side, 3)}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, rows, _TOGETHER):
                count = min(_TOGETHER, rows - start)
                file.write(rng.integers(0, 256, (count, side, side, 3), np.uint8).tobytes())


def write_stream(folder: Path, rows: int, side: int, classes: int, tasks: int) -> Path:
    """A stream file over a pack in the same folder."""
    write_pack(folder / "many.npz", rows, side, classes)
    path = folder / "many.toml"
    path.write_text(
        f'name = "many"\nsetting = "class-incremental"\nsize = {side}\n'
        f'[[datasets]]\nname = "many"\nreader = "pack"\nfiles = ["many.npz"]\ntasks = {tasks}\n'
    )
    return path


def run(home: Path, program: str, *arguments: str) -> Step:
    """Run a Python program in a process of its own. Raises `SystemExit` if it fails."""
    start = time.perf_counter()
    environment = {**os.environ, "CLBENCH_HOME": str(home)}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments], stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed: {text}")
    return Step(time.perf_counter() - start, usage.ru_maxrss * 1024, text)


def measure(folder: Path, rows: int, side: int, classes: int, tasks: int) -> dict[str, Step]:
    """The steps: nothing but imports, the first opening, another one with a batch, a plan, and the table of tasks."""
    stream, home = str(write_stream(folder, rows, side, classes, tasks)), folder / "home"
    return {
        "imports alone": run(home, "import cl.family, cl.strategy"),
        "read, open, first batch": run(home, _FIRST_BATCH, stream),
        "open, first batch": run(home, _FIRST_BATCH, stream),
        "run --dry-run": run(home, _CLBENCH, "run", "-s", "slda", "--stream", stream, "--dry-run"),
        "info": run(home, _CLBENCH, "info", stream),
    }


@click.command()
@click.option("--rows", default=ROWS, show_default=True, help="Images.")
@click.option("--side", default=SIDE, show_default=True, help="Pixels of a side.")
@click.option("--classes", default=CLASSES, show_default=True)
@click.option("--tasks", default=TASKS, show_default=True)
def main(rows: int, side: int, classes: int, tasks: int) -> None:
    """Measure the peak memory of reading, planning and opening."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), rows, side, classes, tasks)
    lines = []
    base = found["imports alone"].peak
    for name, step in found.items():
        lines.append([name, f"{step.seconds:.1f}", f"{step.peak / 1e6:.0f}", f"{(step.peak - base) / rows:.0f}"])
    click.echo(table(["step", "seconds", "peak in MB", "bytes per image beyond imports"], lines))
    met = max(step.peak for step in found.values()) <= LIMIT
    click.echo(f"The peak is {'below' if met else 'ABOVE'} {LIMIT >> 30} GiB for {rows:,} images of {side} pixels.")


if __name__ == "__main__":
    main()
