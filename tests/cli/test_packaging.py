"""What people install: wheel, sdist and editable, each used from the repository root and from elsewhere."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import cl
from cl.registry import source_path, toml_load

pytestmark = pytest.mark.skipif(cl.CHECKOUT is None, reason="needs the repository")
ROOT = cl.CHECKOUT or Path()


def project() -> dict[str, dict[str, str]]:
    points: dict[str, dict[str, str]] = toml_load(ROOT / "pyproject.toml")["project"]["entry-points"]
    return points


def test_every_entry_point_names_something_that_exists() -> None:
    for group in project().values():
        for target in group.values():
            module, _, attribute = target.partition(":")
            path = source_path(module)
            assert path is not None, target
            defined = [getattr(node, "name", None) for node in ast.parse(path.read_text(encoding="utf-8")).body]
            assert attribute in defined, target


def test_every_package_is_listed() -> None:
    listed = set(toml_load(ROOT / "pyproject.toml")["tool"]["setuptools"]["packages"])
    folders = {path.parent for path in (ROOT / "cl").rglob("*.py")}
    packages = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert packages | {"cl.strategies", "cl.streams"} == listed


def test_every_strategy_file_and_preset_has_its_entry_point() -> None:
    points = project()["clbench.strategies"]
    modules = {target.partition(":")[0].rpartition(".")[2] for target in points.values()}
    assert {path.stem for path in (ROOT / "strategies").glob("[!_]*.py")} <= modules
    assert {path.stem for path in (ROOT / "strategies" / "presets").glob("*.toml")} <= set(points)


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CLBENCH_"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, so that building leaves nothing behind in it."""
    copy = tmp_path_factory.mktemp("copy") / "repository"
    names = ("cl", "strategies", "streams")
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in names:
        shutil.copytree(ROOT / name, copy / name, ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def built(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", target, sources, cwd=target)
    return target


def make_environment(folder: Path) -> Path:
    """A virtual environment that sees what this one has installed; returns its Python."""
    venv.create(folder, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    import numpy

    (packages / "parent.pth").write_text(str(Path(numpy.__file__).parent.parent) + "\n")
    return python


def check_installed(python: Path, places: list[Path], expected: Path) -> None:
    code = (
        "import cl, cl.strategies.slca, cl.streams.digits, cl.registry as r; from pathlib import Path;"
        "assert r.strategies.summary('slca') and r.strategies.get('slca') is cl.strategies.slca.SLCA;"
        "assert r.streams.split('folder:/x') == ('folder:', '/x');"
        "from cl.results.record import schema; schema();"
        "print(cl.__version__); print(Path(cl.__file__).resolve())"
    )
    script = python.parent / ("clbench.exe" if os.name == "nt" else "clbench")
    for place in places:
        version, where = run(python, "-I", "-c", code, cwd=place).splitlines()
        assert version == cl.__version__
        assert Path(where).is_relative_to(expected.resolve())
        assert "split-digits" in run(script, "list", "streams", cwd=place)


@pytest.mark.slow
def test_wheel_and_sdist_hold_what_they_should(built: Path) -> None:
    (wheel,) = built.glob("clbench-*.whl")
    (sdist,) = built.glob("clbench-*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"cl", f"clbench-{cl.__version__}.dist-info"}
    for needed in (
        "cl/py.typed",
        "cl/strategies/slca.py",
        "cl/streams/cifar.py",
        "cl/cli/run.py",
        "cl/results/record.schema.json",
        "cl/backbone/weights/vit_micro_patch4_32.safetensors",
    ):
        assert needed in names
    presets = {f"cl/strategies/presets/{path.name}" for path in (ROOT / "strategies/presets").glob("*.toml")}
    assert presets <= set(names)
    assert not [name for name in names if "test" in Path(name).name or name.endswith(".pyc")]
    assert wheel.stat().st_size < 16e6
    with tarfile.open(sdist) as archive:
        members = archive.getnames()
    assert f"clbench-{cl.__version__}/strategies/slca.py" in members
    assert f"clbench-{cl.__version__}/LICENSE" in members


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_installs_work_from_the_root_and_from_elsewhere(kind: str, sources: Path, built: Path, tmp_path: Path) -> None:
    python = make_environment(tmp_path / "environment")
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    what: list[str | Path] = {"wheel": [wheel], "sdist": [sdist], "editable": ["--editable", sources]}[kind]  # type: ignore[assignment]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-build-isolation"]
    run(*pip, "--quiet", *what, cwd=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    check_installed(python, [sources, elsewhere], sources if kind == "editable" else tmp_path / "environment")
