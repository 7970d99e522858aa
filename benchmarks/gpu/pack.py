"""The images and the weights that a machine with a GPU needs, in one small folder, and the stream that reads it."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

PACK, PER_CLASS = "cifar100-150.npz", {"train": 150, "test": 50}
WEIGHTS = "deit_tiny_patch16_224_in1k_fp16.safetensors"


def pack(folder: Path) -> None:
    """Write the images and the weights that a machine with a GPU needs, about 50 MB, from CLBENCH_DATA_PATH."""
    import shutil

    from PIL import Image

    from cl.data import catalog
    from cl.data.sources import candidates

    weights = next(candidates((WEIGHTS,), ("weights",)), None)
    if weights is None:
        raise SystemExit(f"{WEIGHTS} was not found; put it into a folder of CLBENCH_DATA_PATH.")
    dataset = catalog.load("cifar100")
    folder.mkdir(parents=True, exist_ok=True)
    encoded: list[bytes] = []
    labels: list[int] = []
    splits: list[int] = []
    for code, name in enumerate(PER_CLASS):
        store = getattr(dataset, name)
        for label in range(len(dataset.class_names)):
            for row in np.flatnonzero(store.labels == label)[: PER_CLASS[name]]:
                with BytesIO() as file:
                    Image.fromarray(np.asarray(store.pixels[row])).save(file, "WEBP", lossless=True, method=4)
                    encoded.append(file.getvalue())
                labels.append(label)
                splits.append(code)
    np.savez(
        folder / PACK, data=np.frombuffer(b"".join(encoded), np.uint8),
        offsets=np.cumsum([0, *map(len, encoded)]).astype(np.int64), labels=np.array(labels, np.int16),
        split=np.array(splits, np.uint8), classes=np.array(dataset.class_names),
        meta=np.array(json.dumps({"channels": 3, "source": "CIFAR-100, the first images of each class by hash"})),
    )  # fmt: skip
    shutil.copyfile(weights[0], folder / WEIGHTS)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {len(labels):,} images and the weights, {size / 1e6:.1f} MB")


def use_if_there() -> None:
    """Let `split-cifar100` read the pack in this process if a folder of data holds it.

    Its dataset has another name and fingerprint than CIFAR-100, so records tell the two apart. With the same limits per
    class, up to those of the pack, the images are the same.
    """
    from cl.data import reads
    from cl.data.catalog import declaration
    from cl.data.readers import read_packs
    from cl.data.sources import candidates
    from cl.data.store import Dataset
    from cl.streams.cifar import SplitCIFAR100

    paths = next(candidates((PACK,)), None)
    if paths is None:
        return

    def read(self: SplitCIFAR100, options: Any, argument: str, progress: Any) -> Dataset:
        reads.note(*paths)
        content, whole = read_packs(paths, progress), declaration("cifar100")
        return Dataset(
            name="cifar100-150", train=content.splits["train"], test=content.splits["test"],
            class_names=whole.class_names, origin=str(paths[0]), licence=whole.licence, citation=whole.citation,
        )  # fmt: skip

    SplitCIFAR100.read = read  # type: ignore[method-assign, assignment]
