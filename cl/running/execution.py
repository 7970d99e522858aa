"""Execution of one plan: skips a complete run, continues an interrupted one, returns the result."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cl import registry
from cl.errors import DataError, UsageError
from cl.files import make_folder, write_text
from cl.loggers import check as check_loggers
from cl.options import options_of
from cl.plan.config_file import CONFIG, invocation, run_id_of
from cl.plan.plan import Plan
from cl.plan.run_options import EXISTING
from cl.progress.base import Observer, Observers
from cl.records.record import RECORD
from cl.running.build import build_backbone, build_stream, pick_device
from cl.running.folder import KEEP_LEARNER, LEARNER, MARKS, clear, locked, logged
from cl.running.result import RunResult

log = logging.getLogger("clbench")

_TAKES_COMPLETE = ("only-missing", "skip-running")


def execute(plan: Plan, *, existing: str = "only-missing", progress: Observer | None = None) -> RunResult:
    """Execute a plan, or the rest of it, and return the result.

    Raises `UsageError` if the run exists and `existing` is "never" or if a logger is not installed, `DataError` for
    missing data, `NonFiniteLoss`, and `RunInUse` if another process is executing the run.
    """
    if existing not in EXISTING:
        raise UsageError(f"--existing must be one of {', '.join(EXISTING)}, not '{existing}'.")
    show = progress if progress is not None else Observer()
    folder = plan.folder
    if existing in _TAKES_COMPLETE and (done := complete_record(folder)) is not None:
        return _skipped(plan, done, show)
    check_loggers(plan.loggers)
    from cl.loggers.feed import hearing

    make_folder(folder)
    with locked(folder):
        if existing == "never" and any((folder / mark).exists() for mark in MARKS):
            raise UsageError(f"{folder} exists; choose --existing only-missing to continue it or always to start over.")
        if existing == "always":
            clear(folder)
        elif (done := complete_record(folder)) is not None:  # another process has completed it in the meantime
            return _skipped(plan, done, show)
        with logged(folder), hearing(plan.loggers, _about(plan)) as loggers:
            return _execute(plan, Observers([show, *loggers]))


def _about(plan: Plan) -> dict[str, Any]:
    """The description of a run that loggers get at its start."""
    names = ("folder", "title", "strategy", "stream", "backbone", "seeds")
    options = {key: setting["value"] for key, setting in plan.config().items()}
    return {**{name: getattr(plan, name) for name in names}, "options": options}


def _execute(plan: Plan, progress: Observer) -> RunResult:
    folder = plan.folder
    notes = _warnings(plan)
    for text in notes:
        progress.message(text)
    if not (folder / CONFIG).exists():
        write_text(folder / CONFIG, plan.to_toml(run_id=uuid.uuid4().hex, command=invocation()))
    log.info("%s -> %s", plan.title, folder)

    from cl.paths import home
    from cl.random import Seeds
    from cl.running import loop, saved_learner
    from cl.training.checkpoint import Checkpoint
    from cl.training.encodings import Encodings
    from cl.training.trainer import Trainer

    device = pick_device(plan.device)
    stream = build_stream(plan, progress)
    backbone = build_backbone(plan, device)
    trainer = Trainer(
        seeds=Seeds(**plan.seeds),
        device=device,
        checkpoint=Checkpoint(folder / "checkpoint", plan.checkpoint_every, keep_setup=plan.save_learner),
        observer=progress,
        encodings=Encodings(home() / "features"),
    )
    strategy = registry.strategies.get(plan.strategy)(plan.options, backbone, trainer)
    about = header(plan)
    keep = partial(saved_learner.save, folder / LEARNER, about=about["strategy"]) if plan.save_learner else None
    record = loop.run(
        strategy, stream, folder, about,
        trainer=trainer, max_tasks=plan.max_tasks, warnings=tuple(notes), keep=keep,
    )  # fmt: skip
    return RunResult(record, folder, strategy)


def header(plan: Plan) -> dict[str, Any]:
    """The parts of a record that are known before the run: its names, and parts of its `result`."""
    method = registry.strategies.get(plan.strategy)
    marks = list(method.marks(plan.options))
    return {
        "run_id": run_id_of(plan.folder),
        "config_hash": plan.config_hash,
        "strategy": {
            "name": plan.strategy,
            "version": str(getattr(method, "version", "1")),
            "distribution": " ".join(registry.strategies.distribution(plan.strategy)).strip(),
            "source_sha256": registry.strategies.source_sha256(plan.strategy),
            "access": method.access,
            "rules": list(method.rules),
            "preset": plan.preset or (None if plan.untuned else "default"),
            **({"marks": marks} if marks else {}),
        },
        "config": plan.config(),
        "seeds": dict(plan.seeds),
        "precision": {"dtype": plan.precision},
        "limited": plan.limited,
    }


def complete_record(folder: Path) -> Mapping[str, Any] | None:
    """The record of a complete run, None if there is none; raises `DataError` for a damaged one."""
    path = folder / RECORD
    if not path.is_file():
        return None
    from cl.records.record import load

    record = load(path)
    return record if record["status"] == "complete" else None


def _skipped(plan: Plan, record: Mapping[str, Any], progress: Observer) -> RunResult:
    progress.message(f"{plan.title}: complete already; --existing always runs it again.")
    if _source_changed(plan, record):
        progress.message(f"The code of {plan.strategy} has changed since that run.")
    if plan.save_learner and not (plan.folder / LEARNER).is_file():
        log.warning("%s is complete, but its learner was not kept; %s.", plan.title, KEEP_LEARNER)
    return RunResult(record, plan.folder)


def _warnings(plan: Plan) -> list[str]:
    """Warnings for the record of the run."""
    texts = []
    if plan.untuned and options_of(type(plan.options)):
        texts.append(f"No preset of {plan.strategy} is meant for {plan.stream} with {plan.backbone}: untuned.")
    if caveat := getattr(registry.strategies.get(plan.strategy), "caveat", ""):
        texts.append(caveat)
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
    source = registry.strategies.source_sha256(plan.strategy)
    recorded = record.get("result", {}).get("strategy", {}).get("source_sha256")
    return source is not None and recorded is not None and source != recorded
