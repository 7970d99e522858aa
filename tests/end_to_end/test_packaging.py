"""What people install: wheel, sdist and editable, each used from the repository root and from elsewhere."""

from __future__ import annotations

import ast
import tarfile
import zipfile
from pathlib import Path

import pytest

import cl
from cl.source import source_path
from cl.tables import read_toml
from tests.help.environments import ROOT, build, copy_sources, install, make_environment, run, script

pytestmark = pytest.mark.skipif(cl.CHECKOUT is None, reason="needs the repository")


def project() -> dict[str, dict[str, str]]:
    points: dict[str, dict[str, str]] = read_toml(ROOT / "pyproject.toml")["project"]["entry-points"]
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
    listed = set(read_toml(ROOT / "pyproject.toml")["tool"]["setuptools"]["packages"])
    folders = {path.parent for path in (ROOT / "cl").rglob("*.py")}
    packages = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert packages | {"cl.strategies", "cl.streams"} == listed


def test_every_strategy_file_and_preset_has_its_entry_point() -> None:
    points = project()["clbench.strategies"]
    modules = {target.partition(":")[0].rpartition(".")[2] for target in points.values()}
    assert {path.stem for path in (ROOT / "strategies").glob("[!_]*.py")} <= modules
    assert {path.stem for path in (ROOT / "strategies" / "presets").glob("*.toml")} <= set(points)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sources(tmp_path_factory.mktemp("copy"))


@pytest.fixture(scope="module")
def built(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(sources, tmp_path_factory.mktemp("dist"))


def check_installed(python: Path, places: list[Path], expected: Path) -> None:
    code = (
        "import cl, cl.strategies.slca, cl.streams.digits, cl.registry as r; from pathlib import Path;"
        "assert r.strategies.summary('slca') and r.strategies.get('slca') is cl.strategies.slca.SLCA;"
        "assert r.streams.split('folder:/x') == ('folder:', '/x');"
        "from cl.records.record import schema; schema();"
        "print(cl.__version__); print(Path(cl.__file__).resolve())"
    )
    for place in places:
        version, where = run(python, "-I", "-c", code, cwd=place).splitlines()
        assert version == cl.__version__
        assert Path(where).is_relative_to(expected.resolve())
        assert "split-digits" in run(script(python), "list", "streams", cwd=place)


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
        "cl/cli/commands/run.py",
        "cl/cli/templates/strategy/method.txt",
        "cl/cli/templates/strategy/method.txt",
        "cl/records/record.schema.json",
        "cl/strategies/presets/avalanche/ewc.toml",
        "cl/strategies/references.bib",
        "cl/backbone/weights/vit_micro_patch4_32.safetensors",
    ):
        assert needed in names
    presets = {f"cl/strategies/presets/{path.name}" for path in (ROOT / "strategies/presets").glob("*.toml")}
    assert presets <= set(names)
    assert not [name for name in names if Path(name).name.startswith(("test_", "conftest")) or name.endswith(".pyc")]
    recipe = {path.name for path in (ROOT / "tools" / "embedded_backbone").glob("*.py")} - {"__init__.py"}
    assert recipe and not [name for name in names if Path(name).name in recipe], "how the weights were trained"
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
    what: dict[str, list[str | Path]] = {"wheel": [wheel], "sdist": [sdist], "editable": ["--editable", sources]}
    install(python, *what[kind])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    check_installed(python, [sources, elsewhere], sources if kind == "editable" else tmp_path / "environment")
