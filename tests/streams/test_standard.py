"""Standard streams that are TOML declarations: what they need and what they become."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl import registry
from cl.errors import DataError
from cl.stream import Evaluate
from cl.testing import check_stream
from tests.help.image_trees import SIZE, grow

DECLARED = {"domainnet": 6, "domainnet-official": 6, "5-datasets": 5, "core50": 11}


VERSIONS = {"domainnet": "1-79e7e775", "5-datasets": "1-b9b6f769", "core50": "1-d3e76ef8"}
"""Version and digest of each declaration, which are part of the identity of records."""


@pytest.mark.parametrize("name", VERSIONS)
def test_other_forms_of_the_files_do_not_change_the_identity(name: str) -> None:
    assert registry.streams.get(name).version_of() == VERSIONS[name]


@pytest.mark.parametrize("name", DECLARED)
def test_declared_streams_say_what_they_need(name: str, cache: Path) -> None:
    family = registry.streams.get(name)
    assert len(family.declaration().datasets) == DECLARED[name]
    assert "never run by us" in " ".join(str(family.__doc__).split())
    with pytest.raises(DataError, match=f"Stream {name} needs"):
        family().build(family.Options(), order_seed=0, data_seed=0)


def test_domainnet_is_read_from_folders(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cl.streams.standard import DomainNet

    for start, domain in enumerate(("clipart", "infograph", "painting", "quickdraw", "real", "sketch")):
        grow(tmp_path / "domainnet" / domain, 4, ["ant", "bee"], start=10 * start)
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    stream = DomainNet().build(DomainNet.Options(size=SIZE), order_seed=0, data_seed=0)
    assert stream.setting == "domain-incremental" and stream.info.class_names == ("ant", "bee")
    assert stream.groups[0].name == "clipart" and len(stream.experiences) == 6


def test_core50_is_tested_on_sessions_that_are_never_learned(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cl.streams.standard import CORe50

    for session in range(1, 12):
        grow(tmp_path / "core50_128x128" / f"s{session}", 3, ["o1", "o2"], start=10 * session)
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    stream = CORe50().build(CORe50.Options(size=SIZE), order_seed=0, data_seed=0)
    assert [group.name for group in stream.groups] == ["s3", "s7", "s10"] and stream.info.class_names == ("o1", "o2")
    assert [len(experience.train) for experience in stream.experiences] == [6] * 8
    assert len(stream.dataset.train) == 48 and len(stream.dataset.test) == 18, "no image is split off or lost"
    tested = [event.groups for event in stream.events if isinstance(event, Evaluate)]
    assert tested == [(0, 1, 2)] * 8
    check_stream(stream)
