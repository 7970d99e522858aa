"""`python -m benchmarks.peers`: measure clbench next to Avalanche. See benchmarks/README.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benchmarks.measuring import machine
from benchmarks.peers import growth, report
from benchmarks.peers.pairs import measure
from benchmarks.peers.work import METHODS, DifferentWork, Job
from benchmarks.peers.worker import Failed
from cl.plan.precision import resolve_precision

SPEED = Path(__file__).resolve().parents[2] / "results" / "reference" / "speed"
PATH = click.Path(dir_okay=False, path_type=Path)


def numbers(_: Any, __: Any, text: str) -> tuple[int, ...]:
    """Positive integers that are separated by commas."""
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise click.BadParameter(f"give positive numbers separated by commas, not {text!r}")
    return found


def methods(_: Any, __: Any, text: str) -> tuple[str, ...]:
    """Names of methods that are separated by commas."""
    found = tuple(text.split(",")) if text else tuple(METHODS)
    for name in found:
        if name not in METHODS:
            raise click.BadParameter(f"unknown method {name!r}; choose of {', '.join(METHODS)}")
    return found


@click.command()
@click.option("--only", default="", callback=methods, help="Methods, as in naive,ewc.  [default: all six]")
@click.option("--pairs", default=5, show_default=True, type=click.IntRange(1), help="Pairs per comparison.")
@click.option("--stream", default="split-cifar100", show_default=True)
@click.option("--tasks", default=10, show_default=True, type=click.IntRange(2))
@click.option("--train-per-class", default=50, show_default=True, type=click.IntRange(1))
@click.option("--test-per-class", "tests", default="50,4", show_default=True, callback=numbers,
              help="The first is for all methods, the others are for naive only.")  # fmt: skip
@click.option("--epochs", default=1, show_default=True, type=click.IntRange(1))
@click.option("--batch-size", default=20, show_default=True, type=click.IntRange(1))
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
@click.option("--precision", default="fp32", show_default=True,
              help="Of clbench, as in fp32,auto (auto: naive only); Avalanche computes in fp32.")  # fmt: skip
@click.option("--growth", "grows", is_flag=True, help="Measure growth instead of pairs.")
@click.option("--growth-tasks", default="5,10,20,50", show_default=True, callback=numbers)
@click.option("--growth-images", default="1000,2000,5000", show_default=True, callback=numbers,
              help="Training images of CIFAR-100; 10000,20000,50000 take hours.")  # fmt: skip
@click.option("--keep", is_flag=True, help="Keep the rows of other comparisons in the CSV file.")
@click.option("--csv", "file", type=PATH, help="Default: in results/reference/speed.")
@click.option("--plot", type=PATH, help="Default: next to the CSV file.")
def main(
    grows: bool, growth_tasks: tuple[int, ...], growth_images: tuple[int, ...], file: Path | None, plot: Path | None,
    keep: bool, **sizes: Any,
) -> None:  # fmt: skip
    """Measure clbench next to Avalanche on the same work, and write CSV, page and plot.

    Use a quiet machine. The exit code is 1 if both sides did different work.
    """
    path = file or SPEED / ("growth.csv" if grows else "peers.csv")
    about = machine("timm", "avalanche-lib")
    try:
        rows = _growth(path, about, growth_tasks, growth_images, sizes) if grows else _pairs(path, about, keep, sizes)
    except (DifferentWork, Failed) as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(getattr(error, "code", 1)) from error
    if not grows:
        click.echo(report.table(report.FIGURE_COLUMNS, [figure.row() for figure in report.figures(rows)]))
        if not report.plot(plot or path.with_suffix(".png"), rows):
            click.echo("No plot: matplotlib is not installed.", err=True)
    if file is None:
        text = report.page(report.read(SPEED / "peers.csv"), report.read(SPEED / "growth.csv"))
        (SPEED / "README.md").write_text(text, encoding="utf-8")
    click.echo(f"Written to {path.parent}", err=True)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _jobs(sizes: dict[str, Any]) -> list[Job]:
    """The comparisons, in the order in which they are measured."""
    jobs = []
    for precision in (resolve_precision(each, "cpu") for each in sizes["precision"].split(",")):
        for method in sizes["only"]:
            if precision != "fp32" and method != "naive":
                continue
            for tests in sizes["tests"] if method == "naive" and precision == "fp32" else sizes["tests"][:1]:
                jobs.append(_job(sizes, method, test_per_class=tests, precision=precision))
    if not jobs:
        raise click.UsageError("Only naive is compared in another precision than fp32; add it to --only.")
    return jobs


def _job(sizes: dict[str, Any], method: str, **others: Any) -> Job:
    names = ("stream", "tasks", "train_per_class", "epochs", "batch_size", "threads")
    return Job(method, **{**{name: sizes[name] for name in names}, **others})


def _pairs(path: Path, about: dict[str, str], keep: bool, sizes: dict[str, Any]) -> list[Any]:
    """Measure the pairs and write each when it is done."""
    jobs = _jobs(sizes)
    ours = {tuple(str(getattr(job, name)) for name in report.WORK) for job in jobs}
    rows: list[Any] = [row for row in (report.read(path) if keep else []) if report.key(row) not in ours]

    for job in jobs:

        def done(pair: int, measured: Any, job: Job = job) -> None:
            rows.extend(report.rows_of(job, pair, measured, about))
            report.write(path, rows)

        measure(job, sizes["pairs"], done, _say)
    return rows


def _growth(
    path: Path, about: dict[str, str], tasks: tuple[int, ...], images: tuple[int, ...], sizes: dict[str, Any]
) -> list[Any]:
    rows: list[Any] = []
    for method in sizes["only"] if len(sizes["only"]) < len(METHODS) else ("naive",):
        base = _job({**sizes, "train_per_class": 10}, method, test_per_class=sizes["tests"][-1])
        for row in growth.measure(growth.sizes(base, tasks, images), about, _say):
            rows.append(row)
            report.write(path, rows)
    return rows


if __name__ == "__main__":
    main()
