"""`clbench data get` and `clbench data status` for streams of several datasets."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from typing import TYPE_CHECKING

import click

from cl.cli.app import report
from cl.cli.commands.data_of_releases import about_releases, show_looked
from cl.cli.text import print_table, say, size_text
from cl.errors import DataError, UsageError, counted, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cl.data.known import KnownDataset
    from cl.data.official.release import Release
    from cl.declared.declaration import Declaration
    from cl.errors import ClbenchError
    from cl.housekeeping.releases import State


def show_status(name: str, verify: bool, as_json: bool) -> int:
    """Print the state of every dataset of a stream, or the places of the only one. Raises `UsageError` for others."""
    from cl.housekeeping.releases import declared, only, states

    declaration = declared(name)
    if declaration is None and (known := only(name)) is not None:
        if verify:
            raise UsageError(f"{name} is one dataset; use `clbench data verify {known.name}`.")
        if not as_json:
            say(f"{name} is one dataset, {known.title}; this is `clbench data where {known.name}`.")
        return show_places(known, as_json)
    if declaration is None:
        raise UsageError(_no_stream(name))
    found = list(states(declaration, checksums=verify))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(state) for state in found], indent=1))
        return _report_other_files(found)
    columns = ["dataset", "year", "here", "size", "reader tested on", "where, or what to do"]
    rows = [
        [each.name, str(each.year or ""), each.form or "no", size_text(each.bytes) if each.bytes else "unknown",
         each.checked, _in_short(each.where) or each.why]
        for each in found
    ]  # fmt: skip
    if verify:
        columns.insert(4, "verified")
        rows = [[*row[:4], each.verified, *row[4:]] for row, each in zip(rows, found, strict=True)]
    print_table(columns, rows, right=["size"])
    here = sum(bool(each.form) for each in found)
    left = len(declaration.unlearned)
    say(f"\n{here} of {len(found)} datasets are here.")
    if left:
        say(f"The last {left} are left out of the stream: {', '.join(declaration.omitted)}.")
    return _report_other_files(found)


def _no_stream(name: str) -> str:
    from cl import registry
    from cl.data import releases

    if name in releases.names():
        return f"{name} is a dataset, not a stream; `clbench data get {name}` says where it is, or fetches it."
    if name not in registry.streams and (hint := did_you_mean(name, list(registry.streams))):
        return f"There is no stream '{name}'.{hint}"
    return f"{name} is no stream that reads datasets from files; `clbench list streams` shows those."


def _in_short(where: str) -> str:
    """Up to three paths as they are; of more the first and their number, since a table is as wide as its widest row."""
    paths = where.split(" + ")
    return where if len(paths) < 4 else f"{paths[0]} + {len(paths) - 1} more"


def _report_other_files(found: Sequence[State]) -> int:
    other = [each.name for each in found if each.verified == "no"]
    if not other:
        return 0
    report(DataError(
        f"{len(other)} of {len(found)} datasets are damaged or not the published files: {', '.join(other)}; "
        "get them again."
    ))  # fmt: skip
    return DataError.exit_code


def show_places(known: KnownDataset, as_json: bool) -> int:
    """Print every place that is searched for a dataset, and what is there."""
    from cl.housekeeping.datasets import places

    used = show_looked(places(known), as_json)
    if as_json:
        return 0
    if used is None and known.archive.urls:
        say(f"\nIt is nowhere; `clbench data get {known.name}` fetches it.")
    elif used is None:
        say("\nIt is nowhere, and clbench cannot fetch it; get it from its authors.")
    return 0


def fetch_stream(declaration: Declaration, jobs: int, dry_run: bool, as_json: bool = False) -> int:
    """Fetch what can be fetched for a stream, and list the rest; 3 if a download failed.

    With `as_json` stdout gets the state of every dataset afterwards, and stderr all else.
    """
    tell = partial(click.echo, err=as_json)
    from cl.data.official.kaggle import page
    from cl.data.official.release import find, how_to_get, to_unpack
    from cl.housekeeping.releases import fetch_all, states, wanted
    from cl.progress.displays import make_progress

    plan = wanted(declaration)
    unknown = f" and {plan.unknown} of unknown size" if plan.unknown else ""
    kaggle = f"{len(plan.kaggle)} from Kaggle with your account, " if plan.kaggle else ""
    library = f"{len(plan.library)} fetched by the datasets library at the first run, " if plan.library else ""
    number = len(plan.here) + plan.others_here
    here = f"{counted(number, 'dataset')} {'is' if number == 1 else 'are'} here"
    tell(
        f"{declaration.name}: {here}, {len(plan.fetch)} can be fetched ({size_text(plan.bytes)}{unknown}), "
        f"{kaggle}{library}{len(plan.by_hand) + len(plan.other)} only you can get."
    )
    for release in (*plan.fetch, *plan.kaggle):
        tell(f"\n{release.title}\n  Licence: {release.licence}\n  Cite: {release.citation}")
        if release.from_kaggle:
            tell(f"  From Kaggle: {page(release.kaggle)}")
    code = 0
    if (plan.fetch or plan.kaggle) and not dry_run:

        def done(release: Release, error: ClbenchError | None) -> None:
            tell(f"{release.title}: {'is here now' if error is None else 'failed'}")

        with make_progress() as show:
            errors = fetch_all([*plan.fetch, *plan.kaggle], jobs, show.data, done)
        for error in errors:
            report(error)
        code = DataError.exit_code if errors else 0
    if plan.by_hand or plan.other:
        tell("\nOnly you can get:")
    for release in plan.by_hand:
        copy = find(release)
        packed = "" if copy is None else to_unpack(copy)
        tell(f"  {release.title}: {packed or how_to_get(release)}")
    for entry in plan.other:
        tell(f"  {entry.name}: {entry.needs}{f' ({entry.source})' if entry.source else ''}")
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(state) for state in states(declaration, checksums=False)], indent=1))
    return code


def fetch_release(release: Release, dry_run: bool, as_json: bool = False) -> int:
    """Fetch one dataset in official files, or tell where it is; `as_json` as for a stream.

    Raises `MissingData` for one that needs a user, `DataError` for one that is here and is not what is published.
    """
    from cl.data.official.kaggle import page
    from cl.data.official.release import find
    from cl.housekeeping.releases import check_sizes, get
    from cl.progress.displays import make_progress

    tell = partial(click.echo, err=as_json)
    found = find(release)
    was_here = found is not None
    if not was_here:
        tell(f"{release.title} ({size_text(release.size) if release.size else 'size unknown'})")
    tell(f"Licence: {release.licence}\nCite: {release.citation}")
    if release.from_kaggle and not was_here:
        tell(f"{'Would come' if dry_run else 'It comes'} from Kaggle: {page(release.kaggle)}")
    if was_here or not dry_run:
        with make_progress() as show:
            where = get(release.name, show.data)
        if found is not None:
            check_sizes(found)
        tell(f"{release.title} {'was here already' if was_here else 'is here now'}: {where}")
    if as_json:
        click.echo(json.dumps(next(each for each in about_releases() if each["name"] == release.name), indent=1))
    return 0
