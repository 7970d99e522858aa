"""How well calibrated the probabilities of saved learners are, on held-out training images and on the test images.

python -m benchmarks.calibration RUN...
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch

import cl
from cl.plan.plan import load_plan
from cl.records.answers import calibration_error
from cl.running.build import build_stream

STEP = 64


def measured(run: Path) -> dict[str, float]:
    """Temperature, number of test images, their accuracy, and calibration errors in percent, before and after.

    For class- and domain-incremental runs with `--save-learner` and held-out images, whose images are at hand.
    """
    learner, stream = cl.load_learner(run), build_stream(load_plan(run))
    about = learner.calibration
    if about.temperature is None or about.ece is None or about.ece_after is None:
        raise click.ClickException(f"{run}: {about.sentence}")
    rows, labels, _ = stream.test_rows(range(len(stream.groups)))
    pixels = np.asarray(stream.dataset.test.pixels[rows]).transpose(0, 3, 1, 2).copy()
    parts = [torch.from_numpy(pixels[start : start + STEP]) for start in range(0, len(pixels), STEP)]
    plain = torch.cat([learner.choices(part, None, None) for part in parts]).softmax(1).numpy()
    found = learner.predict(pixels)
    right = found.positions == labels
    errors = [about.ece, about.ece_after, *(calibration_error(p.max(1), right) for p in (plain, found.probabilities))]
    names = ("held_out_before", "held_out_after", "test_before", "test_after")
    percent = dict(zip(names, (100 * error for error in errors), strict=True))
    return {"temperature": about.temperature, "images": len(labels), "accuracy": 100 * float(right.mean()), **percent}


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
def main(runs: tuple[Path, ...]) -> None:
    """Print one line for each RUN, a folder with a record and a learner."""
    for run in runs:
        found = measured(run)
        print(run, *(f"{name}={value:.4g}" for name, value in found.items()), flush=True)


if __name__ == "__main__":
    main()
