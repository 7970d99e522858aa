"""Compare options of a strategy on held-out training images (`stream.split=val`); test images are never evaluated.

A key given several times is tried with each value; the output has one line per combination.

python benchmarks/choose_rates.py slca --set lr=0.01 --set lr=0.05 --classes 40 --learn 400
python benchmarks/choose_rates.py l2 --set reg=0.01 --learn 80 --judge 20
python benchmarks/choose_rates.py mos --preset small --learn 80 --judge 20 -b FILE --set backbone.image_size=112
python benchmarks/choose_rates.py slca --stream split-digits --classes 10 --increment 2 --learn 90 --precision fp32
python benchmarks/choose_rates.py finetune --stream pacs --tasks --set lr=0.003
python benchmarks/choose_rates.py tag --rule til_masked --tasks --set stream.tasks=20 --set lr=0.001 --set lr=0.0003
python benchmarks/choose_rates.py softnet --tasks --judge 20 --set stream.shots=5 --set stream.train_per_class=100
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import torch

import cl
from cl.errors import ClbenchError, UsageError
from cl.family import family_of
from cl.options import options_of, parse_assignments
from cl.protocol import default_rule


def candidates(assignments: Sequence[str]) -> Iterator[dict[str, str]]:
    """All combinations of the values of each key, in the given order."""
    values: dict[str, list[str]] = {}
    for assignment in assignments:
        for key, value in parse_assignments([assignment]).items():
            values.setdefault(key, []).append(value)
    for chosen in itertools.product(*values.values()):
        yield dict(zip(values, chosen, strict=True))


def own_tasks(options: Mapping[str, str], judge: int | None) -> dict[str, Any]:
    """Stream options for the stream's own tasks, evaluated on `judge` images of every class, or a fifth of them."""
    if judge is None:
        return {}
    limit = options.get("stream.train_per_class", "")
    if not limit.isdecimal() or int(limit) <= judge:
        raise UsageError(
            f"--tasks with --judge {judge} needs --set stream.train_per_class=N with N above {judge}; or leave --judge "
            "out to judge a fifth of the images."
        )
    return {"stream.val_fraction": judge / int(limit)}


def new_tasks(increment: int, learn: int, judge: int | None) -> dict[str, Any]:
    """Stream options for tasks of `increment` classes with `learn` training and `judge` validation images per class."""
    judge = max(1, round(learn / 4)) if judge is None else judge
    return {
        "stream.increment": increment,
        "stream.train_per_class": learn + judge,
        "stream.val_fraction": judge / (learn + judge),
    }


def line(
    strategy: str, chosen: Mapping[str, str], metrics: Mapping[str, Mapping[str, float | None]], rule: str | None = None
) -> str:
    """The result of one run by a prediction rule (none: its own), in percent of the validation images."""
    if rule not in (None, *metrics):
        raise UsageError(f"{strategy} has no answers by the rule {rule}; it has {', '.join(metrics)}.")
    values = metrics[rule or default_rule(metrics)]
    shown = {
        "last": values["A_last_sample"],
        "average incremental": values["A_inc_sample"],
        "last as a mean over tasks": values["A_last_task"],
    }
    numbers = ", ".join(f"{name} {100 * value:.2f} %" for name, value in shown.items() if value is not None)
    return f"{strategy} {' '.join(f'{key}={value}' for key, value in chosen.items()) or '(preset)'}: {numbers}"


@click.command(help=__doc__.replace("\npython", "\n\b\npython", 1))
@click.argument("strategy")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="An option, or a candidate; repeatable.")
@click.option("--stream", default="split-cifar100", show_default=True, help="Stream whose training images to use.")
@click.option("-b", "--backbone", help="As in `clbench run`.")
@click.option("--preset", help="Preset for all options without --set.")
@click.option("--classes", default=40, show_default=True, help="Classes to learn, rounded up to whole tasks.")
@click.option("--increment", default=10, show_default=True, help="Classes per task.")
@click.option("--learn", default=400, show_default=True, help="Images per class to learn.")
@click.option("--judge", type=int, help="Images per class to judge.  [default: a quarter of --learn]")
@click.option("--tasks", is_flag=True, help="Learn the stream's own tasks; a fifth of the images is judged.")
@click.option("--rule", help="Prediction rule, such as til_masked where the task is told.  [default: the run's own]")
@click.option("--seed", default=7, show_default=True, help="Seed of the run, and of the class order.")
@click.option("--precision", default="bf16", show_default=True)
def main(
    strategy: str,
    assignments: tuple[str, ...],
    stream: str,
    backbone: str | None,
    preset: str | None,
    classes: int,
    increment: int,
    learn: int,
    judge: int | None,
    tasks: bool,
    rule: str | None,
    **run: Any,
) -> None:
    torch.set_num_threads(1)
    max_tasks = None if tasks else -(-classes // increment)
    try:
        with tempfile.TemporaryDirectory() as results:
            for chosen in candidates(assignments):
                options = {**(own_tasks(chosen, judge) if tasks else new_tasks(increment, learn, judge)), **chosen}
                options[split_key(stream)] = "val"
                plan = {"options": options, "preset": preset, "device": "cpu", "results": results, **run}
                result = cl.run(strategy, stream, backbone=backbone, max_tasks=max_tasks, **plan)
                click.echo(line(strategy, chosen, result.metrics, rule))
    except ClbenchError as error:
        raise click.ClickException(str(error)) from error


def split_key(stream: str) -> str:
    """The option to evaluate validation images; in streams of image trees, `split` is the split of the dataset."""
    known = options_of(family_of(stream).Options)
    return "stream.evaluate_split" if "evaluate_split" in known else "stream.split"


if __name__ == "__main__":
    main()
