"""What the folder of a run holds already: is the run complete, and did something that it read change since?"""

from __future__ import annotations

import json
import logging
import shutil
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl import registry
from cl.data import reads
from cl.errors import ClbenchError, DataError, UsageError
from cl.files import remove_temporaries, write_text
from cl.plan.config_file import CONFIG, invocation, run_id_of
from cl.plan.plan import Plan, load_plan
from cl.records.identity import RunIdentity, changed_since, of_backbone, of_probe, of_stream
from cl.records.predictions import predictions_sha256, read_predictions
from cl.records.record import RECORD, config_hash, load

if TYPE_CHECKING:
    from cl.backbone import Backbone
    from cl.running.probe import Probe
    from cl.stream import Stream

INPUTS = "inputs.json"
"""The stamps of the files that a run read."""
EVENTS, CHECKPOINT = "events.jsonl", "checkpoint"

_START_OVER = "--existing always starts over"
PREDICTIONS = "predictions.npz"

log = logging.getLogger("clbench")


def complete_record(folder: Path) -> Mapping[str, Any] | None:
    """The record of a complete run, None if there is none.

    A damaged record is None too if there is a checkpoint, from which the run writes it again; otherwise it raises
    `DataError`.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        record = load(path)
    except DataError as error:
        if isinstance(error.__cause__, OSError):
            raise  # it cannot be read, and may be whole
        log.info("%s", error)
        if any((folder / "checkpoint").glob("event*.safetensors")):
            log.warning("%s is damaged; it is written again from the checkpoint.", path)
            return None
        raise DataError(f"{path} is damaged, and there is no checkpoint to write it from; {_START_OVER}.") from error
    return record if record["status"] == "complete" else None


def identity(plan: Plan, stream: Stream, backbone: Backbone, probe: Probe | None = None) -> RunIdentity:
    """The identity of everything that a run of `plan` reads."""
    from cl.running.build import learner_sha256

    code = registry.strategies.source_sha256(plan.strategy) or ""
    seeds = json.dumps(dict(plan.seeds), sort_keys=True)
    read = {**of_stream(stream), **of_backbone(backbone), **of_probe(probe), "parent": learner_sha256(plan)}
    return RunIdentity(config=plan.config_hash, seeds=seeds, code=code, **read)


def save_inputs(plan: Plan, stream: reads.Reads, method: reads.Reads) -> None:
    """Write down which files a run read: for its stream and backbone, and others that its method read."""
    paths = {path: stamp for path, stamp in method.paths.items() if path not in stream.paths}
    extra = reads.Reads(paths, [each for each in method.searches if each not in stream.searches])
    content = {"of": _sources(plan), "stream": stream.as_json(), "method": extra.as_json()}
    write_text(plan.folder / INPUTS, json.dumps(content, indent=1) + "\n")


def check_complete(plan: Plan, record: Mapping[str, Any]) -> str:
    """Raise `DataError` if something that a complete run read has changed; return a remark if that cannot be told.

    Names, sizes and times of files are compared first, then contents.
    """
    stream, method = _inputs(plan)
    since = f"since this run was completed on {_when(plan.folder / RECORD)}"
    then = RunIdentity.of(config_hash(record), record["result"])
    old = "rest_sha256" not in record  # of version 0.1.0, whose hashes covered paths
    if (plan.config_hash != then.config and not old) or dict(plan.seeds) != record["result"]["seeds"]:
        raise DataError(
            f"The configuration in {plan.folder} has changed {since}: {CONFIG} or the stream's file was edited; put it "
            f"back, or start over with the command of `clbench run` and --existing always."
        )
    _check_method(plan, method, since)
    changed = [*stream.changed(), *_found_elsewhere(stream)]
    if not changed and stream.whole:
        return ""
    from cl.paths import writing_nothing
    from cl.running.build import build_backbone, build_probe, build_stream, learner_sha256

    what = changed[0] if changed else str(plan.folder / INPUTS)
    now: dict[str, Any] = {}
    lost = None
    with reads.recording() as again:
        parts: tuple[tuple[Any, Any], ...] = (
            (build_stream, of_stream), (build_backbone, of_backbone), (build_probe, of_probe),
            (learner_sha256, lambda digest: {"parent": digest}),
        )  # fmt: skip
        for build, part in parts:
            try:
                now |= part(build(plan))
            except (DataError, UsageError) as error:
                if changed and all(Path(path).exists() for path in changed):
                    raise DataError(f"{what} has changed {since}, and cannot be read: {error}") from error
                lost = error
    if difference := changed_since(now, then, ignoring=("stream",) if old else ()):
        raise DataError(f"{difference} {since} ({what}); put back what it read, or {_start_over(plan)}.")
    if lost is not None:
        return f"What this run read is not all here any more, so that it cannot be compared: {lost}"
    if not writing_nothing():  # the same content under other names or times
        save_inputs(plan, again, method)
    return ""


def check_partial(plan: Plan, now: RunIdentity) -> reads.Reads:
    """Raise `DataError` if something that an interrupted run read has changed; return what only its method read."""
    from cl.training.checkpoint import changed as changed_in

    if difference := changed_in(plan.folder / CHECKPOINT, now):
        raise DataError(f"{difference}; put back what it read, or {_start_over(plan)}.")
    record = None
    with suppress(ClbenchError):  # a damaged record is written again
        record = load(plan.folder / RECORD)
    if record is not None and any((plan.folder / CHECKPOINT).glob("*.safetensors")):  # perhaps of version 0.1.0
        read = {name: getattr(now, name) for name in ("training_images", "test_images", "weights", "seeds")}
        if difference := changed_since(read, RunIdentity.of(config_hash(record), record["result"])):
            raise DataError(f"{difference} since this run was stopped; put back what it read, or {_start_over(plan)}.")
    _, method = _inputs(plan)
    if method.paths or method.searches:
        _check_method(plan, method, f"since this run was stopped on {_when(plan.folder / INPUTS)}")
    return method


def _check_method(plan: Plan, method: reads.Reads, since: str) -> None:
    """Raise `DataError` if a file that only the method read has changed."""
    if changed := [*method.changed(), *_found_elsewhere(method)]:
        fix = f"put it back, or {_start_over(plan)}"
        raise DataError(f"{changed[0]}, read by {plan.strategy}, has changed {since}; {fix}.")


def repair(plan: Plan, record: Mapping[str, Any]) -> list[str]:
    """Write damaged files of a complete run again as far as its record tells; return sentences about the others.

    Leftovers of a process that was killed after the record said complete are removed.
    """
    folder = plan.folder
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
    remove_temporaries(folder)
    restore_config(plan, str(record["run_id"]))
    events = events_text(record["measurement"]["events"])
    path = folder / EVENTS
    if not path.is_file() or path.read_bytes() != events.encode():
        write_text(path, events)
    try:
        held = predictions_sha256(read_predictions(folder / PREDICTIONS))
    except ClbenchError:
        held = ""
    if held == record["result"]["predictions_sha256"]:
        return []
    missing = not (folder / PREDICTIONS).exists()
    state = "are missing" if missing else "are damaged or of another run"
    return [f"The predictions in {folder} {state}, so that this run has no paired tests; {_start_over(plan)}."]


def restore_config(plan: Plan, run_id: str | None = None) -> None:
    """Write config.toml if there is none, or if it is damaged or of another configuration than the plan."""
    path = plan.folder / CONFIG
    if path.exists():
        try:
            held = load_plan(plan.folder)
            run_id = run_id_of(plan.folder)
            if (held.config_hash, held.seeds) == (plan.config_hash, plan.seeds):
                return
            why = "it is of another configuration"
        except ClbenchError as error:
            why = str(error).rstrip(".")
        log.warning("%s was damaged or edited and is written again (%s).", path, why)
    write_text(path, plan.to_toml(run_id=run_id or uuid.uuid4().hex, command=invocation()))


def _start_over(plan: Plan) -> str:
    """The advice that starts a run over; `clbench resume`, whose plan has a folder, has no such option."""
    return _START_OVER if plan.at is None else f"the command of `clbench run` with {_START_OVER}"


def events_text(events: Sequence[Mapping[str, Any]]) -> str:
    """The text of events.jsonl: the costs of each event on one line."""
    return "".join(json.dumps(event, sort_keys=True) + "\n" for event in events)


def _sources(plan: Plan) -> list[str]:
    return [plan.stream, plan.backbone]


def _inputs(plan: Plan) -> tuple[reads.Reads, reads.Reads]:
    """The reads of stream and method. Those that are missing, damaged or of another run are empty and not whole."""
    path = plan.folder / INPUTS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        stream, method = (reads.Reads.from_json(content[part]) for part in ("stream", "method"))
        if content["of"] == _sources(plan):
            return stream, method
        log.info("%s is of another run; contents are compared.", path)
    except FileNotFoundError:
        log.info("%s is missing; contents are compared.", path)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        log.warning("%s is damaged (%s); contents are compared.", path, error)
    return reads.Reads(whole=False), reads.Reads()


def _found_elsewhere(seen: reads.Reads) -> list[str]:
    """Files that a search by name finds now in place of those that it found."""
    from cl.data.searches import repeated

    different = []
    for search in seen.searches:
        try:
            found = repeated(search)
        except (DataError, UsageError):  # moved away: their stamps have told
            continue
        if found and found != search["found"]:
            different += found
    return different


def _when(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
