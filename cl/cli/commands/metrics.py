"""`clbench metrics`: every metric with formula and source, or the metrics of a record from its counts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cl.cli.completers import complete_metric

if TYPE_CHECKING:
    from cl.records.metrics import Metric

_EPILOG = """\b
Examples:
  clbench metrics                    every metric: what it is, formula, source
  clbench metrics F_chaudhry
  clbench metrics results/split-digits/slca/.../seed1993

\b
R[t,i] is the accuracy on group i after step t, T the last step, n_i the number of test images of
group i. All are fractions; a value that cannot be computed is none, never 0."""


@click.command("metrics", epilog=_EPILOG, short_help="every metric: name, formula, source")
@click.argument("name", required=False, metavar="[NAME|RUN]", shell_complete=complete_metric)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str | None, as_json: bool) -> int:
    """Explain all metrics or one metric, or compute all metrics of a RUN (a folder) from the counts in its record."""
    from cl.errors import UsageError, did_you_mean
    from cl.records.metrics import METRICS

    if name is not None and name not in METRICS:
        path = Path(name)
        if path.exists():
            return _of_run(path, as_json)
        hint = did_you_mean(name, list(METRICS)) or " `clbench metrics` shows all."
        raise UsageError(f"There is no metric and no run '{name}'.{hint}")
    found = [_about(metric) for metric in METRICS.values() if name in (None, metric.id)]
    if as_json:
        click.echo(json.dumps(found if name is None else found[0], indent=1))
        return 0
    for about in found:
        better = "higher" if about["higher_is_better"] else "lower"
        needs = f"; needs {', '.join(about['needs'])}" if about["needs"] else ""
        low, high = about["range"]
        click.echo(f"{about['name']}: {about['title']}")
        click.echo(f"    formula  {about['formula']}")
        click.echo(f"    source   {about['source']}")
        click.echo(f"    range    {low:g} to {high:g}, {better} is better{needs}")
    return 0


def _about(metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.id,
        "title": metric.title,
        "formula": metric.formula,
        "source": metric.source,
        "range": [metric.lowest, 1.0],
        "higher_is_better": metric.higher_is_better,
        "needs": list(metric.needs),
    }


def _of_run(path: Path, as_json: bool) -> int:
    """Print all metrics of a record, computed from its counts, and where they differ from the record's values."""
    from cl.cli.text import print_table
    from cl.errors import UsageError
    from cl.records.metrics import METRICS, metrics_of
    from cl.records.record import RECORD, load

    file = path / RECORD if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"{path} holds no {RECORD}; give the folder of a run, as `clbench run` printed it.")
    result = load(file)["result"]
    values = metrics_of(result)
    if as_json:
        click.echo(json.dumps(values, indent=1))
        return 0
    rules = list(values)
    here = [name for name in METRICS if any(name in values[rule] for rule in rules)]
    rows = [[name, *(_shown(values[rule][name]) for rule in rules)] for name in here]
    print_table(["metric", *rules], rows, right=rules)
    for rule in rules:
        for name, recorded in result["metrics"].get(rule, {}).items():
            if name in here and not _same(recorded, values[rule][name]):
                click.echo(f"The record says {_shown(recorded)} for {name}, {rule}.", err=True)
    return 0


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.6f}"


def _same(first: float | None, second: float | None) -> bool:
    return first is second if first is None or second is None else math.isclose(first, second, abs_tol=1e-12)
