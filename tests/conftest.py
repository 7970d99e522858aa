"""A tiny learner on real images (scikit-learn's digits), small enough for every test to train."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any, TypeVar

import pytest
import torch

from cl import registry
from cl.random import Seeds
from cl.running import loop
from cl.strategy import Strategy
from cl.stream import Stream
from cl.testing import record_header, tiny_backbone
from cl.training.checkpoint import Checkpoint
from cl.training.trainer import Trainer

torch.set_num_threads(1)

REAL_DATA = os.environ.get("CLBENCH_DATA_PATH", "")
"""Folders with real data of whoever runs the tests, for the few tests that ask for it by this name."""

S = TypeVar("S", bound=Strategy)


@pytest.fixture(autouse=True, scope="session")
def _no_fsync() -> Iterator[None]:
    """Tests survive kills, not power cuts: waiting for the disk a thousand times would be most of their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cl.files.os.fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of whoever runs the tests reaches one, or a process that one starts; nor is their cache written to."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CLBENCH_")]:
            patch.delenv(name)
        patch.setenv("CLBENCH_OFFLINE", "1")
        patch.setenv("CLBENCH_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The test has its own results, cache and environment, and never the network."""
    for name in [name for name in os.environ if name.startswith("CLBENCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLBENCH_RESULTS", str(tmp_path / "results"))
    monkeypatch.setitem(sys.modules, "kagglehub", None)  # messages differ if it is installed


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Installs distributions: `plugin("acme", {"module": source}, {"clbench.strategies": {"name": target}})`."""

    def install(distribution: str, modules: dict[str, str], points: dict[str, dict[str, str]]) -> Path:
        root = tmp_path / f"site-{distribution}"
        info = root / f"{distribution}-1.5.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
        lines = []
        for group, names in points.items():
            lines += [f"[{group}]", *(f"{name} = {target}" for name, target in names.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for name, source in modules.items():
            path = root.joinpath(*name.split(".")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(source))
        monkeypatch.syspath_prepend(str(root))
        return root

    return install


@pytest.fixture
def toy() -> Iterator[None]:
    """The strategy of `tests.help.toy` is registered as "toy"."""
    from tests.help.toy import Toy

    names = registry.strategies  # a test may put another registry in its place
    names.register("toy", Toy)
    yield
    names.unregister("toy")


def tiny_stream(seed: int = 1993, **options: Any) -> Stream:
    """Split digits with 12 training and 6 test images per class."""
    from cl.streams.digits import SplitDigits

    family = SplitDigits()
    chosen = family.Options(**{"train_per_class": 12, "test_per_class": 6, **options})
    return family.build(chosen, order_seed=seed, data_seed=seed)


DRAWS = range(4)
"""Backbones to take together where what is tested holds on the whole: what one draws differs between versions."""


def make(cls: type[S], *, seeds: Seeds | None = None, folder: Path | None = None, draw: int = 0, **options: Any) -> S:
    """A strategy on the tiny backbone of a draw; with a folder it checkpoints at every opportunity."""
    checkpoint = Checkpoint(folder / "checkpoint", every=0) if folder is not None else None
    trainer = Trainer(seeds=seeds or Seeds(), checkpoint=checkpoint)
    return cls(cls.Options(**options), tiny_backbone(draw), trainer)


def header(cls: type[Strategy], seeds: Seeds | None = None) -> dict[str, Any]:
    """What `cl.api` would say about a run."""
    return record_header(cls, seeds)


def run(strategy: Strategy, stream: Stream, folder: Path, **arguments: Any) -> dict[str, Any]:
    """Run the loop and return the record."""
    return loop.run(strategy, stream, folder, header(type(strategy)), trainer=strategy.trainer, **arguments)


def tensors(strategy: Any) -> dict[str, torch.Tensor]:
    """Every tensor of backbone and head by name."""
    found = dict(strategy.backbone.model.state_dict())
    head = strategy.head.get_state()
    blocks = enumerate(zip(*head.values(), strict=True))
    return found | {f"head{i}": torch.cat([w, b[:, None]], 1) for i, (w, b) in blocks}


def equal(one: Any, two: Any) -> bool:
    """Whether two learners are the same bit for bit."""
    a, b = tensors(one), tensors(two)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def learn() -> Callable[..., list[Any]]:
    """Learn the first tasks of a stream outside the loop; yields what `after(strategy, view)` returns per task."""

    def go(strategy: Strategy, stream: Stream, tasks: int, after: Callable[..., Any] | None = None) -> list[Any]:
        strategy.info = stream.info
        strategy.setup(stream.info)
        found = []
        for task in range(tasks):
            strategy.trainer.journal.begin(task)
            view = stream.view(task, past=strategy.access == "past")
            strategy.learn(view)
            found.append(after(strategy, view) if after else None)
            view.revoke()
        return found

    return go


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty CLBENCH_HOME, no data folders, offline."""
    home = tmp_path / "home"
    monkeypatch.setenv("CLBENCH_HOME", str(home))
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    monkeypatch.delenv("CLBENCH_DATA_PATH", raising=False)
    return home


@pytest.fixture(scope="session")
def renditions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds imagenet-r/ as its archive unpacks."""
    from tests.help.image_trees import grow

    folder = tmp_path_factory.mktemp("data")
    grow(folder / "imagenet-r")
    (folder / "imagenet-r" / "README.txt").write_text("renditions")
    return folder


@pytest.fixture
def image_trees(renditions: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `renditions` as CLBENCH_DATA_PATH, with an empty cache."""
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(renditions))
    return renditions


@pytest.fixture
def make_record() -> Callable[..., dict[str, Any]]:
    """`build_record` of tests.help.records."""
    from tests.help.records import build_record

    return build_record


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Any]:
    """`build_run` of tests.help.records, each in its own folder: `make_run(right, seed=..., strategy=...)`."""
    from tests.help.records import build_run

    def make(right: Any, *, seed: int = 0, strategy: str = "slca", **changes: Any) -> Any:
        return build_run(tmp_path / "runs" / strategy / f"seed{seed}", right, seed=seed, strategy=strategy, **changes)

    return make
