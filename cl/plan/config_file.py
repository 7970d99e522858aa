"""Config files: TOML with a [run] table and [options]; the config.toml of a run is one that repeats it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cl import registry
from cl.errors import UsageError, did_you_mean
from cl.files import toml_load
from cl.options import Layer, Value, flatten, jsonable
from cl.plan.run_options import RunOptions, refuse_unknown

CONFIG = "config.toml"
"""Name of the file in the folder of a run."""

TABLES = ("run", "options", "origins", "invocation")


def read_config(path: Path) -> tuple[dict[str, Any], Layer]:
    """The [run] table and the [options] layer of a config file; raises `UsageError` for anything else in it."""
    if not path.is_file():
        raise UsageError(f"There is no config file {path}.")
    return _sections(toml_load(path), path)


def read_run(folder: Path) -> tuple[dict[str, Any], list[Layer], bool]:
    """What the config.toml of a run says: [run], its options by origin, and whether no preset fitted it.

    Raises `UsageError` where `folder` holds no run or the file was edited into something unknown.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise UsageError(f"{folder} holds no run (no {CONFIG}); give the folder that `clbench run` printed.")
    content = toml_load(path)
    run, (otherwise, options) = _sections(content, path)
    origins = content.get("origins", {})
    layers: dict[str, dict[str, Any]] = {}
    for key, value in options.items():
        layers.setdefault(origins.get(key, otherwise), {})[key] = value
    return run, list(layers.items()), bool(content.get("invocation", {}).get("untuned", False))


def config_text(
    run: RunOptions, values: Mapping[str, Value], *, untuned: bool, run_id: str, command: Sequence[str]
) -> str:
    """The text of config.toml: a config file that repeats this run, with the origin of every value."""
    import tomli_w

    content = {
        "run": run.table(),
        "options": {key: "none" if each.value is None else jsonable(each.value) for key, each in values.items()},
        "origins": {key: each.origin for key, each in values.items()},
        "invocation": {
            "command": shlex.join(command),
            "clbench": registry.own_version(),
            "run_id": run_id,
            "untuned": untuned,
        },
    }
    return tomli_w.dumps(content)


def invocation() -> list[str]:
    """The command line of this process, for config.toml."""
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    return ["clbench" if program == "__main__.py" else program, *sys.argv[1:]]


def _sections(content: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], Layer]:
    for section in content:
        if section not in TABLES:
            raise UsageError(
                f"{path}: unknown table or key '{section}'; a config file has [run] and [options]."
                f"{did_you_mean(section, list(TABLES))}"
            )
    run = dict(content.get("run", {}))
    refuse_unknown(run, f"{path}: unknown key '{{key}}' in [run].")
    return run, (f"file {path.name}", flatten(content.get("options", {})))
