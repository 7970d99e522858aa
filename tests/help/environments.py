"""Fresh environments to install into, for tests of what people install."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import cl

ROOT = cl.CHECKOUT or Path()


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command outside this process's settings and return its stdout; it must succeed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CLBENCH_"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment | variables, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_sources(folder: Path) -> Path:
    """A copy of the repository, so that building leaves nothing behind in it."""
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("cl", "strategies", "streams"):
        shutil.copytree(ROOT / name, folder / name, ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def build(sources: Path, target: Path, *options: str) -> Path:
    """Build the package in `sources`; without options, a wheel and an sdist."""
    run(sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", target, sources, cwd=target)
    return target


def make_environment(folder: Path) -> Path:
    """A virtual environment that sees what this one has installed; returns its Python."""
    venv.create(folder, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    import numpy

    (packages / "parent.pth").write_text(str(Path(numpy.__file__).parent.parent) + "\n")
    return python


def install(python: Path, *what: str | Path) -> None:
    """Install into the environment of `python`, downloading nothing."""
    options = ["install", "--no-deps", "--no-build-isolation", "--quiet"]
    run(sys.executable, "-m", "pip", "--python", python, *options, *what, cwd=python.parent)


def script(python: Path) -> Path:
    """The `clbench` command of an environment."""
    return python.parent / ("clbench.exe" if os.name == "nt" else "clbench")
