"""`clbench export-model`: the learner of a finished run as ONNX and torch.export files."""

from __future__ import annotations

from pathlib import Path

import click

_EPILOG = """\b
Examples:
  clbench export-model results/.../seed1993            model.onnx, model.pt2 and model.json in RUN/exported
  clbench export-model RUN --format torch --out model
  clbench export-model RUN --task 2                    of a task-incremental stream: the answers of one

\b
The networks take float32 images [batch, channels, side, side], pixels / 255, and return scores; model.json
names the classes, the preparation of images and the temperature of the probabilities. ONNX needs
pip install 'clbench[onnx]'. The answers to 100 images are compared; other answers than the learner's are an error."""


@click.command("export-model", epilog=_EPILOG, short_help="a finished run's learner as ONNX and torch.export files")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
    help="Where to write.  [default: RUN/exported]",
)  # fmt: skip
@click.option("--format", "formats", default="onnx,torch", show_default=True, metavar="NAME[,NAME]", help="Formats.")
@click.option("--task", metavar="NAME|N", help="The task of all images: its name, or its number from 1.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def command(run: Path, out: Path | None, formats: str, task: str | None, as_json: bool) -> int:
    """Write the learner of RUN, the folder of a run, as networks that need neither clbench nor its strategy.

    A method whose network depends on the image, or that has parts of its own for each task, cannot be exported, which
    is an error.
    """
    from cl.cli.commands.predict import task_of
    from cl.running.build import load_learner
    from cl.running.exported import ABOUT, check_formats, check_one_network, export, images_to_compare

    chosen = tuple(dict.fromkeys(name.strip() for name in formats.split(",") if name.strip()))
    check_formats(chosen)
    learner = load_learner(run, device="cpu", precision="fp32")
    check_one_network(learner)
    told = task_of(learner, task)
    pixels, what = images_to_compare(run, learner)
    folder = out if out is not None else run / "exported"
    found = export(learner, folder, pixels, formats=chosen, task=told)
    if as_json:
        click.echo((folder / ABOUT).read_text(encoding="utf-8").rstrip())
        return 0
    for each in found:
        size = each.path.stat().st_size / 1e6
        click.echo(
            f"{each.path} ({size:.1f} MB): {each.equal} of {each.images} predictions equal on {what}, largest "
            f"difference of a score {each.difference:.2g}"
        )
    click.echo(folder / ABOUT)
    return 0
