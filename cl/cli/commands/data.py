"""`clbench data`: datasets, their places, and whether they are intact."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import click

from cl.cli.completers import complete_dataset
from cl.cli.text import confirmed, print_table, say, size_text

if TYPE_CHECKING:
    from cl.data.catalog import KnownDataset
    from cl.data.known import Copy
    from cl.data.official.release import Found

_EPILOG = """\b
Examples:
  clbench data list
  clbench data get cifar100
  clbench data where cifar100           every place looked at, and what is there
  clbench data verify cifar100
  clbench data status nevis             every dataset of a stream: here or not, where, and why not
  clbench data get nevis --dry-run      what would be fetched, and what only you can get
  clbench data remove cifar100 --dry-run

\b
Datasets are searched for in the folders of CLBENCH_DATA_PATH, then in CLBENCH_HOME/data, then downloaded;
CLBENCH_OFFLINE=1 forbids downloads."""

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_NAME = click.argument("name", shell_complete=complete_dataset)


@click.group("data", epilog=_EPILOG, short_help="datasets: list, get, status, verify, where, remove")
def command() -> None:
    """Datasets: where they are, their licences, and whether they are intact."""


@command.command("list", epilog=_EPILOG)
@click.option("--all", "every", is_flag=True, help="Name every dataset in official files, not their numbers alone.")
@_JSON
def list_(every: bool, as_json: bool) -> int:
    """List the datasets that clbench knows: their places, sizes and licences.

    If the fingerprints of a dataset are known, its decoded images are compared with them at every use; whether the
    files here are those, `clbench data verify NAME` says. Datasets in official files, such as those of nevis, are
    counted for each stream that reads them; --all names each.
    """
    from cl.cli.commands.data_of_releases import about_releases, list_releases
    from cl.data.catalog import DATASETS

    found = [_about(declared) for declared in DATASETS.values()]
    if as_json:
        click.echo(json.dumps([*found, *(about_releases() if every else ())], indent=1))
        return 0
    rows = [
        [
            item["name"],
            item["here"] or "not here",
            size_text(item["bytes"]),
            "known" if item["fingerprints_known"] else "unknown",
        ]
        for item in found
    ]
    print_table(["dataset", "where", "size", "fingerprints"], rows, right=["size"])
    for item in found:
        count = f"{item['train']:,} + {item['test']:,}" if item["test"] else f"{item['train']:,}"
        say(f"\n{item['name']}: {item['title']}, {count} images of {item['classes']} classes\n"
            f"  Licence: {item['licence']}\n  Cite: {item['citation']}")  # fmt: skip
    list_releases(every)
    return 0


def _about(declared: KnownDataset) -> dict[str, Any]:
    from cl.data.catalog import copies
    from cl.housekeeping.datasets import tree_size

    copy = next(copies(declared), None)
    return {
        "name": declared.name,
        "title": declared.title,
        "here": None if copy is None else str(copy),
        "bytes": sum(file.size for file in declared.archives)
        if copy is None
        else sum(tree_size(path)[0] for path in copy.paths),
        "train": declared.sizes[0],
        "test": declared.sizes[1],
        "classes": declared.n_classes,
        "fingerprints_known": set(declared.fingerprints) == {"train", "test"},
        "licence": declared.licence,
        "citation": declared.citation,
        "urls": [url for file in declared.archives for url in file.urls],
    }


@command.command(epilog=_EPILOG)
@_NAME
@click.option("--jobs", type=click.IntRange(1, 32), default=4, show_default=True, help="Downloads at a time.")
@click.option("--dry-run", is_flag=True, help="List what would be fetched and fetch nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, afterwards; everything else goes to stderr.")
def get(name: str, jobs: int, dry_run: bool, as_json: bool) -> int:
    """Find the dataset NAME, or download it after showing its licence and citation.

    NAME may be a stream of several datasets, such as nevis: then everything that needs no account is fetched, and the
    rest is listed with what to do. What Kaggle has is fetched with your account if kagglehub is installed. An
    interrupted download continues with the same command. What is here already is checked as a run would; exits with 3
    if it is not what is published. --json says of a dataset what `clbench data list --json` does, and of a stream what
    `clbench data status --json` does.
    """
    from cl.cli.commands.data_of_streams import fetch_release, fetch_stream
    from cl.cli.shared import set_up
    from cl.data.catalog import DATASETS, copies, obtain
    from cl.data.known import KnownDataset
    from cl.housekeeping.datasets import check_content
    from cl.housekeeping.releases import declared as declared_stream
    from cl.housekeeping.releases import named
    from cl.progress.displays import make_progress

    set_up(quiet=False, verbose=0)
    if name not in DATASETS and (stream := declared_stream(name)) is not None:
        return fetch_stream(stream, jobs, dry_run, as_json)
    declared = named(name, "get")
    if not isinstance(declared, KnownDataset):
        return fetch_release(declared, dry_run, as_json)
    was_here = any(True for _ in copies(declared))
    if dry_run and not was_here:
        size = sum(file.size for file in declared.archives)
        click.echo(f"Would download {declared.title} ({size_text(size)}).", err=as_json)
    else:
        with make_progress() as show:
            copy = obtain(name, show.data)
            if was_here:
                check_content(declared, copy, show.data)
        click.echo(f"{declared.title} {'was here already' if was_here else 'is here now'}: {copy}", err=as_json)
    click.echo(f"Licence: {declared.licence}\nCite: {declared.citation}", err=as_json)
    if as_json:
        click.echo(json.dumps(_about(declared), indent=1))
    return 0


@command.command(epilog=_EPILOG)
@click.argument("name", metavar="STREAM", shell_complete=complete_dataset)
@click.option("--verify", is_flag=True, help="Read the archives and compare them with the published checksums.")
@_JSON
def status(name: str, verify: bool, as_json: bool) -> int:
    """Show every dataset of STREAM: whether it is here, in which form and where, and what to do if it is not.

    A stream of a single dataset shows the same as `clbench data where`.
    """
    from cl.cli.commands.data_of_streams import show_status

    return show_status(name, verify, as_json)


@command.command(epilog=_EPILOG)
@_NAME
@_JSON
def where(name: str, as_json: bool) -> int:
    """Show every place that is searched for NAME, in order, and what is there."""
    from cl.cli.commands.data_of_releases import show_places_of
    from cl.cli.commands.data_of_streams import show_places
    from cl.data.known import KnownDataset
    from cl.housekeeping.releases import named

    found = named(name, "where")
    return show_places(found, as_json) if isinstance(found, KnownDataset) else show_places_of(found, as_json)


@command.command(epilog=_EPILOG)
@_NAME
@_JSON
def verify(name: str, as_json: bool) -> int:
    """Check every copy of NAME: the archive's SHA-256, and the fingerprints of the decoded images.

    Of a dataset in official files every file is compared with what its authors publish. Exits with 3 if something does
    not match. "unknown" means that no reference value exists.
    """
    from cl.cli.app import report
    from cl.cli.commands.data_of_releases import show_checks
    from cl.cli.shared import set_up
    from cl.data.known import KnownDataset
    from cl.errors import DataError
    from cl.housekeeping.datasets import verify as verify_copies
    from cl.housekeeping.releases import named
    from cl.progress.displays import make_progress

    set_up(quiet=False, verbose=0)
    found = named(name, "verify")
    if not isinstance(found, KnownDataset):
        return show_checks(found, as_json)
    with make_progress() as show:
        checks = verify_copies(found, show.data)
    if as_json:
        click.echo(json.dumps([{**dataclasses.asdict(check), "state": check.state} for check in checks], indent=1))
    else:
        rows = [[check.where, check.what, check.state, (check.found or "-")[:16]] for check in checks]
        print_table(["copy", "what", "state", "SHA-256"], rows)
    problems = [check.problem for check in checks if check.problem is not None]
    for problem in problems:
        report(DataError(problem))
    return DataError.exit_code if problems else 0


@command.command(epilog=_EPILOG)
@_NAME
@click.option("--dry-run", is_flag=True, help="List what would be removed and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def remove(name: str, dry_run: bool, yes: bool) -> int:
    """Remove NAME from the cache below CLBENCH_HOME; folders of CLBENCH_DATA_PATH are never touched."""
    from cl.data.catalog import copies
    from cl.data.known import KnownDataset
    from cl.housekeeping.datasets import reached_by_link, removable, tree_size
    from cl.housekeeping.datasets import remove as remove_files
    from cl.housekeeping.published import copies_of, removable_of
    from cl.housekeeping.releases import named

    declared = named(name, "remove")
    paths = removable(declared) if isinstance(declared, KnownDataset) else removable_of(declared)
    size = sum(tree_size(path)[0] for path in paths)
    for path in paths:
        linked = f" (a link; {path.resolve()} is kept)" if path.is_symlink() else ""
        click.echo(f"{path}  {size_text(tree_size(path)[0])}{linked}")
    if not paths:
        click.echo(f"{declared.title} is not in the cache; nothing to remove.")
    elif dry_run:
        click.echo(f"Would free {size_text(size)}; nothing was touched.")
    elif confirmed(f"Remove {declared.title} from the cache ({size_text(size)})?", yes):
        remove_files(paths)
        click.echo(f"Freed {size_text(size)}.")
    else:
        click.echo("Nothing was removed.")
        return 1
    where = "in the cache"
    kept: list[Copy | Found]
    if isinstance(declared, KnownDataset):
        kept = list(copies(declared))
    else:
        where, kept = f"in a folder {declared.name}/ of the cache", list(copies_of(declared))
    for copy in kept:
        if not {each for path in copy.paths for each in (path, *path.parents)} & set(paths):
            link = reached_by_link(copy.paths)
            click.echo(f"Kept, because it is not {where}: {link or copy}")
    return 0
