"""`clbench metrics`: every metric with formula and source, or the metrics of a record from its counts."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cl.cli.completers import complete_metric
from cl.cli.text import say

if TYPE_CHECKING:
    from cl.records.metrics import Metric
    from cl.records.predictions import Predictions
    from cl.records.record import Record

_EPILOG = """\b
Examples:
  clbench metrics                    every metric: what it is, formula, source
  clbench metrics F_chaudhry
  clbench metrics results/split-digits/slca/.../seed1993
  clbench metrics RUN --reference JOINT_RUN    intransigence and Omega
  clbench metrics RUN --curve                  accuracy, forgetting, flips and memory after every task
  clbench metrics RUN --flips 3,10             images that changed between two tasks
  clbench metrics RUN --confusion
  clbench metrics RUN --classes                precision, recall and F1 of every class

\b
R[t,i] is the accuracy on group i after step t, T the last step, n_i the number of test images of
group i. All are fractions; a value that cannot be computed is none, never 0, and RUN says why."""


@click.command("metrics", epilog=_EPILOG, short_help="every metric: name, formula, source")
@click.argument("name", required=False, metavar="[NAME|RUN]", shell_complete=complete_metric)
@click.option(
    "--reference", type=click.Path(path_type=Path), metavar="JOINT_RUN",
    help="A joint run with the same stream, backbone and seeds, for intransigence and Omega.",
)  # fmt: skip
@click.option("--curve", "view", flag_value="curve", help="Accuracy, forgetting, flips and memory after every task.")
@click.option("--confusion", "view", flag_value="confusion", help="Images by class and answer after the last task.")
@click.option("--classes", "view", flag_value="classes", help="Precision, recall and F1 by class after the last task.")
@click.option("--flips", metavar="TASK,TASK", help="Negative and positive flips between two tasks, counted from 1.")
@click.option(
    "--rule", help="Prediction rule of --curve, --confusion, --classes and --flips.  [default: the strictest]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    name: str | None, reference: Path | None, view: str | None, flips: str | None, rule: str | None, as_json: bool
) -> int:
    """Explain all metrics or one metric, or compute all metrics of a RUN (a folder) from its record and predictions."""
    from cl.errors import UsageError, did_you_mean
    from cl.records.metrics import METRICS

    if name is not None and name not in METRICS:
        path = Path(name)
        if path.exists():
            return _of_run(path, reference, view, flips, rule, as_json)
        hint = did_you_mean(name, list(METRICS)) or " `clbench metrics` shows all."
        raise UsageError(f"There is no metric and no run '{name}'.{hint}")
    if reference or view or flips or rule:
        raise UsageError(
            "--reference, --curve, --confusion, --classes, --flips and --rule need a RUN; name its folder."
        )
    found = [_about(metric) for metric in METRICS.values() if name in (None, metric.id)]
    if as_json:
        click.echo(json.dumps(found if name is None else found[0], indent=1))
        return 0
    for about in found:
        better = "higher" if about["higher_is_better"] else "lower"
        needs = f"; needs {', '.join(about['needs'])}" if about["needs"] else ""
        low, high = about["range"]
        say(f"{about['name']}: {about['title']}")
        say(f"    formula  {about['formula']}", hang=13)
        say(f"    source   {about['source']}", hang=13)
        span = f"{low:g} or more" if high is None else f"{low:g} to {high:g}"
        say(f"    range    {span}, {better} is better{needs}", hang=13)
    return 0


def _about(metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.id,
        "title": metric.title,
        "formula": metric.formula,
        "source": metric.source,
        "range": list(metric.range),
        "higher_is_better": metric.higher_is_better,
        "needs": list(metric.needs),
    }


def _of_run(
    path: Path, reference: Path | None, view: str | None, flips: str | None, rule: str | None, as_json: bool
) -> int:
    from cl.errors import UsageError

    if sum(map(bool, (reference, view, flips))) > 1:
        raise UsageError("Choose one of --reference, --curve, --confusion, --classes and --flips.")
    if rule and not (view or flips):
        raise UsageError(
            "--rule belongs to --curve, --confusion, --classes and --flips; without them all rules are shown."
        )
    record, predictions = _read(path)
    if view or flips is not None:
        _check_evaluated(path, record)
    if view == "curve":
        return _print_curve(record, rule, predictions, as_json)
    if view == "confusion":
        return _print_confusion(record, rule, _needed(path, record, predictions), as_json)
    if view == "classes":
        return _print_classes(record, rule, _needed(path, record, predictions), as_json)
    if flips is not None:
        return _print_flips(record, rule, _needed(path, record, predictions), flips, as_json)
    return _print_all(record, reference, predictions, as_json)


def _read(path: Path) -> tuple[Record, Predictions | None]:
    """A record, and its predictions if they are next to it; raises `DataError` for damaged ones."""
    from cl.errors import UsageError
    from cl.records.predictions import PREDICTIONS, check_predictions, read_predictions
    from cl.records.record import RECORD, load

    file = path / RECORD if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"{path} holds no {RECORD}; give the folder of a run, as `clbench run` printed it.")
    record, stored = load(file), file.parent / PREDICTIONS
    if not stored.is_file():
        return record, None
    check_predictions(stored, record["result"]["predictions_sha256"])
    return record, read_predictions(stored)


def _check_evaluated(path: Path, record: Record) -> None:
    """Raise `UsageError` for a run that was not evaluated after any task: its tables would be empty or of zeros."""
    from cl.errors import UsageError
    from cl.records.matrix import steps_of

    if not steps_of(record["result"]):
        fix = "choose a run that was" if record["status"] == "complete" else _finish(path)
        raise UsageError(f"{path} was not evaluated after any task; {fix}.")


def _finish(path: Path) -> str:
    return f"finish it with `clbench resume {shlex.quote(str(path if path.is_dir() else path.parent))}`"


def _needed(path: Path, record: Record, predictions: Predictions | None) -> Predictions:
    from cl.errors import UsageError
    from cl.records.predictions import PREDICTIONS

    if predictions is None:
        fix = "run it again with --existing always" if record["status"] == "complete" else _finish(path)
        raise UsageError(f"{path} has no {PREDICTIONS}, which this needs; {fix}.")
    return predictions


def _check_answers(images: int) -> None:
    """Raise `UsageError` if the last evaluation has no image with a single answer."""
    from cl.errors import UsageError

    if not images:
        raise UsageError(
            "No image of the last evaluation has one right answer: the images of its tasks may have several classes, "
            "or no task of them was learned whole; see the accuracy of tasks with --curve."
        )


def _print_all(record: Record, reference: Path | None, predictions: Predictions | None, as_json: bool) -> int:
    """Print all metrics of a record, why others are undefined, and where they differ from the record's values."""
    from cl.cli.text import print_table
    from cl.records.metrics import METRICS, metrics_of
    from cl.records.reference import check_reference

    result, joint = record["result"], None
    if reference is not None:
        joint = _read(reference)[0]["result"]
        check_reference(result, joint)
    values = metrics_of(result, reference=joint, predictions=predictions)
    if as_json:
        click.echo(json.dumps(values, indent=1))
        return 0
    rules = list(values)
    here = [name for name in METRICS if any(name in values[rule] for rule in rules)]
    rows = [[name, *(_shown(values[rule][name]) for rule in rules)] for name in here]
    print_table(["metric", *rules], rows, right=rules)
    for line in _reasons(result, values, joint is not None, predictions):
        say(line)
    for rule in rules:
        for name, recorded in result["metrics"].get(rule, {}).items():
            given = joint is not None and "reference" in METRICS[name].needs  # no record holds these
            if name in here and not given and not _same(recorded, values[rule][name]):
                click.echo(f"The record says {_shown(recorded)} for {name}, {rule}.", err=True)
    return 0


def _reasons(
    result: Mapping[str, Any],
    values: Mapping[str, Mapping[str, float | None]],
    reference: bool,
    predictions: Predictions | None,
) -> list[str]:
    """Lines that say why metrics are undefined, one per reason."""
    from cl.records.reasons import why_undefined

    found: dict[str, dict[str, list[str]]] = {}
    for rule, of_rule in values.items():
        for name, value in of_rule.items():
            if value is None:
                why = why_undefined(result, rule, name, reference=reference, predictions=predictions)
                found.setdefault(why, {}).setdefault(name, []).append(rule)
    lines = []
    for why, names in found.items():
        words = [name if len(rules) == len(values) else f"{name} ({', '.join(rules)})" for name, rules in names.items()]
        lines.append(f"undefined: {', '.join(words)}: {why}")
    return lines


def _print_curve(record: Record, rule: str | None, predictions: Predictions | None, as_json: bool) -> int:
    from cl.cli.text import print_table
    from cl.results.tables import CURVE, PROBE, STORED, curve_rows, percent

    rows = curve_rows(record, rule, predictions)
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return 0
    more = [name for name in (PROBE, STORED) if rows and name in rows[0]]
    columns = [*CURVE, *("stored, MB" if name == STORED else name for name in more)]

    def cell(name: str, value: float | int | None) -> str:
        return percent(value) if name != STORED else "-" if value is None else f"{value / 1e6:.3f}"

    cells = [[str(row["task"]), *(cell(name, row[name]) for name in (*CURVE[1:], *more))] for row in rows]
    print_table(columns, cells, right=columns)
    return 0


def _print_confusion(record: Record, rule: str | None, predictions: Predictions, as_json: bool) -> int:
    from cl.cli.text import print_table
    from cl.results.tables import confusion_table

    names, table = confusion_table(record, predictions, rule)
    _check_answers(sum(map(sum, table)))
    if as_json:
        click.echo(json.dumps({"classes": names, "table": table}))
        return 0
    columns = [*map(str, range(1, len(names) + 1)), "none"]
    rows = [[f"{i + 1} {name}", *map(str, counts)] for i, (name, counts) in enumerate(zip(names, table, strict=True))]
    print_table(["class", *columns], rows, right=columns)
    return 0


def _print_classes(record: Record, rule: str | None, predictions: Predictions, as_json: bool) -> int:
    from cl.cli.text import print_table
    from cl.results.tables import CLASSES, class_rows, percent

    rows = class_rows(record, predictions, rule)
    _check_answers(len(rows))
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return 0

    def cell(name: str, value: Any) -> str:
        return percent(value) if name in ("precision", "recall", "F1") else "-" if value is None else str(value)

    cells = [[cell(name, row[name]) for name in CLASSES] for row in rows]
    print_table(list(CLASSES), cells, right=CLASSES[1:])
    return 0


def _print_flips(record: Record, rule: str | None, predictions: Predictions, text: str, as_json: bool) -> int:
    from cl.records.answers import answers_of, flips_between
    from cl.records.record import matrix
    from cl.results.tables import percent

    chosen = _rule(record, rule)
    counts = matrix(record, chosen)
    first, second = _two_steps(record, text)
    answers = answers_of(record["result"], predictions, chosen)
    rates = flips_between(counts, answers, first, second)
    if as_json:
        negative, positive = (None if math.isnan(rate) else rate for rate in rates)
        click.echo(json.dumps({"rule": chosen, "negative": negative, "positive": positive}, indent=1))
        return 0
    click.echo(f"Rule {chosen}, images of tasks learned and tested at both, in percent:")
    click.echo(f"negative flips (right, then wrong)  {percent(rates[0])}")
    click.echo(f"positive flips (wrong, then right)  {percent(rates[1])}")
    return 0


def _rule(record: Record, rule: str | None) -> str:
    from cl.protocol import default_rule

    return default_rule(record["result"]["accuracy"]) if rule is None else rule


def _two_steps(record: Record, text: str) -> Sequence[int]:
    """The rows of the two tasks of --flips; raises `UsageError` for anything else."""
    from cl.errors import UsageError
    from cl.records.matrix import steps_of

    steps = {str(task + 1): row for row, task in enumerate(steps_of(record["result"]))}
    words = [word.strip() for word in text.split(",")]
    if len(words) != 2 or not all(word in steps for word in words):
        known = f"{min(steps, key=int)} to {max(steps, key=int)}" if steps else "none"
        raise UsageError(f"--flips takes two tasks that were evaluated, such as 1,2, not '{text}'; there are: {known}.")
    return [steps[word] for word in words]


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.6f}"


def _same(first: float | None, second: float | None) -> bool:
    return first is second if first is None or second is None else math.isclose(first, second, abs_tol=1e-12)
