"""Batches from the images of several stores where they lie, and from one copy of them: the ratio of CPU seconds.

`python -m benchmarks.joined_batches` needs no data: it writes random images. Both sides read the same rows in turns and
must give the same pixels, as a strategy gets them. Target: at most 1.05 for batches of one store, such as of a task.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import cast

import click
import numpy as np
import torch

from benchmarks.measuring import FIGURE_COLUMNS, Clock, Figure, median_interval, table
from cl.data.joined_pixels import JoinedPixels
from cl.data.store import ImageStore, IndexArray, PixelArray
from cl.stream import ImageSet

LIMIT = 1.05
SIZES = (16, 64, 512)


def stores_in(folder: Path, stores: int, images: int, side: int) -> tuple[JoinedPixels, PixelArray]:
    """The images of some stores in a random order, joined, and copied into one memory map."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(stores):
        np.save(folder / f"{number}.npy", rng.integers(0, 256, (images, side, side, 3), np.uint8))
        pixels = np.load(folder / f"{number}.npy", mmap_mode="r")
        found.append(ImageStore(pixels, np.zeros(images, np.int64), str(number), hashes=np.zeros(images, np.uint64)))
    place = np.concatenate([number * images + rng.permutation(images) for number in range(stores)])
    joined = JoinedPixels(found, place, (side, side, 3))
    np.save(folder / "copy.npy", np.asarray(joined))
    return joined, np.load(folder / "copy.npy", mmap_mode="r")


def compare(joined: JoinedPixels, copy: PixelArray, batches: list[IndexArray]) -> float:
    """CPU seconds for all batches, joined / copied; the two take turns. Raises `SystemExit` if pixels differ."""
    clocks = Clock(), Clock()
    labels = np.zeros(len(copy), np.int64)
    stores = (ImageStore(cast(PixelArray, joined), labels, "0"), ImageStore(copy, labels, "0"))
    sets = [ImageSet(store, np.arange(len(copy)), labels) for store in stores]
    for number, rows in enumerate(batches):
        found = dict[int, torch.Tensor]()
        for side in (0, 1) if number % 2 else (1, 0):
            with clocks[side].running():
                found[side] = sets[side].pixels(rows)
        if not torch.equal(found[0], found[1]):
            raise SystemExit("The joined images are others than the copied ones.")
    return clocks[0].cpu / clocks[1].cpu


@click.command()
@click.option("--stores", default=20, show_default=True)
@click.option("--images", default=400, show_default=True, help="Images per store.")
@click.option("--side", default=64, show_default=True, help="Pixels of a side.")
@click.option("--rounds", default=9, show_default=True)
@click.option("--batches", default=200, show_default=True, help="Batches per round and size.")
def main(stores: int, images: int, side: int, rounds: int, batches: int) -> None:
    """Compare batches of joined images with batches of a copy."""
    rng, figures = np.random.default_rng(1), []
    with tempfile.TemporaryDirectory() as folder:
        joined, copy = stores_in(Path(folder), stores, images, side)
        for size in SIZES:
            for what, among in (("one store", 1), ("all stores", stores)):
                ratios = []
                for _ in range(rounds):
                    starts = rng.integers(0, stores - among + 1, batches) * images
                    ratios.append(compare(joined, copy, [s + rng.integers(0, images * among, size) for s in starts]))
                name = f"{size} images of {what}"
                figures.append(Figure(name, median_interval(ratios), LIMIT if among == 1 else None))
    click.echo(table(FIGURE_COLUMNS, [figure.row() for figure in figures]))


if __name__ == "__main__":
    main()
