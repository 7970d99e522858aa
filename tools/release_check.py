"""Build the source archive and the wheel, check them as PyPI does, install the wheel by itself and run it.

    make release-check REPOSITORY=https://HOST/OWNER/clbench

With REPOSITORY the links of the README to files become absolute, as PyPI needs them, and the project gets addresses;
without it their number is printed. What is checked lies in dist/ afterwards.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"(\]\()(?!https?://|#|mailto:)([^)\s]+)(\))")
_IMAGE = re.compile(r"\.(svg|png|jpe?g|gif)$")

RUN = ("run", "--strategy", "slca", "--stream", "split-digits")


def absolute(text: str, repository: str, version: str) -> tuple[str, int]:
    """A README whose relative links lead to the files of a version in a repository; and their number."""

    def to_repository(found: re.Match[str]) -> str:
        kind = "raw" if _IMAGE.search(found[2]) else "blob"
        return f"{found[1]}{repository}/{kind}/v{version}/{found[2]}{found[3]}"

    return _LINK.subn(to_repository, text)


def addressed(pyproject: str, repository: str) -> str:
    """A pyproject.toml with the addresses of a project."""
    names = {"Repository": "", "Issues": "/issues", "Changelog": "/blob/main/CHANGELOG.md"}
    lines = "".join(f'{name} = "{repository}{path}"\n' for name, path in names.items())
    if "[project.urls]" in pyproject:
        raise SystemExit("pyproject.toml has [project.urls] already; leave out REPOSITORY.")
    return pyproject.replace("[project.scripts]\n", f"[project.urls]\n{lines}\n[project.scripts]\n", 1)


def sources(folder: Path, repository: str) -> Path:
    """A copy of the files that git knows, with absolute links if there is a repository."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    readme, project = folder / "README.md", folder / "pyproject.toml"
    version = re.search(r'^version = "([^"]+)"', project.read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    text, links = absolute(readme.read_text(encoding="utf-8"), repository, version[1])
    if repository:
        readme.write_text(text, encoding="utf-8")
        project.write_text(addressed(project.read_text(encoding="utf-8"), repository), encoding="utf-8")
    else:
        print(f"Note: README.md has {links} links to files, which PyPI cannot follow; give REPOSITORY=https://...")
    return folder


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> None:
    """Run a command; ends the program with its exit code if it fails."""
    print("+", *command, flush=True)
    code = subprocess.run([str(part) for part in command], cwd=cwd, env={**os.environ, **environment}, check=False)
    if code.returncode != 0:
        sys.exit(code.returncode)


def check(repository: str, wheelhouse: list[str]) -> None:
    """Build, check, install and run."""
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree = sources(folder / "sources", repository)
        run(sys.executable, "-m", "build", "--outdir", dist, tree, cwd=folder)
        run(sys.executable, "-m", "twine", "check", "--strict", *sorted(dist.iterdir()))
        (archive,), (wheel,) = list(dist.glob("*.tar.gz")), list(dist.glob("*.whl"))
        with tarfile.open(archive) as file:
            found = {member.name.partition("/")[2] for member in file.getmembers()}
        if missing := {"README.md", "LICENSE", "pyproject.toml", "CHANGELOG.md"} - found:
            sys.exit(f"{archive.name} lacks {', '.join(sorted(missing))}.")
        run(sys.executable, "-m", "venv", folder / "fresh")
        python = folder / "fresh" / ("Scripts" if os.name == "nt" else "bin") / "python"
        run(python, "-m", "pip", "install", "--quiet", *wheelhouse, wheel, cwd=folder)
        size = sum(path.lstat().st_size for path in (folder / "fresh").rglob("*") if path.is_file())
        print(f"An installation takes {size / 1e9:.1f} GB.", flush=True)
        results = {"CLBENCH_RESULTS": str(folder / "results"), "CLBENCH_HOME": str(folder / "home"), "PYTHONPATH": ""}
        run(python, "-m", "cl.cli", *RUN, cwd=folder, CLBENCH_OFFLINE="1", **results)
        run(python, "-m", "cl.cli", "leaderboard", cwd=folder, **results)
    for path in sorted(dist.iterdir()):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", nargs="?", default="", help="address of the public repository")
    parser.add_argument("--pip", action="append", default=[], metavar="OPTION", help="an option for pip install")
    given = parser.parse_args()
    check(given.repository.rstrip("/"), given.pip)
