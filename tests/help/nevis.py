"""Streams of NEVIS'22 built from miniatures of their datasets, as published or unpacked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from cl.data import releases
from cl.stream import Stream
from cl.streams.nevis import Nevis, NevisShort, NevisTiny, _tasks
from tests.help.releases import unpack, written

FAMILIES = {"nevis": Nevis, "nevis-short": NevisShort, "nevis-tiny": NevisTiny}
Build = Callable[..., Stream]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """`built(name, unpacked)`: a stream of images of 16 pixels from the miniatures of all of its datasets.

    Each miniature is written, and each stream built, once.
    """
    root = tmp_path_factory.mktemp("nevis")
    streams: dict[tuple[str, bool], Stream] = {}

    def build(name: str, unpacked: bool = False) -> Stream:
        if (name, unpacked) not in streams:
            family = FAMILIES[name]()
            _write(root, {row["name"] for row in _tasks(family.variant)})
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("CLBENCH_DATA_PATH", str(root / ("unpacked" if unpacked else "packed")))
                patch.setenv("CLBENCH_HOME", str(root / ("home of unpacked" if unpacked else "home")))
                options = family.Options(size=16, missing="error")
                streams[name, unpacked] = family.build(options, order_seed=1, data_seed=1)
        return streams[name, unpacked]

    return build


def _write(root: Path, names: Iterable[str]) -> None:
    """Write the miniatures that are not yet there, into packed/ as published, and into unpacked/."""
    for name in names:
        if not (root / "packed" / name).exists():
            written(name, root / "packed")
            (root / "unpacked" / name).mkdir(parents=True)
            unpack(root / "packed" / name, root / "unpacked" / name, releases.release(name))
