"""Checks of a logger: what it declares, and that it takes every report of complete, failed and resumed runs."""

from __future__ import annotations

import copy
import inspect
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cl import loggers, registry
from cl.loggers import Logger
from cl.testing.report import CheckFailure
from cl.testing.small_runs import small_run

CALLS: Mapping[str, tuple[Any, ...]] = {
    "start": ({},),
    "scalar": ("name", 0.0, 0),
    "evaluated": ({},),
    "close": ("complete",),
}
"""The calls of a run, with arguments."""

TRAINED = "linear-probe"
"""A method that reports losses."""


class LoggerSubject:
    """A logger under examination, by its name; raises `UsageError` if its package is not installed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.logger: type[Logger] = registry.loggers.get(name)
        loggers.check([name])
        self.doc = registry.loggers.docstring(name)
        self._run: dict[str, Any] | None = None

    @property
    def own(self) -> Path | None:
        """The author's file."""
        return registry.loggers.source(self.name)

    @property
    def record(self) -> dict[str, Any]:
        """The record of a small run."""
        if self._run is None:
            with small_run(strategy=TRAINED) as made:
                self._run = dict(made.record)
        return self._run


def documented(subject: LoggerSubject) -> None:
    """The docstring says what it is and where it writes."""
    if not inspect.cleandoc(subject.doc).partition("\n")[0].strip():
        raise CheckFailure(
            "the class has no docstring.", "say in its first line what it reports and where; lists show it."
        )


def declarations(subject: LoggerSubject) -> None:
    """`requires` maps modules to what `pip install` needs, and the calls take the arguments that a run passes."""
    requires = subject.logger.requires
    if not isinstance(requires, Mapping) or not all(
        isinstance(text, str) for pair in requires.items() for text in pair
    ):
        raise CheckFailure(
            f"requires = {requires!r}.", "map names of modules to names for pip, such as {'wandb': 'wandb'}."
        )
    for call, arguments in CALLS.items():
        method = getattr(subject.logger, call, None)
        try:
            inspect.signature(method).bind(None, *arguments)  # type: ignore[arg-type]
        except TypeError as error:
            raise CheckFailure(
                f"{call} cannot be called as a run calls it: {error}.", "derive from cl.Logger and keep its signatures."
            ) from None


def reports(subject: LoggerSubject) -> None:
    """It takes the reports of a run from start to end, and those of a run that resumes and repeats some of them."""
    with _place() as run:
        first = _started(subject, run)
        _tell(first, subject.record, until=1)
        first.close("interrupted")
        again = _started(subject, run)
        _tell(again, subject.record)
        again.close("complete")


def failed_runs(subject: LoggerSubject) -> None:
    """It takes a run that fails before anything was reported."""
    with _place() as run:
        _started(subject, run).close("failed")


def own_folder(subject: LoggerSubject) -> None:
    """It writes below the folder of the run or of the results, and leaves the current folder alone."""
    with _place() as run, tempfile.TemporaryDirectory() as elsewhere, _in(Path(elsewhere)):
        logger = _started(subject, run)
        _tell(logger, subject.record)
        logger.close("complete")
        if Path.cwd() != Path(elsewhere).resolve():
            raise CheckFailure(f"the current folder is {Path.cwd()} afterwards.", "do not change it.")
        if left := sorted(path.name for path in Path(elsewhere).iterdir()):
            raise CheckFailure(f"it wrote {', '.join(left)} to the current folder.", "write below run['folder'].")


def leaves_the_record(subject: LoggerSubject) -> None:
    """It changes nothing that it is given."""
    with _place() as run:
        before, record = copy.deepcopy(run), copy.deepcopy(subject.record)
        logger = _started(subject, run)
        logger.evaluated(record)
        logger.close("complete")
        if run != before or record != subject.record:
            what = "record" if record != subject.record else "description of the run"
            raise CheckFailure(f"it changed the {what}.", "copy what you change.")


def in_a_run(subject: LoggerSubject) -> None:
    """A real run reports to it until the end, with the same result as without it."""
    expected = subject.record["result"]
    with _warnings() as said, small_run(strategy=TRAINED, loggers=(subject.name,)) as made:
        found = made.record["result"]
    if failed := [text for text in said if f"logger '{subject.name}' failed" in text]:
        raise CheckFailure(failed[0], "correct it; other checks, or log.txt of the run, say where.")
    if found != expected:
        raise CheckFailure("the run has another result with the logger.", "change nothing that the run uses.")


ALL = (documented, declarations, reports, failed_runs, own_folder, leaves_the_record, in_a_run)


# ------------------------------------------------------------------------------------------------------------ helpers


@contextmanager
def _place() -> Iterator[dict[str, Any]]:
    """What a run tells at its start, with folders that exist within the `with` block."""
    with tempfile.TemporaryDirectory() as results:
        folder = Path(results) / "split-digits" / TRAINED / "tiny" / "0123abcd" / "seed7"
        folder.mkdir(parents=True)
        about = {"strategy": TRAINED, "stream": "split-digits", "backbone": "tiny", "seeds": {"order": 7, "init": 7}}
        options = {"lr": 0.1, "epochs": 1, "stream.tasks": 3, "stream.name with: marks": None}
        yield {"folder": folder, "results": Path(results), "title": "a check", **about, "options": options}


def _started(subject: LoggerSubject, run: Mapping[str, Any]) -> Logger:
    try:
        logger = subject.logger()
    except TypeError as error:
        raise CheckFailure(f"it cannot be created without arguments: {error}.", "read options in start.") from error
    logger.start(run)
    return logger


def _tell(logger: Logger, record: Mapping[str, Any], until: int | None = None) -> None:
    """The reports of a run of three tasks, or of the first ones."""
    rows = record["result"]["rows"]
    for task in range(3 if until is None else until):
        for step in range(5):
            logger.scalar(f"loss/task {task}/head", 1.0 / (step + 1), step)
        for rule, values in record["result"]["metrics"].items():
            logger.scalar(f"accuracy/{rule}/a group, with marks: (1)", 0.5, task + 1)
            for name, value in values.items():
                if value is not None:
                    logger.scalar(f"metrics/{rule}/{name}", value, task + 1)
        so_far = copy.deepcopy(dict(record))
        so_far["result"]["rows"] = rows[: len(rows) * (task + 1) // 3]
        logger.evaluated(so_far)


@contextmanager
def _in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """The warnings of clbench within the `with` block."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("clbench")
    log.addHandler(handler)
    try:
        yield said
    finally:
        log.removeHandler(handler)
