"""`clbench recommend`: which methods fit what a user has, and how they compare."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from cl import paths
from cl.cli.shared import top_option
from cl.cli.text import room, say
from cl.plan.families import COMPUTE, MEMORY, NETWORKS, WEIGHTS
from cl.protocol import SETTINGS

if TYPE_CHECKING:
    from cl.results.choosing import Answers, Choice
    from cl.results.leaderboard.ranking import Row

_WIDEST = 120
"""Characters of a line of text; fewer on a narrower terminal."""

UNTUNED = "untuned"  # as in `cl.results.leaderboard.ranking`, whose import takes half a second

_EPILOG = """\b
Examples:
  clbench recommend --setting class-incremental --memory none --backbone vit --task-unknown
  clbench recommend --setting online --compute features
  clbench recommend results --backbone cnn --weights random --task-told --top 5 --json"""


@click.command("recommend", epilog=_EPILOG, short_help="which methods fit what you have, and how they compare")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER...]")
@click.option("--setting", type=click.Choice(SETTINGS), help="The setting of your stream.")
@click.option("--memory", type=click.Choice(MEMORY), help="What may be kept of earlier tasks: no image, or some.")
@click.option(
    "--backbone",
    type=click.Choice(NETWORKS),
    help="The kind of network: Vision Transformer, convolutional, perceptron, or CLIP with a text tower.",
)
@click.option("--weights", type=click.Choice(WEIGHTS), help="Pretrained weights, or random ones (from scratch).")
@click.option(
    "--task-told/--task-unknown", "told", default=None, help="Whether you know the task of an image to be classified."
)
@click.option(
    "--compute",
    type=click.Choice(COMPUTE),
    help="What there is compute for: features of the network alone, gradients of prompts and adapters too (parts), or "
    "of the whole network.",
)
@click.option("--metric", default="A_last_sample", show_default=True, help="The metric that ranks.")
@top_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    folders: tuple[Path, ...], setting: str | None, memory: str | None, backbone: str | None, weights: str | None,
    told: bool | None, compute: str | None, metric: str, top: int | None, as_json: bool,
) -> int:  # fmt: skip
    """Name the methods that fit what you have, and rank them by records.

    What is not given leaves no method out. Methods are left out for facts that they declare, for their default options.
    Records are those below FOLDER, else the reference results of a checkout; without these nothing is ranked. Methods
    that cannot be told apart from the best are named.
    """
    from cl.cli.reading import read_indexed
    from cl.errors import UsageError
    from cl.results.choosing import Answers, choose
    from cl.results.store import has_records

    answers = Answers(setting, memory, backbone, weights, told, compute)
    if not any(value is not None for value in asdict(answers).values()):
        known = "--setting, --memory, --backbone, --weights, --task-told or --task-unknown, --compute"
        click.echo(f"Give what you know: {known}. Without them only bounds are left out.", err=True)
    places = list(folders) or _shipped()
    given = bool(folders)
    runs = read_indexed(places)[0] if places and (given or has_records(places[0])) else []
    if given and not runs:
        raise UsageError("There are no records here; make one with clbench run, or name another folder.")
    choice = choose(answers, runs, metric=metric)
    if as_json:
        click.echo(_as_json(answers, choice, places, top))
    else:
        say(_as_text(choice, places, metric, top))
    return 0


def _shipped() -> list[Path]:
    """The reference results of a checkout; none in an installation."""
    folder = paths.CHECKOUT / "results" / "reference" if paths.CHECKOUT is not None else None
    return [folder] if folder is not None and folder.is_dir() else []


_SHOWN = ("strategy", "family", "options", "preset", "rank", "mean", "ci_low", "ci_high", "n_seeds", "configurations",
          "best_on", "boards", "tflops", "note")  # fmt: skip


def _as_json(answers: Answers, choice: Choice, places: Sequence[Path], top: int | None) -> str:
    found = {
        "answers": asdict(answers),
        "records": {"folders": [str(place) for place in places], "runs": choice.runs, "boards": choice.boards},
        "board": choice.board,
        "ranked": [{name: row[name] for name in _SHOWN} for row in choice.ranked[:top]],
        "tied_with_best": [row["strategy"] for row in choice.tied],
        "unranked": choice.unranked,
        "undeclared": choice.undeclared,
        "excluded": choice.excluded,
    }
    return json.dumps(found, indent=1, allow_nan=False)


def _as_text(choice: Choice, places: Sequence[Path], metric: str, top: int | None) -> str:
    fit, out = len(choice.ranked) + len(choice.unranked), sum(map(len, choice.excluded.values()))
    lines = [f"{fit} of {fit + out} methods fit." if out else f"All {fit} methods fit."]
    for reason, names in sorted(choice.excluded.items(), key=lambda item: -len(item[1])):
        lines += _wrapped(f"{len(names)} {reason}: {', '.join(names)}.", "  ")
    if choice.undeclared:
        lines += _wrapped(f"Not known, because they declare no facts: {', '.join(choice.undeclared)}.", "  ")
    return "\n".join([*lines, "", *_ranking(choice, places, metric, top), *_rest(choice)])


def _ranking(choice: Choice, places: Sequence[Path], metric: str, top: int | None) -> list[str]:
    where = ", ".join(map(str, places))
    if not places:
        return ["No records: an installation has none; name a results folder. Methods are not ranked.", ""]
    if not choice.ranked:
        none = f"No records in {where} are of two or more of these methods on one board. Methods are not ranked."
        return [*_wrapped(none), ""]
    from cl.results.fitted import fitted

    columns = ["rank", "method", "family", metric, "95 % interval", "seeds", "TFLOPs", "configurations", "best on"]
    rows = [_cells(row) for row in choice.ranked[:top]]
    boards = "1 board fits" if choice.boards == 1 else f"{choice.boards} boards fit; the one with most of these methods"
    lines = _wrapped(f"Records: {where}. {boards}: {choice.board}.")
    lines += fitted(columns, rows, room(), left=("method", "family"))
    left = len(choice.ranked) - len(rows)
    lines += [f"{left} more; without --top all are shown."] if left else []
    return [*lines, *_remarks(choice), ""]


def _cells(row: Row) -> list[str]:
    from cl.results.tables import percent

    interval = "" if row["ci_low"] is None else f"[{percent(row['ci_low'])}, {percent(row['ci_high'])}]"
    return [
        str(row["rank"]),
        f"{row['strategy']} {row['options']}".rstrip(),
        row["family"],
        percent(row["mean"]),
        interval,
        str(row["n_seeds"]),
        "" if row["tflops"] is None else f"{row['tflops']:.4g}",
        str(row["configurations"]),
        f"{row['best_on']} of {row['boards']}",
    ]


def _remarks(choice: Choice) -> list[str]:
    names = [row["strategy"] for row in choice.tied]
    told = (
        f"{', '.join(names)} cannot be told apart from the best: the 95 % interval of the paired difference contains 0."
        if len(names) > 1
        else f"{names[0]} is ranked first alone: no 95 % interval of a paired difference from it contains 0."
    )
    shown = "A row is the best of a method's configurations there, chosen on these test images."
    best = "best on: boards that fit on which the method ties with the best."
    other = "Another backbone or other images may rank them otherwise."
    limits = [f"{row['strategy']}: {note}." for row in choice.tied for note in _limits(row)]
    return [line for text in (told, *limits, f"{shown} {best} {other}") for line in _wrapped(text)]


def _limits(row: Row) -> list[str]:
    """Notes that limit what a tie says: one seed, no predictions, no values of its own options."""
    return [note for note in str(row["note"]).split("; ") if note.startswith(("tested", "not tested", UNTUNED))]


def _rest(choice: Choice) -> list[str]:
    """Methods that fit and are not on the board, by family."""
    if not choice.unranked:
        return []
    grouped: dict[str, list[str]] = {}
    for name, family in choice.unranked.items():
        grouped.setdefault(family, []).append(name)
    also = "also fit, without a ranked record there" if choice.ranked else "fit"
    lines = [f"By facts alone {len(choice.unranked)} methods {also}:"]
    return [*lines, *(line for text in _families(grouped) for line in _wrapped(text, "  "))]


def _families(grouped: Mapping[str, Sequence[str]]) -> list[str]:
    from cl.plan.families import FAMILIES

    known = [name for name in FAMILIES if name in grouped]
    return [f"{name}: {', '.join(grouped[name])}" for name in [*known, *sorted(set(grouped) - set(known))]]


def _wrapped(text: str, indent: str = "") -> list[str]:
    from cl.errors import printable

    return wrap(
        printable(text), min(room() or _WIDEST, _WIDEST), initial_indent=indent, subsequent_indent=indent + "  ",
        break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip
