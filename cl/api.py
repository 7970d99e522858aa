"""The Python API: `run` a strategy on a stream, get a result with data frames and the learner."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl import registry
from cl.errors import ClbenchError, DataError, UsageError
from cl.files import make_folder, sha256_of, storage_error, write_text
from cl.plan import Plan, invocation, load_plan, make_plan
from cl.progress import NullProgress, Progress
from cl.registry import toml_load

if TYPE_CHECKING:
    import pandas as pd

    from cl.results.store import Results

EXISTING = ("only-missing", "always", "never")
"""What to do where a run exists: skip it when complete and continue it when not, start over, or refuse."""

LOG = "log.txt"
RECORD = "record.json"
CONFIG = "config.toml"
_MARKS = (CONFIG, RECORD, "checkpoint")

log = logging.getLogger("clbench")


@dataclass(frozen=True)
class RunResult:
    """A run and what came of it; in a notebook it shows as its forgetting table."""

    record: Mapping[str, Any]
    folder: Path
    learner: Any = field(default=None, repr=False)
    """The trained strategy, to predict with; None for a run that was complete already."""

    @property
    def status(self) -> str:
        """partial, complete or failed."""
        return str(self.record["status"])

    @property
    def metrics(self) -> dict[str, dict[str, float | None]]:
        """Metrics per prediction rule, as fractions."""
        return dict(self.record["result"]["metrics"])

    @cached_property
    def accuracy(self) -> pd.DataFrame:
        """Accuracy of every group after every task, one row each, for every prediction rule."""
        import pandas as pd

        from cl.results.store import ACCURACY_COLUMNS, accuracy_rows

        frame = pd.DataFrame(accuracy_rows(self.record), columns=list(ACCURACY_COLUMNS))
        return frame.drop(columns="run")

    def table(self, width: int | None = None) -> str:
        """The forgetting table as text, at most `width` characters wide where given."""
        from cl.results.tables import forgetting_text

        return forgetting_text(self.record, width=width)

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.table())}\n{escape(str(self.folder / RECORD))}</pre>"


def run(strategy: str | None = None, stream: str | None = None, **arguments: Any) -> RunResult:
    """Run a strategy on a stream and return the result: `cl.run("slca", "split-digits", settings={"lr": 0.02})`.

    Takes what `make_plan` takes, and `existing` and `progress` of `execute`. Raises `ClbenchError`.
    """
    existing = arguments.pop("existing", "only-missing")
    progress = arguments.pop("progress", None)
    return execute(make_plan(strategy, stream, **arguments), existing=existing, progress=progress)


def resume(folder: str | os.PathLike[str], *, progress: Progress | None = None) -> RunResult:
    """Continue the run in `folder` as it was configured; a complete one is returned as it is. Raises `ClbenchError`."""
    return execute(load_plan(Path(folder)), progress=progress)


def load_results(paths: Any = "results") -> Results:
    """Read every record under folders into data frames; raises `UsageError` for a path that does not exist."""
    from cl.results.store import load_results as load

    return load(paths)


def execute(plan: Plan, *, existing: str = "only-missing", progress: Progress | None = None) -> RunResult:
    """Do what a plan says, or what is left of it.

    Raises `UsageError` when the run exists and `existing` is "never", `DataError` for missing data, `NonFiniteLoss`,
    and `ClbenchError` when another process is running it.
    """
    if existing not in EXISTING:
        raise UsageError(f"--existing must be one of {', '.join(EXISTING)}, not '{existing}'.")
    show = progress if progress is not None else NullProgress()
    folder = plan.folder
    if existing == "only-missing" and (done := _complete(folder)) is not None:
        return _skipped(plan, done, show)
    make_folder(folder)
    with _locked(folder):
        if existing == "never" and any((folder / mark).exists() for mark in _MARKS):
            raise UsageError(f"{folder} exists; choose --existing only-missing to continue it or always to start over.")
        if existing == "always":
            _clear(folder)
        elif (done := _complete(folder)) is not None:  # another process has finished it since
            return _skipped(plan, done, show)
        with _logged(folder):
            return _execute(plan, show)


def _execute(plan: Plan, progress: Progress) -> RunResult:
    folder = plan.folder
    warnings = _warnings(plan)
    for text in warnings:
        progress.message(text)
    if not (folder / CONFIG).exists():
        write_text(folder / CONFIG, plan.to_toml(run_id=uuid.uuid4().hex, command=invocation()))
    log.info("%s -> %s", plan.title, folder)

    from cl import loop
    from cl.checkpoint import Checkpoint
    from cl.data.sources import home
    from cl.features import Encodings
    from cl.random import Seeds
    from cl.trainer import Trainer

    device = pick_device(plan.device)
    stream = build_stream(plan, progress)
    backbone = build_backbone(plan, device)
    trainer = Trainer(
        seeds=Seeds(**plan.seeds),
        device=device,
        checkpoint=Checkpoint(folder / "checkpoint", plan.checkpoint_every),
        progress=progress,
        encodings=Encodings(home() / "features"),
    )
    strategy = registry.strategies.get(plan.strategy)(plan.options, backbone, trainer)
    record = loop.run(
        strategy, stream, folder, header(plan), trainer=trainer, max_tasks=plan.max_tasks, warnings=tuple(warnings)
    )
    return RunResult(record, folder, strategy)


def build_stream(plan: Plan, progress: Progress | None = None) -> Any:
    """The stream of a plan; raises `DataError` where its data is missing or broken."""
    name, argument = registry.streams.split(plan.stream)
    family = registry.streams.get(name)()
    more = {} if argument is None else {"argument": argument}
    return family.build(
        plan.stream_options,
        order_seed=plan.seeds["order"],
        data_seed=plan.seeds["data"],
        progress=progress.data if progress is not None else None,
        **more,
    )


def build_backbone(plan: Plan, device: str = "cpu") -> Any:
    """The backbone of a plan; raises `UsageError` for an unknown one, `DataError` where its weights are missing."""
    from cl.backbone import load

    return load(plan.backbone, plan.backbone_options, device=device, precision=plan.precision, seed=plan.seeds["init"])


def pick_device(name: str) -> str:
    """`auto` takes an accelerator where there is one; raises `UsageError` for a device that is not there."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"--device {name} is not available here ({str(error).splitlines()[0]}); try auto.") from error
    return name


def header(plan: Plan) -> dict[str, Any]:
    """What a record says about a run before anything is measured: names of the run, and parts of its `result`."""
    method = registry.strategies.get(plan.strategy)
    source = registry.strategies.source(plan.strategy)
    return {
        "run_id": str(toml_load(plan.folder / CONFIG)["invocation"]["run_id"]),
        "config_hash": plan.config_hash,
        "strategy": {
            "name": plan.strategy,
            "version": str(getattr(method, "version", "1")),
            "distribution": " ".join(registry.strategies.distribution(plan.strategy)).strip(),
            "source_sha256": sha256_of(source) if source is not None else None,
            "access": method.access,
            "rules": list(method.rules),
            "preset": plan.preset or (None if plan.untuned else "default"),
        },
        "config": plan.config(),
        "seeds": dict(plan.seeds),
        "precision": {"dtype": plan.precision},
        "limited": plan.limited,
    }


def _complete(folder: Path) -> Mapping[str, Any] | None:
    """The record of a complete run, None where there is none; raises `DataError` for a damaged one."""
    path = folder / RECORD
    if not path.is_file():
        return None
    from cl.results.record import load

    record = load(path)
    return record if record["status"] == "complete" else None


def _skipped(plan: Plan, record: Mapping[str, Any], progress: Progress) -> RunResult:
    progress.message(f"{plan.title}: complete already; --existing always runs it again.")
    if _source_changed(plan, record):
        progress.message(f"The code of {plan.strategy} has changed since that run.")
    return RunResult(record, plan.folder)


def _warnings(plan: Plan) -> list[str]:
    """What the reader of the record should know."""
    texts = []
    if plan.untuned:
        texts.append(f"No preset of {plan.strategy} is meant for {plan.stream} with {plan.backbone}: untuned.")
    path = plan.folder / RECORD
    if path.is_file():
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path} is not valid JSON ({error}); start over with --existing always.") from error
        if _source_changed(plan, record):
            text = f"The code of {plan.strategy} has changed since this run began; --existing always starts over."
            log.warning(text)
            texts.append(text)
    return texts


def _source_changed(plan: Plan, record: Mapping[str, Any]) -> bool:
    source = registry.strategies.source(plan.strategy)
    recorded = record.get("result", {}).get("strategy", {}).get("source_sha256")
    return source is not None and recorded is not None and sha256_of(source) != recorded


def _clear(folder: Path) -> None:
    """Delete what an earlier run left; the lock file stays, we hold it."""
    for path in folder.iterdir():
        if path.name == ".lock":
            continue
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            raise storage_error(path, error) from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ClbenchError(f"Another process is running {folder}; wait for it, or choose another --results.") from None
    except OSError as error:
        raise storage_error(folder / ".lock", error) from error
    try:
        yield
    finally:
        lock.release()


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """A disk too full for the log is reported by the record that does not fit either, not by a traceback."""


@contextlib.contextmanager
def _logged(folder: Path) -> Iterator[None]:
    """Keep the log of a run in its folder, with the traceback of whatever ends it."""
    try:
        handler = _LogFile(folder / LOG, encoding="utf-8")
    except OSError as error:
        raise storage_error(folder / LOG, error) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = log.level
    log.addHandler(handler)
    if log.getEffectiveLevel() > logging.INFO:
        log.setLevel(logging.INFO)
    try:
        yield
    except KeyboardInterrupt:
        log.info("interrupted")
        raise
    except Exception as error:
        log.error("%s: %s", type(error).__name__, error, exc_info=True)
        raise
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        with contextlib.suppress(OSError):  # a full disk: what ended the run says so itself
            handler.close()
