"""Config files: TOML with [run] and [options]. The config.toml of a run is a config file that repeats it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cl import registry
from cl.errors import UsageError
from cl.options import Layer, Value, flatten, jsonable
from cl.plan.run_options import RunOptions, declared
from cl.tables import read_record, refuse_unknown

CONFIG = "config.toml"
"""Name of the file in the folder of a run."""


@dataclass(frozen=True)
class _Invocation:
    """How a run was started; only the config.toml of a run has this table."""

    command: str = ""
    clbench: str = ""
    run_id: str = ""
    untuned: bool = False


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How the values of a file were found by `clbench tune`: what all trials of the study cost.

    `flops` is as if nothing had been memoised, `executed` what was executed; `seconds` is the time of all runs. A file
    whose values were not tuned has an empty `study`.
    """

    strategy: str = ""
    study: str = ""
    trials: int = 0
    flops: float = 0.0
    executed: float = 0.0
    seconds: float = 0.0
    source: str = ""

    def measured(self) -> dict[str, Any]:
        """The part `measurement.tuning` of the record of a run with these values."""
        flops = {"executed": self.executed, "uncached": self.flops}
        return {
            "study": self.study, "trials": self.trials, "flops": flops, "seconds": self.seconds, "source": self.source
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Parent:
    """The run whose learner a run continues, as it was when the run was planned.

    `folder` is absolute, `tasks` the number of tasks that the learner had learned, and `kept` the name of its file.
    `rest`: the run learns the rest of the parent's own stream, not new tasks. `limited`: the parent was limited.
    """

    folder: str = ""
    tasks: int = 0
    kept: str = ""
    result_sha256: str = ""
    rest: bool = False
    limited: bool = False

    @property
    def file(self) -> Path:
        """The file of the learner."""
        return Path(self.folder) / self.kept


@dataclass(frozen=True)
class _File:
    """A config file."""

    run: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    invocation: _Invocation = _Invocation()
    tuning: Tuning = Tuning()
    parent: Parent = Parent()


def _read(path: Path) -> _File:
    found = read_record(path, _File)
    refuse_unknown(found.run, declared(), f"{path}, [run]")
    return found


def read_config(path: Path) -> tuple[dict[str, Any], Layer]:
    """The [run] table and the [options] layer of a config file; raises `UsageError` for any other content."""
    if not path.is_file():
        raise UsageError(f"There is no config file {path}.")
    found = _read(path)
    kind = "tuned" if found.tuning.study else "file"
    return dict(found.run), (f"{kind} {path.name}", flatten(found.options, place=f"{path}: "))


def read_tuning(path: Path, strategy: str) -> Tuning | None:
    """The table [tuning] of a config file or of the config.toml of a run; None without one for this strategy."""
    tuning = _read(path).tuning
    return tuning if tuning.study and tuning.strategy == strategy else None


def read_parent(path: Path) -> Parent | None:
    """The table [parent] of a config file: the run that it continues; None without one, and without the file."""
    if not path.is_file():
        return None
    parent = _read(path).parent
    return parent if parent.folder else None


def read_run(folder: Path) -> tuple[dict[str, Any], list[Layer], bool]:
    """The config.toml of a run: [run], its options by origin, and whether no preset matched.

    Raises `UsageError` if `folder` holds no run, and if the file is empty or was edited and has unknown contents.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise UsageError(f"{folder} holds no run (no {CONFIG}); give the folder that `clbench run` printed.")
    found = _read(path)
    for key in ("strategy", "stream"):
        if not found.run.get(key):
            raise UsageError(f"{path} lacks {key} in [run]; restore the file, or repeat the run with `clbench run`.")
    layers: dict[str, dict[str, Any]] = {}
    for key, value in flatten(found.options, place=f"{path}: ").items():
        layers.setdefault(found.origins.get(key, f"file {path.name}"), {})[key] = value
    return dict(found.run), list(layers.items()), found.invocation.untuned


def run_id_of(folder: Path) -> str:
    """The id of the run in a folder; raises `UsageError` for a config.toml without one or that cannot be read."""
    path = folder / CONFIG
    if not (run_id := _read(path).invocation.run_id):
        raise UsageError(f"{path} lacks run_id in [invocation]; restore the file, or start over: --existing always.")
    return run_id


def config_text(
    run: RunOptions, values: Mapping[str, Value], *, untuned: bool, run_id: str, command: Sequence[str],
    tuning: Tuning | None = None, parent: Parent | None = None,
) -> str:  # fmt: skip
    """The text of config.toml: a config file that repeats this run, with the origin of every value."""
    import tomli_w

    content: dict[str, Any] = {
        "run": run.table(),
        "options": {key: "none" if each.value is None else jsonable(each.value) for key, each in values.items()},
        "origins": {key: each.origin for key, each in values.items()},
        "invocation": {
            "command": shlex.join(command),
            "clbench": registry.own_version(),
            "run_id": run_id,
            "untuned": untuned,
        },
        **({} if tuning is None else {"tuning": asdict(tuning)}),
        **({} if parent is None else {"parent": asdict(parent)}),
    }
    return tomli_w.dumps(content)


def invocation() -> list[str]:
    """The command line of this process, for config.toml."""
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    return ["clbench" if program == "__main__.py" else program, *sys.argv[1:]]
