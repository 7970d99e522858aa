"""Shared by several commands: options of runs, execution and display, comma lists, logging."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast, get_args

import click

from cl.errors import UsageError
from cl.options import OptionInfo
from cl.plan.run_options import EXISTING, declared

F = TypeVar("F", bound=Callable[..., Any])


def names_in(texts: tuple[str, ...]) -> list[str | None]:
    """Names from comma lists; [None] if none is given, so that the config file decides.

    Raises `UsageError` for a list without a name, such as that of an unset variable of a shell.
    """
    if texts and not any(name.strip() for text in texts for name in text.split(",")):
        raise UsageError("An option that takes names or numbers was given an empty list; leave it out, or name one.")
    return [name.strip() for text in texts for name in text.split(",") if name.strip()] or [None]


def backbones_in(texts: tuple[str, ...]) -> list[str | None]:
    """As `names_in`, but the path in arch@file keeps its commas."""
    names: list[str | None] = []
    for text in texts:
        file = text.partition("@")[2]
        whole = "," in file and Path(file).expanduser().is_file()
        names += [text] if whole else [name for name in names_in((text,)) if name]
    return names or [None]


def streams_in(texts: tuple[str, ...]) -> list[str | None]:
    """As `names_in`, but the path of a family such as `folder:/a,b` keeps its commas."""
    from cl import registry

    families = tuple(name for name in registry.streams if name.endswith(":"))
    names: list[str | None] = []
    for text in texts:
        names += [text] if families and text.startswith(families) else [name for name in names_in((text,)) if name]
    return names or [None]


def seeds_in(texts: tuple[str, ...]) -> list[int | None]:
    """Integers from comma lists; raises `UsageError` for anything else."""
    from cl.values import parse_value

    return [parse_value(int, name, "--seed") for name in names_in(texts) if name is not None] or [None]


@dataclass(frozen=True)
class Display:
    """Display options of a command."""

    progress: str = "auto"
    as_json: bool = False
    quiet: bool = False
    verbose: int = 0

    @property
    def log_level(self) -> int:
        """The level of log messages to show."""
        return logging.ERROR if self.quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(self.verbose, 2)]


@dataclass(frozen=True)
class Execution:
    """Execution options of a command."""

    threads: int | None = None
    jobs: int = 1
    existing: str = EXISTING[0]
    profile: bool = False


def run_option(name: str, *flags: str, **more: Any) -> Callable[[F], F]:
    """The command-line option for a field of `RunOptions`; `more` are additional arguments of click."""
    info = declared()[name]
    how: dict[str, Any] = {"help": info.help}
    if info.default not in (None, "", False, ()):
        how["help"] += f"  [default: {more.pop('default_text', info.default)}]"
    if info.annotation is bool:
        how |= {"is_flag": True, "default": None}
    elif not more.get("multiple"):
        how["type"] = _click_type(info)
    if info.env and more.get("multiple"):  # a variable holds comma-separated names; `make_plan` reads it
        how["help"] += f"  [env {info.env}]"
    elif info.env:
        how["envvar"] = info.env
    return click.option(*(flags or (f"--{name.replace('_', '-')}",)), name, **{**how, **more})


def _click_type(info: OptionInfo) -> Any:
    limits, members = info.constraints, (*get_args(info.annotation), info.annotation)
    if info.annotation is Path:
        return str  # `parse_value` makes the path, with one sentence for each that cannot be
    if str in members:
        return click.Choice(limits["choices"]) if "choices" in limits else str
    if int in members and float not in members:
        return click.IntRange(min=limits["ge"]) if "ge" in limits else int
    return click.FloatRange(min=limits["ge"]) if "ge" in limits else str


def display_options(command: F) -> F:
    """--progress, --json, -q and -v, passed to the command as one `display`; they also configure logging."""
    options = [
        click.option(
            "--progress",
            type=click.Choice(["auto", "rich", "plain", "none"]),
            default="auto",
            envvar="CLBENCH_PROGRESS",
            help="Bars (rich), one line per task (plain) or nothing; auto: bars on a terminal.  [default: auto]",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print records as JSON lines instead of tables."),
        click.option("-q", "--quiet", is_flag=True, help="Print results and errors only."),
        click.option("-v", "--verbose", count=True, help="Log more; -vv shows tracebacks."),
    ]

    def gather(progress: str, as_json: bool, quiet: bool, verbose: int) -> Display:
        set_up(quiet, verbose)
        return Display(progress, as_json, quiet, verbose)

    return gathered(command, options, "display", gather)


def execution_options(*, existing: bool = True, profile: bool = True, default: str = EXISTING[0]) -> Callable[[F], F]:
    """--threads, --jobs, --existing and --profile, passed to the command as one `execution`."""
    options = [
        click.option(
            "--threads",
            type=click.IntRange(min=1),
            metavar="N",
            envvar="CLBENCH_THREADS",
            help="CPU threads per run.  [default: all, or an equal share for each of --jobs]",
        ),
        click.option("--workers", type=click.IntRange(min=1), envvar="CLBENCH_WORKERS", hidden=True),
        click.option(
            "--jobs",
            type=click.IntRange(min=1),
            default=1,
            metavar="N",
            envvar="CLBENCH_JOBS",
            help="Number of runs at once, each in its own process.  [default: 1]",
        ),
    ]
    if existing:
        options.append(
            click.option(
                "--existing",
                type=click.Choice(EXISTING),
                default=default,
                help="For an existing run: keep it if complete, else continue it; start over; refuse; or also skip "
                f"a run that another process is executing.  [default: {default}]",
            )
        )

    if profile:
        options.append(
            click.option(
                "--profile",
                is_flag=True,
                help="Measure where the time goes: a table after each run, and profile.json in its folder. The results "
                "stay the same.",
            )
        )

    def gather(
        threads: int | None, workers: int | None, jobs: int, existing: str = EXISTING[0], profile: bool = False
    ) -> Execution:
        if workers is not None:
            click.echo("--workers and CLBENCH_WORKERS are now called --threads and CLBENCH_THREADS.", err=True)
        return Execution(threads if threads is not None else workers, jobs, existing, profile)

    return lambda command: gathered(command, options, "execution", gather)


def gathered(command: F, options: Sequence[Callable[[F], F]], name: str, gather: Callable[..., Any]) -> F:
    """Add options to a command that receives them as one argument."""
    own = inspect.signature(gather).parameters

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> Any:
        found = {key: arguments.pop(key) for key in own if key in arguments}
        return command(**{name: gather(**found)}, **arguments)

    decorated = cast(F, wrapped)
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def metric_options(command: F) -> F:
    """--metric and --rule."""
    from cl.cli.completers import complete_metric

    rule = click.option("--rule", help="Prediction rule, or all.  [default: the strictest rule of each run]")
    metric = click.option(
        "--metric",
        default="A_last_sample",
        shell_complete=complete_metric,
        show_default=True,
        help="The metric that ranks; see `clbench list metrics`.",
    )
    return metric(rule(command))


def filter_option(what: str) -> Callable[[F], F]:
    """--filter of the runs that a table or a figure shows; `what` says what is done with them alone."""
    return click.option(
        "--filter",
        "filters",
        multiple=True,
        metavar="COLUMN=PATTERN",
        help=f"{what} whose column matches one of the patterns (*, ?, comma lists); columns: strategy, stream, "
        "backbone, preset, options, config_hash, setting, precision.",
    )


def top_option(command: F) -> F:
    """--top, the number of the best rows of every board."""
    return click.option(
        "--top",
        type=click.IntRange(min=1),
        metavar="N",
        help="Only the best N ranked rows of every board, and its bounds.",
    )(command)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to the current sys.stderr, so that progress bars stay intact."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        pass


def set_up(quiet: bool, verbose: int) -> None:
    """Configure logging on stderr; -vv adds tracebacks."""
    handler = _Stderr()
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handler.setLevel(Display(quiet=quiet, verbose=verbose).log_level)
    handler.addFilter(lambda record: record.exc_info is None or verbose >= 2)  # we report errors once
    logger = logging.getLogger("clbench")
    logger.handlers = [old for old in logger.handlers if not isinstance(old, _Stderr)] + [handler]
    logger.propagate = False
    if verbose >= 2:
        logger.setLevel(logging.DEBUG)
        os.environ["CLBENCH_DEBUG"] = "1"
