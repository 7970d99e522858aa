"""`clbench claims`: what papers claim, and the verdict on each from records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cl.cli.reading import read_runs
from cl.cli.text import room, say

if TYPE_CHECKING:
    from cl.results.claims import Claims

_EPILOG = """\b
Examples:
  clbench claims results/reference
  clbench claims results/reference C1 C5           all parts of two claims, and the commands that are left
  clbench claims results --file own-claims.toml    claims of your own, in the form of the shipped file
  clbench claims results/reference --json

\b
holds: the 95 % interval of the paired difference is on the claimed side, and the claimed size is reached.
holds in direction: on the claimed side, smaller than claimed. cannot be told: the interval contains 0.
does not hold here: on the other side. needs X: X is not at hand. running k of n: runs are missing."""


@click.command("claims", epilog=_EPILOG, short_help="what papers claim, and the verdict on each from records")
@click.argument("arguments", nargs=-1, metavar="[FOLDER...] [CLAIM...]")
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    help="Declaration of claims.  [default: the shipped claims]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: every attempt with its parts.")
def command(arguments: tuple[str, ...], file: Path | None, as_json: bool) -> int:
    """Compute the verdict on every claim, or on some by id, from the records in FOLDERs.

    The default is the results folder. Nothing is run.
    """
    from cl.paths import results
    from cl.results.claims import FILE, Evidence, judge, read_claims
    from cl.results.claims.show import claims_json, details, overview

    claims = read_claims(file or FILE)
    ids, folders = _sorted(arguments, claims)
    claims = claims.placed(folders or [results()])
    evidence = Evidence(claims, read_runs(folders))
    judged = [judge(claim, evidence) for claim in claims.claims if not ids or claim.id in ids]
    if as_json:
        click.echo(json.dumps(claims_json(judged), indent=1))
    elif ids:
        click.echo("\n\n".join(details(each, room()) for each in judged))
    else:
        say(overview(judged, room()))
    return 0


def _sorted(arguments: tuple[str, ...], claims: Claims) -> tuple[list[str], list[Path]]:
    """Ids of claims and folders; a name that is neither raises `UsageError`."""
    from cl.errors import UsageError, did_you_mean

    known = [claim.id for claim in claims.claims]
    ids, folders = [], []
    for argument in arguments:
        if argument in known:
            ids.append(argument)
        elif Path(argument).exists():
            folders.append(Path(argument))
        else:
            hint = did_you_mean(argument, known) or f" Claims: {', '.join(known)}."
            raise UsageError(f"There is no claim and no folder '{argument}'.{hint}")
    return ids, folders
