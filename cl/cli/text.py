"""Shared by commands that list and delete files: readable sizes and ages, tables, and the confirmation prompt."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Sequence

import click

from cl.errors import UsageError, printable

_LEAST = 20
"""Characters of the narrowest line that is written."""

_UNITS = ("B", "kB", "MB", "GB", "TB")


def size_text(count: int) -> str:
    """Bytes in powers of 1000: 169 MB."""
    power = min((len(str(count)) - 1) // 3, len(_UNITS) - 1)
    return f"{count / 1000**power:.4g} {_UNITS[power]}"


class Size(click.ParamType):
    """A number of bytes, at least 1, with or without a unit in powers of 1000: 2000000, 1.5GB."""

    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        powers = {unit.lower(): power for power, unit in enumerate(_UNITS)}
        if found := re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([kmgt]?b)?", value.strip().lower()):
            count = round(float(found[1]) * 1000 ** powers[found[2] or "b"])
            if count >= 1:
                return count
        self.fail(f"{value!r} is no number of bytes; examples: 2000000000, 500MB, 2GB.", param, ctx)


def age_text(when: float) -> str:
    """A time as an age: 3 days ago; "-" for 0."""
    if not when:
        return "-"
    seconds = max(time.time() - when, 0)
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "now"


def room() -> int | None:
    """Characters of a line of stdout: COLUMNS if it is set, else those of the terminal; None for a pipe or a file."""
    given = os.environ.get("COLUMNS", "")
    if not (given.isdecimal() and int(given)) and not sys.stdout.isatty():
        return None
    return max(_LEAST, shutil.get_terminal_size().columns)


def say(text: str, hang: int | None = None) -> None:
    """Print lines of text, those that are too long wrapped; `hang`: the indent of later lines, by default 2 more.

    A word that is longer than a line, such as a path, stays whole, and so does a line of a table.
    """
    from cl.results.fitted import wrapped

    width = room()
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip()) + 2
        table = line.startswith("|")
        click.echo("\n".join(wrapped(line, None if table else width, indent if hang is None else hang)))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Print a table; the columns named in `right` hold numbers and are right-aligned, the others are wrapped to fit."""
    if (width := room()) is not None:
        from cl.results.fitted import fitted

        click.echo("\n".join(fitted(columns, rows, width, left=[name for name in columns if name not in right])))
        return
    from rich.table import Table
    from rich.text import Text

    from cl.results.tables import render

    table = Table()
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))  # a path may hold what rich reads as markup
    click.echo(render(table).rstrip("\n"))


def confirmed(question: str, yes: bool) -> bool:
    """Ask on stderr; raises `UsageError` if there is no terminal and --yes was not given."""
    if yes:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError("Nothing was removed, because nobody can be asked here; give --yes to remove, or --dry-run.")
    return click.confirm(question, err=True)
