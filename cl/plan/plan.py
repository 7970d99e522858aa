"""Plans: what a run will do, fully resolved before torch is imported or data is read."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cl import registry
from cl.errors import UsageError, counted
from cl.loggers import check as check_loggers
from cl.options import Layer, Value, assignments_of_environment, jsonable
from cl.plan import compatibility, continued
from cl.plan.config_file import CONFIG, Parent, Tuning, config_text, read_config, read_parent, read_run, read_tuning
from cl.plan.resolution import Resolved, resolve_existing, resolve_new, shorthands
from cl.plan.run_options import RunOptions, declared, environment, parse_run, resolve_run, with_old_name
from cl.records.identity import config_hash
from cl.settings import SettingOptions
from cl.values import parse_value


@dataclass(frozen=True, kw_only=True)
class Plan(RunOptions):
    """One resolved run: its options, the options of method, stream and backbone with their origins, and its folder."""

    options: Any
    stream_options: Any
    backbone_options: Any
    values: Mapping[str, Value]
    transforms: SettingOptions = SettingOptions()  # noqa: RUF009 - an immutable value
    untuned: bool = False
    varied: str = field(default="", compare=False)  # the options in which runs of a grid differ, for display
    tuning: Tuning | None = field(default=None, compare=False)  # how its values were found
    at: Path | None = field(default=None, compare=False)  # the folder of an existing run that is resumed
    parent: Parent | None = None  # the run whose learner it continues

    @property
    def config_hash(self) -> str:
        """Eight hex digits over everything that changes the result, except seeds; recorded."""
        return config_hash(
            (self.strategy, _version_of(registry.strategies.get(self.strategy))),
            (without_path(self.stream), compatibility.version_of(self.stream)),
            without_path(self.backbone),
            {key: jsonable(each.value) for key, each in self.values.items()},
            precision=self.precision,
            limited=self.limited,
            max_tasks=self.max_tasks,
            compiled=self.compile,
            probe=None if self.probe is None else (self.probe, self.probe_last),
            sealed=self.sealed,
            stop_below=self.stop_below,
            parent=None if (parent := self.parent) is None else (parent.result_sha256, parent.tasks, parent.rest),
        )

    @property
    def folder(self) -> Path:
        """results/stream/strategy/backbone/config-hash/seed; the same run always has the same folder.

        A stream or backbone given by a path has its last name there, and a digest of the path.
        """
        if self.at is not None:
            return self.at
        order, init, data = self.seeds.values()
        seed = f"seed{order}" if order == init == data else f"order{order}-init{init}-data{data}"
        names = [folder_name(name) for name in (self.stream, self.strategy, self.backbone)]
        return self.results.joinpath(*names, self.config_hash, seed)

    @property
    def title(self) -> str:
        """One line that describes the run."""
        seeds = sorted(set(self.seeds.values()))
        after = (
            ""
            if self.parent is None
            else f"after {counted(self.parent.tasks, 'task')} of {Path(self.parent.folder).name}"
        )
        seed = f"seed {'/'.join(map(str, seeds))}"
        parts = [f"{self.strategy} on {self.stream}", self.backbone, self.varied, seed, after]
        return ", ".join(filter(None, parts))

    def config(self) -> dict[str, dict[str, Any]]:
        """Every option with its value and origin, as in the record."""
        return {key: {"value": jsonable(each.value), "origin": each.origin} for key, each in self.values.items()}

    def to_toml(self, *, run_id: str = "", command: Sequence[str] = ()) -> str:
        """The text of config.toml: a config file that repeats this run, with the origin of every value."""
        return config_text(
            self, self.values, untuned=self.untuned, run_id=run_id, command=command, tuning=self.tuning,
            parent=self.parent,
        )  # fmt: skip


def make_plan(
    strategy: str | None = None,
    stream: str | None = None,
    backbone: str | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    config_file: str | os.PathLike[str] | None = None,
    origin: str = "call",
    from_run: str | os.PathLike[str] | None = None,
    from_task: int | None = None,
    **run_options: Any,
) -> Plan:
    """Resolve a run; missing arguments come from the environment, the config file's [run] table, then the defaults.

    `options` maps option keys (`lr`, `stream.tasks`, `backbone.normalize`) to values. It overrides the environment
    (`CLBENCH_SET`), the config file, presets and defaults; `origin` is its origin in the record. `settings` is the old
    name of `options`. `run_options` are fields of `cl.plan.run_options.RunOptions`:

    * `preset`: a named variant of the paper's values;
    * `seed`, or each alone: `order_seed` (classes), `init_seed` (new parameters), `data_seed` (batches);
    * `limit` (images per class or a share of them), `max_tasks`: less than the whole stream;
    * `few_shot`, short for `stream.shots` = 5, and `setting` ("online", ...; see `cl.settings`) for `stream.setting`;
    * `skip_damaged`, short for `stream.skip_damaged`;
    * `sealed` (evaluate held-out training images; a test image is never read) and `stop_below` (accuracies after each
      task below which the run ends), for `clbench tune`;
    * `probe` (a dataset such as "tinyimagenet_60") and `probe_last`: measure the forgetting of the pretraining;
    * `device`, `precision`, `compile`, `results` (folder), `checkpoint_every` (seconds), `save_learner`,
      `save_every_task`, `save_scores`, `loggers`.

    `from_run` is the folder of a run whose learner goes on, from its state after `from_task` tasks (default: all that
    it learned): on the tasks of `stream`, or without one on the rest of its own stream. All else stays as it was there,
    apart from `cl.plan.continued.MAY_CHANGE`.

    Imports the strategy but reads no data. Raises `UsageError` for an unknown name, key or value.
    """
    given = {"strategy": strategy, "stream": stream, "backbone": backbone, **run_options}
    own: dict[str, Any] = with_old_name(options, settings)
    from_run = None if from_run is None else parse_value(Path, from_run, "--from")
    config_file = None if config_file is None else parse_value(Path, config_file, "--config")
    if from_run is not None:
        if config_file is not None:
            raise UsageError("--from takes its configuration from the run that it continues; leave --config out.")
        return _continued(from_run, from_task, given, (origin, own))
    if from_task is not None:
        raise UsageError("--at says after which task a run goes on; name the run with --from.")
    if config_file is not None and (parent := read_parent(config_file)) is not None:
        table, (kind, values) = read_config(config_file)
        file = {key: value for key, value in table.items() if key != "stream" or not parent.rest}
        given = {**file, **{key: value for key, value in given.items() if value is not None}}
        return _continued(Path(parent.folder), parent.tasks, given, (kind, values), (origin, own))
    table, file_layer = read_config(config_file) if config_file is not None else ({}, None)
    run = resolve_run(given, table)
    for key in ("strategy", "stream"):
        if not getattr(run, key):
            raise UsageError(f"Choose a {key} with --{key}; `clbench list` shows what there is.")
    run = dataclasses.replace(run, stream=checked_stream(run.stream), loggers=check_loggers(run.loggers))
    layers: list[Layer] = [file_layer] if file_layer is not None else []
    layers.append(("environment", assignments_of_environment()))
    layers += shorthands(run)
    layers.append((origin, own))
    resolved = resolve_new(run, layers)
    compatibility.check_probe(run.probe, run.strategy, resolved.options, last_only=run.probe_last)
    tuning = read_tuning(config_file, run.strategy) if config_file is not None else None
    return _plan(run, resolved, tuning=tuning)


def load_plan(folder: Path) -> Plan:
    """The plan of an existing run as it was resolved then; presets and environment are not read again.

    Raises `UsageError` if `folder` holds no run or its config.toml was edited and has unknown contents.
    """
    table, layers, untuned = read_run(folder)
    run = parse_run(table, flags=False)
    run = dataclasses.replace(run, stream=checked_stream(run.stream))
    tuning, parent = read_tuning(folder / CONFIG, run.strategy), read_parent(folder / CONFIG)
    return _plan(run, resolve_existing(run, layers, untuned=untuned), at=folder, tuning=tuning, parent=parent)


def _continued(folder: Path, tasks: int | None, given: Mapping[str, Any], *layers: Layer) -> Plan:
    """The plan of a run that continues the learner in a folder; `layers` are the options of the new run."""
    parent = continued.parent_of(folder, tasks, rest=not given.get("stream"))
    table, before, untuned = read_run(folder)
    given = {**{key: value for key, value in environment().items() if key in continued.MAY_CHANGE}, **given}
    run = parse_run(continued.run_of(table, given, parent), flags=True)
    run = dataclasses.replace(run, stream=checked_stream(run.stream), loggers=check_loggers(run.loggers))
    continued.check_run(run)
    kept: list[Layer] = before
    if not parent.rest:
        kept = [
            (origin, {key: each for key, each in values.items() if not _about_stream(key)}) for origin, values in before
        ]
        kept += [each for each in shorthands(run) if each[0] in ("--limit", "--skip-damaged")]
    resolved = resolve_existing(run, [*kept, *layers], untuned=untuned)
    continued.check_options(load_plan(folder).values, resolved.values, parent)
    return _plan(run, resolved, parent=parent)


def _about_stream(key: str) -> bool:
    return key.startswith("stream.")


def _plan(
    run: RunOptions, resolved: Resolved, at: Path | None = None, tuning: Tuning | None = None,
    parent: Parent | None = None,
) -> Plan:  # fmt: skip
    run = run.settled()
    found = {each.name: getattr(resolved, each.name) for each in dataclasses.fields(resolved)}
    return Plan(**{key: getattr(run, key) for key in declared()}, **found, at=at, tuning=tuning, parent=parent)


def checked_stream(stream: str) -> str:
    """The stream's name; a path in it is made absolute so that the run can be resumed from any folder."""
    family, argument = registry.streams.split(stream)
    try:
        if argument is not None and family.endswith(":") and Path(argument).expanduser().exists():
            return family + str(Path(argument).expanduser().resolve())
        return str(Path(stream).expanduser().resolve()) if argument == stream else stream
    except (RuntimeError, OSError, ValueError) as error:  # an unknown user, a name that is too long, a zero byte
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise UsageError(f"--stream {stream[:100]!r} holds no path ({reason}); give the whole path.") from error


def _version_of(thing: Any) -> str:
    return str(getattr(thing, "version", "1"))


def without_path(name: str) -> str:
    """A name of a stream or backbone without the absolute path in it: `folder:`, `*.toml`, `arch@weights.pth`.

    The path is where something is and not what it is. A weights file keeps its name, since its content is known later.
    """
    before, path = _path_in(name)
    if not path:
        return name
    return before + Path(path).name if before.endswith("@") else before or f"*{Path(path).suffix}"


def folder_name(name: str) -> str:
    """A folder name for a stream, strategy or backbone: with a path in it, its last name and a digest of the path."""
    before, path = _path_in(name)
    if not path:
        return safe_name(name)
    digest = hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:6]
    return f"{safe_name(before + (Path(path).name or 'root'))}-{digest}"


def _path_in(name: str) -> tuple[str, str]:
    """The part of a name before an absolute path, and that path; ("", "") without one."""
    for mark in (":", "@"):
        before, found, after = name.partition(mark)
        if found and Path(after).expanduser().is_absolute():
            return before + mark, after
    return ("", name) if Path(name).is_absolute() else ("", "")


def safe_name(name: str) -> str:
    """A name as a folder name that is valid on every file system; the hash in the path keeps names distinct."""
    return re.sub(r"[^A-Za-z0-9._@+-]+", "-", name).strip("-. ")[:80] or "unnamed"
