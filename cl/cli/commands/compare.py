"""`clbench compare`: two rows of a leaderboard side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cl.cli.completers import complete, complete_metric
from cl.cli.reading import read_runs
from cl.cli.text import room, say
from cl.errors import printable

if TYPE_CHECKING:
    from cl.results.leaderboard.compare import Comparison
    from cl.results.leaderboard.entries import Run

_EPILOG = """\b
Examples:
  clbench compare slca finetune --stream split-cifar100
  clbench compare l2:small l2:30d8 results/reference   by preset and by config hash
  clbench compare results/split-digits/slca other/results/split-digits/slca
  clbench compare slca ewc --metric F_chaudhry --json

\b
A and B are strategies, as NAME, NAME:PRESET or NAME:HASH (its first characters), or folders that hold the runs of
one row. NAME and NAME:PRESET are the row without further options, if there is one. The interval resamples seeds and
test images, the same for both sides. McNemar's test is exact and tests whether two runs classify equally many images
correctly; it says nothing about other seeds. NFR and PFR are the negative and positive flips from B to A: images that
B has right and A wrong, and the reverse, in percent. If one side is a joint run, I_mean and I_last are the
intransigence of the other."""


@click.command(
    "compare", epilog=_EPILOG, short_help="two rows side by side: how they differ, and whether it is significant"
)
@click.argument("first", metavar="A", shell_complete=complete("strategies"))
@click.argument("second", metavar="B", shell_complete=complete("strategies"))
@click.argument("places", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER...]")
@click.option(
    "--results",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The same as FOLDER after A and B.",
)
@click.option("--stream", help="The stream, if both ran on several; * and ? match anything.")
@click.option("--backbone", help="The backbone, if both ran on several.")
@click.option(
    "--metric", default="A_last_sample", shell_complete=complete_metric, show_default=True, help="Metric to compare."
)
@click.option("--rule", help="Prediction rule.  [default: the strictest that both have]")
@click.option("--classes", default=5, show_default=True, help="Number of gains and losses by class to print.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: everything, as fractions.")
def command(
    first: str, second: str, places: tuple[Path, ...], folders: tuple[Path, ...], stream: str | None,
    backbone: str | None, metric: str, rule: str | None, classes: int, as_json: bool,
) -> int:  # fmt: skip
    """Compare A with B over common seeds: paired difference with a 95 % interval, McNemar, tasks and classes.

    FOLDER holds runs of the strategies; the default is the results folder.
    """
    from cl.results.leaderboard.compare import compare

    read = cache(lambda *places: read_runs(places))  # a record that cannot be read is named once
    sides = [_runs(text, (*places, *folders), stream, backbone, read) for text in (first, second)]
    found = compare(*sides, metric=metric, rule=rule)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        say(_text(found, classes).rstrip("\n"))
    return 0


def _runs(
    text: str,
    folders: Sequence[Path],
    stream: str | None,
    backbone: str | None,
    read: Callable[..., list[Run]],
) -> list[Run]:
    from fnmatch import fnmatchcase

    from cl.errors import UsageError
    from cl.results.leaderboard.compare import chosen
    from cl.results.store import has_records

    runs = read(Path(text)) if os.path.exists(text) and has_records(text) else chosen(text, read(*folders))
    fits = [
        run
        for run in runs
        if fnmatchcase(run.result["stream"]["name"], stream or "*")
        and fnmatchcase(run.result["backbone"]["name"], backbone or "*")
    ]
    if not fits:
        where = sorted({f"{run.result['stream']['name']} on {run.result['backbone']['name']}" for run in runs})
        raise UsageError(f"The runs of {text} are on other streams or backbones: {'; '.join(where)}.")
    return fits


def _text(found: Comparison, classes: int) -> str:
    a, b = _names(found)
    lines = [
        f"A: {_described(found['first'])}",
        f"B: {_described(found['second'])}",
        f"{found['stream']} on {found['backbone']}, rule {found['rule']}, {found['metric']} in {_unit(found)}",
        *_table(_seed_columns(found), _seed_rows(found), left=0),
        "",
        _verdict(found, a, b),
        _smallest(found),
        "",
        "Accuracy after the last task",
        *_table(["task", "A", "B", "A - B"], [[str(each["task"]), *_sides(each)] for each in found["tasks"]], left=0),
    ]
    ordered = sorted(
        (each for each in found["classes"] if each["difference"] is not None), key=lambda each: -each["difference"]
    )
    gains = [each for each in ordered if each["difference"] > 0][:classes]
    losses = [each for each in reversed(ordered) if each["difference"] < 0][:classes]
    for title, chosen in (("Classes where A gains most", gains), ("Classes where A loses most", losses)):
        if chosen:
            rows = [[each["name"], *_sides(each)] for each in chosen]
            lines += ["", title, *_table(["class", "A", "B", "A - B"], rows, left=1)]
    return "\n".join(map(printable, lines))


def _unit(found: Comparison) -> str:
    from cl.records.metrics import METRICS

    return METRICS[found["metric"]].unit or "percent"


def _scale(found: Comparison) -> float:
    from cl.records.metrics import scale_of

    return scale_of(found["metric"])


def _names(found: Comparison) -> tuple[str, str]:
    names = [found[side]["strategy"] for side in ("first", "second")]
    return (f"A ({names[0]})", f"B ({names[1]})")


def _described(side: dict[str, Any]) -> str:
    parts = [
        side["strategy"],
        side["options"],
        side["continues"],
        f"preset {side['preset']}" if side["preset"] else "no preset",
    ]
    text = ", ".join(filter(None, [*parts, f"config {side['config_hash']}", f"seeds {' '.join(side['seeds'])}"]))
    return text + (f" ({', '.join(side['marks'])}: unranked)" if side["marks"] else "")


_BY_IMAGE = ("only A right", "only B right", "McNemar p", "NFR", "PFR")
_JOINT = ("I_mean", "I_last")


def _seed_columns(found: Comparison) -> list[str]:
    """With the intransigence if one side was trained jointly."""
    return ["seed", "A", "B", "A - B", *_BY_IMAGE, *(_JOINT if found["seeds"][0]["intransigence"] else ())]


def _seed_rows(found: Comparison) -> list[list[str]]:
    from cl.results.tables import percent

    rows = []
    for each in found["seeds"]:
        test, flips, joint = each["mcnemar"], each["flips"], each["intransigence"]
        counts = ["-"] * 3 if test is None else [str(test["only_first"]), str(test["only_second"]), _p(test["p"])]
        rates = ["-"] * 2 if flips is None else [percent(flips["negative"]), percent(flips["positive"])]
        more = [] if joint is None else [percent(joint[name]) for name in _JOINT]
        rows.append([each["seeds"], *_sides(each, _scale(found)), *counts, *rates, *more])
    blank = len(_seed_columns(found)) - 4
    return [*rows, ["mean", *_sides(found["mean"], _scale(found)), *([""] * blank)]]


def _verdict(found: Comparison, a: str, b: str) -> str:
    if found["interval"] is None:
        return "One seed and no predictions: there is no interval."
    low, high = (f"{_scale(found) * end:+.2f}" for end in found["interval"])
    about = f"95 % interval of the difference [{low}, {high}], {found['drawn']} resampled"
    if found["better"] is None:
        return f"A and B cannot be distinguished: {about}."
    better = a if found["better"] == "first" else b
    caution = " On one seed only." if len(found["seeds"]) == 1 else ""
    if found["interval"][0] == found["interval"][1]:
        caution += " The interval has no width: every resample of these few images gives the same; see McNemar's p."
    return f"{better} is better: {about}.{caution}"


def _smallest(found: Comparison) -> str:
    seeds, images = (found["smallest_difference"][key] for key in ("seeds", "images"))
    number = len(found["seeds"])
    parts = []
    if seeds is not None:
        parts.append(f"{_scale(found) * seeds:.2f} by a t-test over {number} seeds")
    if images is not None:
        parts.append(f"{_scale(found) * images:.2f} by these images, for these seeds only")
    if not parts:
        return "The smallest detectable difference needs two seeds or more."
    return f"Smallest difference that is detected in four of five cases: {', '.join(parts)}."


def _sides(each: dict[str, Any], scale: float = 100.0) -> list[str]:
    values = [None if each[key] is None else scale * each[key] for key in ("first", "second", "difference")]
    return ["-" if value is None else f"{value:{sign}.2f}" for value, sign in zip(values, ("", "", "+"), strict=True)]


def _p(value: float) -> str:
    return "<1e-4" if value < 1e-4 else f"{value:.4f}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    from cl.results.fitted import fitted

    return fitted(columns, rows, room(), left=columns[:left])
