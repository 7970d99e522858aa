"""`clbench new`: a small package of your own with a strategy, a stream, a metric or a logger."""

from __future__ import annotations

import json
import keyword
import re
import string
from importlib import resources
from pathlib import Path
from typing import Any

import click

from cl.errors import UsageError

KINDS = {"strategy": "strategies", "stream": "streams", "metric": "metrics", "logger": "loggers"}
"""Kinds of packages, with the registry of each."""

TEMPLATES = {
    "frozen": "class statistics on a frozen backbone; nothing is trained",
    "trained": "backbone and head trained by fit",
    "replay": "a head trained on new and remembered images",
    "wrapper": "a method around any other method",
}
"""Templates of a strategy, the default first."""

LONGEST = 30

_FILES = {
    "pyproject.txt": "pyproject.toml",
    "$kind/readme.txt": "README.md",
    "$kind/init.txt": "src/$package/__init__.py",
    "$kind/method$template.txt": "src/$package/$module.py",
    "$kind/preset$template.txt": "src/$package/presets/$name.toml",
    "$kind/check.txt": "tests/test_$module.py",
}
"""Templates and the files they become; not every kind has all of them."""

_EPILOG = """\b
Examples:
  clbench new strategy my-method                     in ./clbench-my-method
  clbench new strategy my-method --folder ~/code/mm
  clbench new strategy my-method --template replay
  clbench new stream my-images
  clbench new metric my-metric
  clbench new logger my-logger

\b
The package works at once: it has a short method (stream, metric, logger) to replace with yours, and tests.
""" + "\n".join(f"--template {name}: {what}." for name, what in TEMPLATES.items())


@click.command("new", epilog=_EPILOG, short_help="start a package of your own")
@click.argument("kind", type=click.Choice(list(KINDS)), metavar="KIND")
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Folder of the package.  [default: ./clbench-NAME]",
)
@click.option("--template", type=click.Choice(list(TEMPLATES)), help="What a strategy starts from.  [default: frozen]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(kind: str, name: str, folder: Path | None, template: str | None, as_json: bool) -> int:
    """Write a package with a strategy, stream, metric or logger called NAME, ready to install, check, run and publish.

    KIND is strategy, stream, metric or logger. Existing files are never overwritten.
    """
    from cl.files import write_text

    folder = folder if folder is not None else Path(f"clbench-{name}")
    files = package(kind, name, template)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not an empty folder; choose another with --folder.")
    for path, text in files.items():
        write_text(folder / path, text)
    after = next_steps(kind, name, folder)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "files": list(files), "next": after}, indent=1))
        return 0
    click.echo(f"Wrote {folder}:")
    for path in files:
        click.echo(f"  {path}")
    click.echo("\nNext:")
    for step in after:
        click.echo(f"  {step}")
    return 0


def package(kind: str, name: str, template: str | None = None) -> dict[str, str]:
    """The files of a package, path to text.

    Raises `UsageError` for an invalid or registered name, and for a template of anything but a strategy.
    """
    from cl import registry
    from cl.records.metrics import BUILT_IN

    if template is not None and kind != "strategy":
        raise UsageError(f"--template is for a strategy; leave it out for a {kind}.")

    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > LONGEST:
        raise UsageError(
            f"'{name}' cannot be a name: use small letters, digits and single hyphens, such as my-method, at most "
            f"{LONGEST} characters."
        )
    names: registry.Registry[Any] = getattr(registry, KINDS[kind])
    if name in names:
        owner = " ".join(names.distribution(name)).strip()
        raise UsageError(f"There is a {kind} '{name}' already ({owner}); choose another name.")
    if kind == "metric" and name in BUILT_IN:
        raise UsageError(f"There is a metric '{name}' already ({registry.DISTRIBUTION}); choose another name.")
    values = {
        "kind": kind,
        "name": name,
        "group": names.group,
        "distribution": f"clbench-{name}",
        "package": f"clbench_{name}".replace("-", "_"),
        "module": name.replace("-", "_"),
        "cls": "".join(part.capitalize() for part in name.split("-")),
        "version": registry.own_version(),
        "template": f"-{template or next(iter(TEMPLATES))}" if kind == "strategy" else "",
    }
    templates = resources.files("cl.cli") / "templates"
    files: dict[str, str] = {}
    for source, target in _FILES.items():
        file = templates / _fill(source, values)
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            if re.search(rf"\b{values['cls']}\b", text) or keyword.iskeyword(values["module"]):
                raise UsageError(f"'{name}' means something in Python or in the template; choose another name.")
            files[_fill(target, values)] = _fill(text, values)
    return files


def next_steps(kind: str, name: str, folder: Path) -> list[str]:
    """The next commands, up to a row of the leaderboard."""
    what = {
        "strategy": f"-s {name} --stream split-digits",
        "stream": f"-s simplecil --stream {name}",
        "metric": "-s simplecil --stream split-digits",
        "logger": f"-s linear-probe --stream split-digits --logger {name}",
    }[kind]
    return [
        f"pip install --editable {folder}",
        f"clbench info {name}",
        f"clbench check {name}",
        f"clbench run {what}",
        f"clbench leaderboard results{f' --metric {name}' if kind == 'metric' else ''}",
    ]


def _fill(text: str, values: dict[str, str]) -> str:
    return string.Template(text).substitute(values)
