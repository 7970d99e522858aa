"""Compare settings of a strategy on training images alone: some to learn, others to judge, test images never.

python benchmarks/choose_rates.py slca --set lr=0.01 --classes 40 --learn 400
python benchmarks/choose_rates.py l2 --set reg=0.01 --learn 80 --judge 20
python benchmarks/choose_rates.py mos --preset small --learn 80 --judge 20 -b FILE --set backbone.image_size=112
python benchmarks/choose_rates.py slca --stream split-digits --classes 10 --increment 2 --learn 90 --precision fp32
python benchmarks/choose_rates.py finetune --stream pacs --tasks --set lr=0.003
python benchmarks/choose_rates.py softnet --tasks --judge 20 --set stream.shots=5 --set stream.train_per_class=100
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from cl import api, registry
from cl.data.store import Dataset, ImageStore
from cl.options import parse_assignments
from cl.plan.plan import make_plan
from cl.protocol import default_rule
from cl.random import Seeds
from cl.running import loop
from cl.settings.class_incremental import IncrementalOptions, class_incremental
from cl.stream import Stream
from cl.training.trainer import Trainer


def training_stream(dataset: Dataset, classes: int, increment: int, learn: int, judge: int | None, seed: int) -> Stream:
    """A stream over training images of the first classes: per class `learn` to learn, `judge` others to judge."""
    rng = np.random.default_rng(0)
    drawn = [rng.permutation(np.flatnonzero(dataset.train.labels == label)) for label in range(classes)]

    def store(parts: list[np.ndarray]) -> ImageStore:
        rows = np.sort(np.concatenate(parts))
        return ImageStore.from_arrays(np.asarray(dataset.train.pixels)[rows], dataset.train.labels[rows])

    split = Dataset(
        name=f"{dataset.name}, training images",
        train=store([rows[:learn] for rows in drawn]),
        test=store([rows[learn:][:judge] for rows in drawn]),
        class_names=dataset.class_names[:classes],
        origin=dataset.origin,
        licence=dataset.licence,
        citation=dataset.citation,
        verified=dataset.verified,
    )
    options = IncrementalOptions(increment=increment)
    return class_incremental(split, options, name="rates", version="1", order_seed=seed, data_seed=seed)


def training_tasks(stream: Stream, judge: int | None) -> Stream:
    """The stream with its own tasks, tested on training images instead of test images.

    `judge` of every class that no task learns, as a limit or few shots leave over; none: a fifth of those of each task,
    which then learns the rest.
    """
    experiences, labels = stream.experiences, stream.positions[stream.dataset.train.labels]
    if judge is None:
        rng = np.random.default_rng(0)
        drawn = [rng.permutation(each.train)[: round(len(each.train) / 5)] for each in experiences]
        judges = [np.sort(rows) for rows in drawn]
        pairs = zip(experiences, judges, strict=True)
        experiences = tuple(replace(each, train=np.setdiff1d(each.train, rows)) for each, rows in pairs)
    else:
        free = np.setdiff1d(np.arange(len(labels)), np.concatenate([each.train for each in experiences]))
        of_class = [free[labels[free] == label][:judge] for label in range(len(stream.class_order))]
        judges = [np.concatenate([of_class[label] for label in group.classes]) for group in stream.groups]
    return replace(
        stream,
        dataset=replace(stream.dataset, name=f"{stream.name}, training images", test=stream.dataset.train),
        experiences=experiences,
        groups=tuple(replace(group, rows={"test": rows}) for group, rows in zip(stream.groups, judges, strict=True)),
    )


@click.command(help=__doc__)
@click.argument("strategy")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="An option of the strategy; repeatable.")
@click.option("--stream", default="split-cifar100", show_default=True, help="Whose training images.")
@click.option("-b", "--backbone", help="As in `clbench run`.")
@click.option("--preset", help="The variant whose values hold where --set names none.")
@click.option("--classes", default=40, show_default=True)
@click.option("--increment", default=10, show_default=True, help="Classes per task.")
@click.option("--learn", default=400, show_default=True, help="Images per class to learn.")
@click.option("--judge", type=int, help="Images per class to judge.  [default: the rest]")
@click.option("--tasks", is_flag=True, help="Learn the stream's own tasks.")
@click.option("--seed", default=7, show_default=True)
@click.option("--precision", default="bf16", show_default=True)
def main(
    strategy: str,
    assignments: tuple[str, ...],
    stream: str,
    backbone: str | None,
    preset: str | None,
    seed: int,
    precision: str,
    tasks: bool,
    **sizes: Any,
) -> None:
    torch.set_num_threads(1)
    settings = parse_assignments(assignments)
    fixed = {"seed": seed, "precision": precision, "device": "cpu"}
    plan = make_plan(strategy, stream, backbone, preset=preset, settings=settings, **fixed)
    whole = api.build_stream(plan)
    events = training_tasks(whole, sizes["judge"]) if tasks else training_stream(whole.dataset, seed=seed, **sizes)
    trainer = Trainer(seeds=Seeds(seed, seed, seed))
    learner = registry.strategies.get(strategy)(plan.options, api.build_backbone(plan), trainer)
    header = {
        "run_id": "rates",
        "strategy": {
            "name": strategy,
            "version": learner.version,
            "distribution": None,
            "source_sha256": None,
            "access": learner.access,
            "rules": list(learner.rules),
            "preset": plan.preset,
        },
        "config": plan.config(),
        "seeds": plan.seeds,
        "precision": {"dtype": precision},
        "limited": True,
    }
    with tempfile.TemporaryDirectory() as folder:
        record = loop.run(learner, events, Path(folder), header, trainer=trainer)
    values = record["result"]["metrics"][default_rule(record["result"]["metrics"])]
    last, mean = values["A_last_sample"], values["A_inc_sample"]
    average = "" if mean is None else f", average incremental {100 * mean:.2f} %"
    by_task = f" ({100 * values['A_last_task']:.2f} % as a mean over tasks)"
    click.echo(f"{strategy} {' '.join(assignments) or '(preset)'}: last {100 * last:.2f} %{by_task}{average}")


if __name__ == "__main__":
    main()
