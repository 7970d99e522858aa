"""What several commands share: completion of names, options for display, running a plan and saying how it went."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

if TYPE_CHECKING:
    pass

F = TypeVar("F", bound=Callable[..., Any])


def names_in(texts: tuple[str, ...]) -> list[str | None]:
    """Comma lists as names; none at all leaves the choice to the config file."""
    return [name.strip() for text in texts for name in text.split(",") if name.strip()] or [None]


def streams_in(texts: tuple[str, ...]) -> list[str | None]:
    """As `names_in`, but a family such as `folder:/a,b` keeps the commas of its path."""
    from cl import registry

    families = tuple(name for name in registry.streams if name.endswith(":"))
    names: list[str | None] = []
    for text in texts:
        names += [text] if families and text.startswith(families) else [name for name in names_in((text,)) if name]
    return names or [None]


def seeds_in(texts: tuple[str, ...]) -> list[int | None]:
    """Comma lists as whole numbers; raises `UsageError` for anything else."""
    from cl.options import parse_value

    return [parse_value(int, name, "--seed") for name in names_in(texts) if name is not None] or [None]


def display_options(command: F) -> F:
    """--progress, --json, -q and -v."""
    options = [
        click.option(
            "--progress",
            type=click.Choice(["auto", "rich", "plain", "none"]),
            default="auto",
            envvar="CLBENCH_PROGRESS",
            help="Bars (rich), one line per task (plain) or nothing; auto: bars on a terminal.  [default: auto]",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print records as JSON lines instead of tables."),
        click.option("-q", "--quiet", is_flag=True, help="No progress, no messages; results and errors only."),
        click.option("-v", "--verbose", count=True, help="Log more; -vv shows tracebacks."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def execution_options(command: F) -> F:
    """--device, --workers, --results and --existing."""
    options = [
        click.option(
            "--device", metavar="NAME", envvar="CLBENCH_DEVICE", help="auto, cpu, cuda, cuda:1, mps.  [default: auto]"
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            metavar="N",
            envvar="CLBENCH_WORKERS",
            help="CPU threads to compute with.  [default: all]",
        ),
        click.option(
            "--results",
            type=click.Path(path_type=Path),
            metavar="FOLDER",
            envvar="CLBENCH_RESULTS",
            help="Where records go.  [default: ./results]",
        ),
        click.option(
            "--existing",
            type=click.Choice(["only-missing", "always", "never"]),
            default="only-missing",
            help="A run that exists: take it when complete and continue it when not, start over, or refuse."
            "  [default: only-missing]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def metric_options(command: F) -> F:
    """--metric and --rule."""
    from cl.cli.completers import complete_metric

    rule = click.option("--rule", help="Prediction rule, or all.  [default: the strictest that a run has]")
    metric = click.option(
        "--metric",
        default="A_last_sample",
        shell_complete=complete_metric,
        show_default=True,
        help="The metric that ranks; see `clbench list metrics`.",
    )
    return metric(rule(command))


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to whatever sys.stderr is at the moment, so that bars are not torn."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        pass


def set_up(quiet: bool, verbose: int) -> None:
    """Logging on stderr; -vv asks for tracebacks."""
    handler = _Stderr()
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handler.setLevel(logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])
    handler.addFilter(lambda record: record.exc_info is None or verbose >= 2)  # errors are reported once, by us
    logger = logging.getLogger("clbench")
    logger.handlers = [old for old in logger.handlers if not isinstance(old, _Stderr)] + [handler]
    logger.propagate = False
    if verbose >= 2:
        logger.setLevel(logging.DEBUG)
        os.environ["CLBENCH_DEBUG"] = "1"
