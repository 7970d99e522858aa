"""`clbench cache`: the files on disk apart from records, and their cleaning."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import click

from cl.cli.text import age_text, confirmed, print_table, size_text

_EPILOG = """\b
Examples:
  clbench cache                                   what is there
  clbench cache --json                            every item
  clbench cache clean features --dry-run
  clbench cache clean decoded downloads --older-than 30d
  clbench cache clean all --yes

\b
Records, saved learners and items locked by a running process are never deleted. Deleted items are
computed or downloaded again when needed, with the same results."""

_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}

_RESULTS = click.option(
    "--results",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    envvar="CLBENCH_RESULTS",
    default=Path("results"),
    help="Folder of runs.  [default: ./results]",
)


@click.group("cache", epilog=_EPILOG, invoke_without_command=True, short_help="sizes and clean-up")
@_RESULTS
@click.option("--json", "as_json", is_flag=True, help="Print every item as JSON.")
@click.pass_context
def command(ctx: click.Context, results: Path, as_json: bool) -> int | None:
    """Show the files on disk: encodings, decoded images, resamples, downloads, checkpoints, saved learners."""
    if ctx.invoked_subcommand is not None:
        ctx.obj = results
        return None
    from cl.housekeeping.cache import KINDS, TITLES, inventory
    from cl.paths import home

    items = inventory(home(), results)
    if as_json:
        shown = [{**dataclasses.asdict(item), "path": str(item.path)} for item in items]
        click.echo(json.dumps([{key: value for key, value in item.items() if key != "lock"} for item in shown]))
        return 0
    rows = []
    for kind in KINDS:
        found = [item for item in items if item.kind == kind]
        if found or kind != "unknown":
            size, used = sum(item.bytes for item in found), max((item.used for item in found), default=0.0)
            rows.append([kind, str(len(found)), size_text(size), age_text(used), TITLES[kind]])
    print_table(["kind", "items", "size", "last use", "what it is"], rows, right=["items", "size"])
    click.echo(f"\nCache: {home()}\nResults: {results}")
    for item in items:
        if item.kind == "unknown":
            click.echo(f"Unknown: {item.path} ({size_text(item.bytes)})")
    return 0


class _Age(click.ParamType):
    """An age such as 30d, 12h, 90m or 2w, in seconds."""

    name = "age"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([mhdw])", value.strip())
        if found is None:
            self.fail(f"'{value}' is no age; write 30d, 12h, 90m or 2w.", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


@command.command(epilog=_EPILOG, short_help="delete what can be restored")
@click.argument(
    "kinds",
    nargs=-1,
    required=True,
    type=click.Choice(
        ["features", "decoded", "resamples", "backbones", "downloads", "checkpoints", "leftovers", "all"]
    ),
)
@click.option(
    "--older-than", type=_Age(), metavar="AGE", default="0d", help="Only items not used for this long: 30d, 12h, 2w."
)
@click.option("--dry-run", is_flag=True, help="List what would be deleted and delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@_RESULTS
@click.pass_context
def clean(
    ctx: click.Context, kinds: tuple[str, ...], older_than: float, dry_run: bool, yes: bool, results: Path
) -> int:
    """Delete what can be restored.

    KINDS are features, decoded, resamples (all files of leaderboards), backbones (their sizes, for dry runs),
    downloads, checkpoints (the progress of incomplete runs), leftovers (what killed processes left), or all. The last
    use of a file is its last access or modification, as far as the file system keeps them.
    """
    from cl.housekeeping.cache import CLEANABLE, choose, inventory
    from cl.housekeeping.cache import clean as clean_items
    from cl.paths import home

    wanted = CLEANABLE if "all" in kinds else kinds
    if ctx.get_parameter_source("results") is not click.core.ParameterSource.COMMANDLINE:
        results = ctx.obj  # `clbench cache --results FOLDER clean ...` means the same
    click.echo(f"Cache: {home()}\nResults: {results}", err=True)  # shown before anything is deleted
    items = choose(inventory(home(), results), wanted, older_than)
    for item in items:
        click.echo(f"{item.kind}  {item.path}  {size_text(item.bytes)}, last used {age_text(item.used)}")
    size = sum(item.bytes for item in items)
    if not items:
        click.echo("There is nothing to clean.")
        return 0
    if dry_run:
        click.echo(f"Would free {size_text(size)}; nothing was touched.")
        return 0
    unfinished = sum(item.kind == "checkpoints" for item in items)
    lost = f" {unfinished} unfinished run(s) will start from the beginning." if unfinished else ""
    if not confirmed(f"Delete {len(items)} item(s) there, {size_text(size)}?{lost}", yes):
        click.echo("Nothing was removed.")
        return 1
    outcomes = clean_items(items)
    for outcome in outcomes:
        if outcome.state != "removed":
            why = "a running process uses it" if outcome.state == "in use" else outcome.reason
            click.echo(f"Kept: {outcome.item.path} ({why}).", err=True)
    freed = sum(outcome.item.bytes for outcome in outcomes if outcome.state == "removed")
    click.echo(f"Freed {size_text(freed)}.")
    return 1 if any(outcome.state == "failed" for outcome in outcomes) else 0
