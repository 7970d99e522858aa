"""`clbench predict`: classes and probabilities of images, by the learner of a finished run."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cl.cli.shared import run_option

if TYPE_CHECKING:
    from cl.running.learner import Learner

_EPILOG = """\b
Examples:
  clbench predict results/.../seed1993 photo.jpg other.png
  clbench predict RUN photos/ --top 3          every image below a folder, three classes each
  clbench predict RUN photos/ --json           one JSON object per line
  clbench predict RUN photo.jpg --task 2       of a stream whose tasks are told: its second task
  clbench predict RUN photos/ --skip-damaged   leaves out files that cannot be decoded, and lists them

\b
One line per image: name, class, probability, separated by tabs; with --top more pairs of class and
probability. The run needs a saved learner (clbench run --save-learner). Probabilities are calibrated if the run
held training images out (--set stream.val_fraction=0.1); a line on stderr says so."""

_TOGETHER = 64
"""Files that are predicted before their lines are printed."""


@click.command("predict", epilog=_EPILOG, short_help="classes and probabilities of images, by a finished run's learner")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILES...")
@click.option("--top", type=click.IntRange(1), default=1, show_default=True, metavar="K", help="Classes per image.")
@click.option("--task", metavar="NAME|N", help="The task of all images: its name, or its number from 1.")
@run_option("device", help="Where to compute: auto, cpu, cuda, cuda:1.")
@click.option(
    "--skip-damaged", is_flag=True, help="Leave out files that cannot be decoded; stderr gets their number and names."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per image.")
def command(
    run: Path, files: tuple[Path, ...], top: int, task: str | None, device: str | None, skip_damaged: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Predict images with the learner of RUN, the folder of a run. FILES are images, or folders of them.

    Images are prepared as those of the training were: brought to their size and colours, then resized and normalised
    for the network.
    """
    from cl.data.damaged import DamagedImages, listed, skipped
    from cl.errors import DataError
    from cl.running.build import load_learner
    from cl.running.given_images import damaged_in, files_in

    paths = files_in(files)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        learner = load_learner(run, device=device or "auto")
    for each in caught:
        click.echo(f"{each.message}", err=True)
    told = task_of(learner, task)
    click.echo(learner.calibration.sentence, err=True)
    damaged: dict[str, str] = {}
    answered = 0
    for start in range(0, len(paths), _TOGETHER):
        end = start + _TOGETHER
        try:
            found = learner.predict(paths[start:end], told, skip_damaged=skip_damaged)
        except DamagedImages as error:
            raise DamagedImages({**error.found, **damaged_in(paths[end:])}) from None
        damaged |= found.skipped
        answered += len(found)
        for name, best in zip(found.names, found.top(top), strict=True):
            click.echo(_json(name, best, found.calibration.temperature) if as_json else _line(name, best))
    if not answered:
        raise DataError(f"No image can be read: {listed(damaged)}; replace them.")
    if damaged:
        click.echo(skipped(damaged), err=True)
    return 0


def task_of(learner: Learner, text: str | None) -> str | int | None:
    """The task of --task, a name or a number from 1, as `Learner.predict` takes it; raises `UsageError`."""
    chosen = learner.told(text, option=True)
    return chosen.index if chosen is not None and chosen.name != text else text


def _line(name: str, best: list[tuple[str, float]]) -> str:
    from cl.errors import printable

    return "\t".join([printable(name), *(cell for each, value in best for cell in (printable(each), f"{value:.4f}"))])


def _json(name: str, best: list[tuple[str, float]], temperature: float | None) -> str:
    top = [{"class": each, "probability": round(value, 6)} for each, value in best]
    return json.dumps({"file": name, **top[0], "calibrated": temperature is not None, "top": top})
