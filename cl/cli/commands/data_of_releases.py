"""`clbench data list`, `where` and `verify` for datasets in official files."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import click

from cl.cli.app import report
from cl.cli.text import print_table, say, size_text
from cl.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cl.data.official.release import Release


def about_releases() -> list[dict[str, Any]]:
    """What `clbench data list --all --json` says of each release; `problem` is why a place cannot be read."""
    from cl.data import releases
    from cl.housekeeping.published import where_is

    found = []
    for name in releases.names():
        release = releases.release(name)
        place, problem = where_is(release)
        files = release.files
        found.append({
            "name": name,
            "title": release.title,
            "release": True,
            "here": place,
            "problem": problem,
            "bytes": release.size,
            "images": release.images,
            "classes": release.classes,
            "downloadable": release.downloadable,
            "kaggle": release.kaggle,
            "checksums": sum(bool(file.md5 or file.sha256) for file in files),
            "files": [file.name for file in files],
            "licence": release.licence,
            "citation": release.citation,
            "urls": [url for file in files for url in file.urls],
        })  # fmt: skip
    return found


def list_releases(every: bool) -> None:
    """Print the numbers of releases that are here for each stream that reads them, or every release."""
    from cl.housekeeping.published import families

    found = {about["name"]: about for about in about_releases()}
    here = {name for name, about in found.items() if about["here"]}
    say(f"\n{len(found)} datasets in official files, {len(here)} of them here:")
    if every:
        rows = [
            [name, _place(about), size_text(about["bytes"]) if about["bytes"] else "unknown",
             f"{about['checksums']} of {len(about['files'])}", _how(about)]
            for name, about in found.items()
        ]  # fmt: skip
        print_table(["dataset", "where", "size", "checksums", "how to get"], rows, right=["size"])
        return
    rows = [
        [stream, str(len(names)), str(len(here.intersection(names))), str(len(set(names) - here))]
        for stream, names in families().items()
    ]
    print_table(["read by", "datasets", "here", "not here"], rows, right=["datasets", "here", "not here"])
    for about in found.values():
        if about["problem"]:
            say(f"{about['name']}: {about['problem']}")
    say("`clbench data list --all` names each; `clbench data where NAME` shows where it is searched.")


def _how(about: dict[str, Any]) -> str:
    return "fetched" if about["downloadable"] else "Kaggle, or by hand" if about["kaggle"] else "by hand"


def _place(about: dict[str, Any]) -> str:
    return str(about["here"] or about["problem"] or "not here")


def show_looked(looked: Sequence[Any], as_json: bool) -> Any:
    """Print the folders that were searched, in order, and what is there; returns the one that is used, else None."""
    from cl.data.official.release import listed
    from cl.housekeeping.datasets import state_of_folder

    used = next((place for place in looked if place.is_whole), None)
    if as_json:
        found = [{**dataclasses.asdict(place), "folder": str(place.folder), "used": place is used} for place in looked]
        click.echo(json.dumps(found, indent=1))
        return used
    rows = []
    for place in looked:
        state = "used" if place is used else "found" if place.is_whole else listed(place.found, ", ") or "-"
        state = place.problem or state_of_folder(place.folder) or state
        rows.append([str(place.folder), listed(place.names, " + "), place.root, state])
    print_table(["folder", "looked for", "from", "found"], rows)
    return used


def show_places_of(release: Release, as_json: bool) -> int:
    """Print every folder that is searched for a release, in order, and what is there."""
    from cl.data.official.release import completed, how_to_get
    from cl.housekeeping.published import places_of

    used = show_looked(places_of(release), as_json)
    if as_json:
        return 0
    if used is None and (rest := completed(release)) is not None:
        click.echo(f"\nUsed: {rest}")
    elif used is None and release.downloadable:
        say(f"\nIt is nowhere whole; `clbench data get {release.name}` fetches it.")
    elif used is None and release.from_kaggle:
        say(f"\nIt is nowhere whole; `clbench data get {release.name}` fetches it from Kaggle.")
    elif used is None:
        say(f"\nIt is nowhere whole, and clbench cannot fetch it: {how_to_get(release)}")
    return 0


def show_checks(release: Release, as_json: bool) -> int:
    """Compare the files of every copy with what is published, and print how that ended; 3 if something differs."""
    from cl.housekeeping.published import checks_of

    checks = checks_of(release)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(check) for check in checks], indent=1))
    else:
        rows: Sequence[Sequence[str]] = [[check.where, check.compared or "-", check.state] for check in checks]
        print_table(["copy", "compared", "state"], rows)
    problems = [check.problem for check in checks if check.problem is not None]
    for problem in problems:
        report(DataError(problem))
    return DataError.exit_code if problems else 0
