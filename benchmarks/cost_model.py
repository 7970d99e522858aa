"""The cost model against records: FLOPs that a dry run estimates, by FLOPs that the run counted.

python -m benchmarks.cost_model                     # all records in results/reference whose images are here
python -m benchmarks.cost_model --write             # and the table in docs/reliability.md
python -m benchmarks.cost_model results/mine --all  # a line for every method
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from cl import registry
from cl.backbone.facts import facts
from cl.errors import ClbenchError
from cl.plan.cost_model import Load, cost, load_of
from cl.plan.plan import Plan, load_plan
from cl.results.store import find_records
from cl.running.build import build_stream

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
MARKS = ("<!-- table: python -m benchmarks.cost_model --write -->", "<!-- end of table -->")
CLOSE = (0.6, 1.5)
"""Methods with all ratios in here share one line of the table."""


class Ratio(NamedTuple):
    """Estimated by counted FLOPs of one run."""

    strategy: str
    learning: float
    evaluation: float


def counted(record: Mapping[str, Any]) -> tuple[float, float]:
    """FLOPs of learning and of evaluations in a record, with every use of memoised features charged."""
    learning, evaluation, before = 0.0, 0.0, 0.0
    for event in record["measurement"]["events"]:
        spent, before = event["uncached"] - before, event["uncached"]
        if event["what"].startswith("train"):
            learning += spent
        else:
            evaluation += spent
    return learning, evaluation


def ratio(plan: Plan, record: Mapping[str, Any], load: Load, backbone: dict[str, Any]) -> Ratio:
    """The ratios of a run whose stream has these sizes."""
    found = cost(registry.strategies.get(plan.strategy), plan.options, load, backbone)
    learning, evaluation = counted(record)
    return Ratio(plan.strategy, found.learning_flops / learning, found.evaluation_flops / evaluation)


def ratios(records: Iterable[Path]) -> tuple[list[Ratio], int]:
    """The ratios of all complete records whose images and weights are here, and the number of the others."""
    loads: dict[str, Load] = {}
    found, left_out = [], 0
    for path in records:
        record = json.loads(path.read_bytes())
        if record["status"] != "complete":
            continue
        try:
            plan = load_plan(path.parent)
            key = repr((plan.stream, plan.stream_options, plan.transforms, plan.seeds, plan.max_tasks))
            if key not in loads:
                loads[key] = load_of(build_stream(plan), plan.max_tasks)
            found.append(ratio(plan, record, loads[key], facts(plan.backbone, plan.backbone_options)))
        except ClbenchError:  # the images or the weights are not here
            left_out += 1
    return found, left_out


def table(found: Sequence[Ratio], every: bool = False) -> str:
    """A markdown table; methods whose ratios are all close to 1 share a line, unless there is one for every method."""
    lines = [
        "| method | runs | learning: median | lowest | highest | evaluation: median |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    groups: dict[str, list[Ratio]] = defaultdict(list)
    for each in found:
        groups[each.strategy].append(each)
    low, high = CLOSE
    close = {name for name, runs in groups.items() if not every and all(low <= run.learning <= high for run in runs)}
    if close:
        lines.append(_line(f"{len(close)} other methods", [run for run in found if run.strategy in close]))
    lines += [_line(f"`{name}`", runs) for name, runs in sorted(groups.items()) if name not in close]
    return "\n".join(lines)


def _line(name: str, runs: Sequence[Ratio]) -> str:
    learning = [run.learning for run in runs]
    numbers = (statistics.median(learning), min(learning), max(learning), statistics.median(r.evaluation for r in runs))
    return f"| {name} | {len(runs)} | " + " | ".join(f"{number:.2f}" for number in numbers) + " |"


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--all", "every", is_flag=True, help="A line for every method.")
@click.option("--write", is_flag=True, help="Write the table into docs/reliability.md.")
def main(folders: tuple[Path, ...], every: bool, write: bool) -> None:
    """Compare estimates with records."""
    found, left_out = ratios(find_records(folders or [ROOT / "results" / "reference"]))
    text = table(found, every)
    click.echo(f"{text}\n\n{len(found)} records; {left_out} more need images or weights that are not here.")
    if write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        PAGE.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
