"""`clbench env`: the facts for a bug report."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import click

from cl import paths
from cl.cli.text import say, size_text
from cl.errors import printable
from cl.plan.run_options import declared

_EPILOG = """\b
Examples:
  clbench env              paste it into a bug report
  clbench env --json"""

_VARIABLES = (
    *("CLBENCH_HOME", "CLBENCH_DATA_PATH", "CLBENCH_OFFLINE", "CLBENCH_SET", "CLBENCH_DEBUG"),
    *(info.env for info in declared().values() if info.env),
    *("CLBENCH_THREADS", "CLBENCH_WORKERS", "CLBENCH_JOBS", "CLBENCH_PROGRESS"),
)


@click.command("env", epilog=_EPILOG, short_help="versions, devices, folders, offline state")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> int:
    """Show versions, devices, folders, variables and plugins, for a bug report."""
    from cl.running.environment import devices, summary, versions

    found = {
        "machine": summary(),
        "packages": versions(),
        "devices": devices(),
        "folders": _folders(),
        "offline": _offline(),
        "variables": {name: os.environ[name] for name in sorted(os.environ) if name.startswith("CLBENCH_")},
        "plugins": _plugins(),
    }
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return 0
    for heading, content in found.items():
        click.echo(f"{heading}:")
        for line in _lines(heading, content) or ["none"]:
            say(f"  {printable(line)}")
    return 0


def _folders() -> list[dict[str, Any]]:
    from cl.paths import data_path, home

    results = paths.results()
    named = [("cache", home()), *(("data", folder) for folder in data_path()), ("results", results)]
    return [{"use": use, "path": str(path.absolute()), **_state(path.absolute())} for use, path in named]


def _state(path: Path) -> dict[str, Any]:
    """Whether a folder exists and is usable, and the free space of its disk."""
    there = next((folder for folder in (path, *path.parents) if os.path.exists(folder)), path)
    try:
        free: int | None = shutil.disk_usage(there).free
    except OSError:
        free = None
    return {
        "exists": os.path.isdir(path),
        "readable": os.access(path, os.R_OK | os.X_OK),
        "writable": os.access(there, os.W_OK) and os.path.isdir(there),
        "free": free,
    }


def _offline() -> dict[str, bool]:
    from cl.data.sources import is_offline

    hub = os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in ("1", "ON", "YES", "TRUE")
    return {"data (CLBENCH_OFFLINE)": is_offline(), "weights (CLBENCH_OFFLINE or HF_HUB_OFFLINE)": is_offline() or hub}


def _plugins() -> dict[str, list[str]]:
    """Names registered by other distributions, by distribution."""
    from cl import registry
    from cl.errors import UsageError

    found: dict[str, list[str]] = {}
    kinds = (registry.strategies, registry.streams, registry.backbones, registry.metrics, registry.loggers)
    for known in kinds:
        for name in known:
            try:
                owner = known.distribution(name)
            except UsageError as error:  # two distributions register the name
                found.setdefault("collisions", []).append(str(error))
                continue
            if owner.name != registry.DISTRIBUTION:
                problem = known.problem(name)
                about = f"{known.kind} {name}" + (f" (broken: {problem})" if problem else "")
                found.setdefault(" ".join(owner).strip(), []).append(about)
        for place, reason in known.broken.items():
            found[place] = [reason]
    return found


def _lines(heading: str, content: Any) -> list[str]:
    if heading == "folders":
        return [_folder_line(folder) for folder in content]
    if heading == "plugins":
        return [f"{owner}: {', '.join(names)}" for owner, names in content.items()]
    if heading == "variables":
        return [f"{name}={value}{_unknown(name)}" for name, value in content.items()]
    lines = []
    for name, value in content.items():
        if name == "cuda":
            gpus = [f"{gpu['name']} ({size_text(gpu['memory'])}, {gpu['capability']})" for gpu in value]
            value = ", ".join(gpus) or "none"
        lines.append(f"{name} {'yes' if value is True else 'no' if value is False else value}")
    return lines


def _folder_line(folder: dict[str, Any]) -> str:
    if not folder["exists"]:
        state = "does not exist yet" if folder["use"] != "data" else "does not exist"
    elif not folder["readable"]:
        state = "not readable"
    else:
        state = "writable" if folder["writable"] else "read-only"
    free = "" if folder["free"] is None else f", {size_text(folder['free'])} free"
    return f"{folder['use']:<8}{folder['path']} ({state}{free})"


def _unknown(name: str) -> str:
    """A remark on a variable that nothing reads; options of commands are read from CLBENCH_COMMAND_OPTION."""
    from cl.cli.app import COMMANDS
    from cl.errors import did_you_mean

    if name in _VARIABLES or name.split("_")[1].lower() in COMMANDS:
        return ""
    return f"  (not a variable of clbench.{did_you_mean(name, list(_VARIABLES))})"
