"""Running plans from the command line, and saying how each went."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from cl.cli.app import report
from cl.errors import INTERRUPTED, ClbenchError

if TYPE_CHECKING:
    from cl.plan.plan import Plan
    from cl.progress.base import Observer
    from cl.running.result import RunResult


@contextlib.contextmanager
def terminating() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C: batch systems send it before they kill."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def perform(
    plans: Sequence[Plan],
    *,
    execute: Callable[[Plan, Observer], RunResult],
    progress: str,
    as_json: bool,
    quiet: bool,
    again: str = "the same command continues",
    show_result: Callable[[RunResult, bool], None] | None = None,
) -> int:
    """Run plans in turn; a failure is reported and the rest go on. Returns the first failure's exit code.

    `show_result` takes each result and `as_json`; by default it is printed.
    """
    from cl.progress.displays import make_progress
    from cl.running.folder import LOG

    first_failure = 0
    with terminating():
        for index, plan in enumerate(plans):
            if len(plans) > 1 and not quiet:
                click.echo(f"[{index + 1}/{len(plans)}] {plan.title}", err=True)
            try:
                with make_progress("none" if quiet else progress) as show:
                    result = execute(plan, show)
                (show_result or print_result)(result, as_json)
            except KeyboardInterrupt:
                click.echo(f"Interrupted; {again} ({plan.folder}).", err=True)
                return INTERRUPTED
            except ClbenchError as error:
                report(error, f" ({plan.title})" if len(plans) > 1 else "")
                first_failure = first_failure or error.exit_code
            except BrokenPipeError:
                raise
            except Exception as error:  # one failing run must not take the rest of a grid with it
                where = plan.folder / LOG
                report(error, f" The traceback is in {where}." if where.is_file() else "")
                first_failure = first_failure or 1
    return first_failure


def print_result(result: RunResult, as_json: bool) -> None:
    """The record as one line of JSON, or the forgetting table and where the record is."""
    if as_json:
        click.echo(json.dumps(result.record, sort_keys=True))
        return
    import shutil

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(result.table(width).rstrip("\n"))
    click.echo(f"Record: {result.folder / 'record.json'}")
