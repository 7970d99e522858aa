"""`clbench results`: results folders of several machines, merged, sent to and fetched from other places."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cl.cli.text import Size

if TYPE_CHECKING:
    from cl.results.merge import Outcome

_FOLDER = click.Path(path_type=Path, file_okay=False)

_EPILOG = """\b
Examples:
  clbench results merge results ../laptop/results --into all
  clbench results push results s3://bucket/results
  clbench results pull hf://datasets/group/results theirs
  clbench leaderboard results theirs          several folders without a merge

\b
A run is copied as a whole or not at all, and none is overwritten. Two runs of one place with equal results
are the same run; others are in conflict, and are named. Exit code 1: conflicts, or runs that were refused."""

_json = click.option("--json", "as_json", is_flag=True, help="Print the counts and every run as JSON.")
_partial = click.option("--partial", is_flag=True, help="Also runs that are not complete, without their checkpoints.")
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")


@click.group("results", epilog=_EPILOG, short_help="merge results folders; push and pull them")
def command() -> None:
    """Merge results folders, and exchange them with other places."""


_MERGE = """\b
Examples:
  clbench results merge results ../laptop/results --into all
  clbench results merge node1 node2 node3 --into all --dry-run
  clbench results merge results --into all --partial --json

\b
A merge that was stopped continues with the same command. A conflict names both runs and what differs:
configuration, code of the strategy, weights, images, environment, right answers. The run in the target stays, and
all other runs are merged. Exit code 1: there are conflicts, or records that cannot be read."""


@command.command("merge", epilog=_MERGE, short_help="copy the runs of several folders into one")
@click.argument("folders", nargs=-1, required=True, type=_FOLDER, metavar="FOLDER...")
@click.option("--into", required=True, type=_FOLDER, metavar="FOLDER", help="The target; it may hold runs already.")
@_partial
@_dry_run
@_json
def merge_folders(folders: tuple[Path, ...], into: Path, partial: bool, dry_run: bool, as_json: bool) -> int:
    """Copy the complete runs of several results folders into one.

    Every run keeps its path below its folder. Its record, predictions and configuration are checked before the
    copy gets its name.
    """
    from cl.results.merge import merge

    outcomes = merge(folders, into, partial=partial, dry_run=dry_run)
    return _report(outcomes, "would be merged" if dry_run else "merged", as_json)


_PUSH = """\b
Examples:
  clbench results push results s3://bucket/results
  clbench results push results hf://datasets/group/results
  clbench results push results /mnt/shared/results
  clbench results push results s3://bucket/results --dry-run

\b
A place is a path or a URL of fsspec. It needs pip install 'clbench[remote]'; s3:// also needs s3fs, hf:// needs
huggingface_hub. Credentials are those of these packages. A push that was stopped continues with the same command.
Two processes should not push different results of one run at the same time: most places cannot refuse the later."""


@command.command("push", epilog=_PUSH, short_help="send a results folder to another place")
@click.argument("folder", type=_FOLDER)
@click.argument("url", metavar="URL")
@_partial
@click.option("--learners", is_flag=True, help="Also saved learners, which are large.")
@_dry_run
@_json
def push_folder(folder: Path, url: str, partial: bool, learners: bool, dry_run: bool, as_json: bool) -> int:
    """Send the complete runs of a results folder to another place; runs that are there are not sent again."""
    from cl.results.remote import push

    outcomes = push(folder, url, partial=partial, learners=learners, dry_run=dry_run)
    return _report(outcomes, "would be sent" if dry_run else "sent", as_json)


_PULL = """\b
Examples:
  clbench results pull s3://bucket/results theirs
  clbench results pull hf://datasets/group/results theirs --max-bytes 2GB
  clbench results pull s3://bucket/results theirs --dry-run          fetches and checks the records alone

\b
What is received is not trusted: a run enters the folder only if the names of its files, their sizes, the structure
of its record, its hashes and its predictions are sound. No code is executed and nothing is unpickled. A run that
fails is refused as a whole, and named with the reason. Limits of a file: record 20 MB, predictions 500 MB, config
1 MB, inputs and events 50 MB, log 20 MB, profile 1 MB, learner 4 GB."""


@command.command("pull", epilog=_PULL, short_help="fetch runs from another place, checked")
@click.argument("url", metavar="URL")
@click.argument("folder", type=_FOLDER)
@_partial
@click.option("--learners", is_flag=True, help="Also saved learners (safetensors).")
@click.option(
    "--max-bytes", type=Size(), default=20_000_000_000, show_default=True, metavar="BYTES",
    help="The most bytes of all files together: a number, or one with a unit, such as 2GB.",
)  # fmt: skip
@_dry_run
@_json
def pull_folder(
    url: str, folder: Path, partial: bool, learners: bool, max_bytes: int, dry_run: bool, as_json: bool
) -> int:
    """Fetch the complete runs of another place into a results folder, and check them.

    Of a run that is in the folder already only the record is fetched.
    """
    from cl.results.remote import pull

    outcomes = pull(url, folder, partial=partial, learners=learners, most=max_bytes, dry_run=dry_run)
    return _report(outcomes, "would be received" if dry_run else "received", as_json)


def _report(outcomes: Iterable[Outcome], done: str, as_json: bool) -> int:
    """Name every run that failed on stderr, and print the counts."""
    from cl.cli.text import print_table
    from cl.errors import printable
    from cl.results.merge import counts

    found = []
    for outcome in outcomes:
        found.append(outcome)
        if outcome.failed:
            click.echo(printable(f"{outcome.state.capitalize()}: {outcome.reason}"), err=True)
    number = {done if state == "merged" else state: count for state, count in counts(found).items()}
    if as_json:
        runs = [
            {"state": done if each.state == "merged" else each.state, "place": each.place, "source": each.source}
            | ({"reason": each.reason} if each.reason else {})
            for each in found
        ]
        click.echo(json.dumps({"counts": number, "runs": runs}, indent=1))
    else:
        print_table(["runs", "number"], [[state, str(count)] for state, count in number.items()], right=["number"])
    return 1 if any(outcome.failed for outcome in found) else 0
