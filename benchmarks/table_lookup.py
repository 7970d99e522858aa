"""Seconds to look up memoised features of up to 1.28 million images; they must grow linearly.

`python -m benchmarks.table_lookup` needs no data: its images have one pixel, and its extractor computes nothing.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from benchmarks.measuring import Clock, table
from cl.backbone.transform import Transform
from cl.data.store import ImageStore
from cl.training.encodings import Encodings

SIZES = (160_000, 320_000, 640_000, 1_280_000)
CLASSES, TASKS, BATCH = 1000, 100, 64
COLD = (10_000, 20_000)
"""Sizes of the measurement with an empty cache."""
LIMIT = 2.0
"""Target: at most so many CPU seconds to look up all features of the largest table."""


class Nothing:
    """An extractor of one feature, the pixel; it costs as little as possible."""

    dim, key, is_pristine = 1, "nothing", True
    transform: Any = Transform(1, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, 0, 0]


def store_of(images: int) -> ImageStore:
    """`images` images of one pixel in classes of equal size."""
    labels = np.sort(np.arange(images) % CLASSES)
    pixels = (np.arange(images) % 251).astype(np.uint8).reshape(-1, 1, 1, 1)
    return ImageStore(pixels, labels, f"synthetic {images}")


def measure(images: int, folder: Path) -> dict[str, float]:
    """CPU seconds to compute all features task by task, to look them up, and to read them in another run.

    A lookup is for the images of each task, in class order, and then for batches of mixed images, as in evaluations.
    Raises `SystemExit` if a feature is wrong.
    """
    store, device = store_of(images), torch.device("cpu")
    tasks = np.array_split(np.arange(images), TASKS)
    batches = np.array_split(np.random.default_rng(1).permutation(images), -(-images // BATCH))
    expected = torch.from_numpy(store.pixels.reshape(-1).astype(np.float32) / 255)
    compute, by_task, by_batch, read = Clock(), Clock(), Clock(), Clock()  # "compute" is bookkeeping and files alone

    def look_up(encodings: Encodings, parts: list[np.ndarray], clock: Clock) -> None:
        with clock.running():
            found = [encodings.get(Nothing(), store, rows, device) for rows in parts]
        if not torch.allclose(torch.cat(found).flatten(), expected[torch.from_numpy(np.concatenate(parts))]):
            raise SystemExit("A feature is wrong; the measurement is not valid.")

    first = Encodings(folder)
    look_up(first, tasks, compute)
    first.flush()
    look_up(first, tasks, by_task)
    look_up(first, batches, by_batch)
    look_up(Encodings(folder), tasks, read)
    return {"compute": compute.cpu, "tasks": by_task.cpu, "batches": by_batch.cpu, "read and tasks": read.cpu}


def measure_cold_batches(images: int, folder: Path) -> float:
    """CPU seconds of a cold run that asks for its images in shuffled batches, as an evaluation does."""
    store, clock, encodings = store_of(images), Clock(), Encodings(folder)
    batches = np.array_split(np.random.default_rng(1).permutation(images), -(-images // BATCH))
    with clock.running():
        for rows in batches:
            encodings.get(Nothing(), store, rows, torch.device("cpu"))
    return clock.cpu


@click.command()
@click.option("--images", multiple=True, type=click.IntRange(1), help="Sizes.  [default: 160000 to 1280000]")
def main(images: tuple[int, ...]) -> None:
    """Measure looking up memoised features."""
    torch.set_num_threads(1)
    rows, found = [], {}
    for size in images or SIZES:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(size, Path(folder))
        rows.append((f"{size:,}", *(f"{seconds:.2f}" for seconds in found.values())))
    click.echo(table(("images", *(f"{name}, CPU s" for name in found)), rows))
    whole = found["tasks"] + found["batches"]
    verdict = "met" if whole <= LIMIT else "missed"
    for size in COLD:
        with tempfile.TemporaryDirectory() as folder:
            cold = measure_cold_batches(size, Path(folder))
        click.echo(f"{size:,} images in shuffled batches of {BATCH} with an empty cache: {cold:.2f} CPU s")
    click.echo(f"All features of the last size, by task and by batch: {whole:.2f} s, at most {LIMIT:.0f} s: {verdict}")


if __name__ == "__main__":
    main()
