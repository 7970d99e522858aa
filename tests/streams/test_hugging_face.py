"""Streams `hf:NAME`: datasets of the Hugging Face hub from local copies, without a stream file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import cl
from cl.errors import MissingData, UsageError
from cl.family import make_stream
from cl.plan.plan import make_plan
from cl.streams.hugging_face import HuggingFace
from tests.help.declared import build
from tests.help.hub import clone, write_parquet


@pytest.fixture
def data(isolated: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def pets(data: Path) -> Path:
    pytest.importorskip("datasets", reason="the package datasets is not installed: clbench[hub]")
    return clone(data / "zoo" / "pets")


def test_a_run_on_a_dataset_of_the_hub(pets: Path) -> None:
    run = cl.run("simplecil", "hf:zoo/pets", options={"stream.tasks": 2})
    assert "Left out: 3 validation images." in run.record["measurement"]["warnings"]
    result = run.record["result"]
    stream = result["stream"]
    assert stream["name"] == "hf:zoo/pets" and sorted(stream["class_names"]) == ["ant", "cat", "owl"]
    assert [len(group["classes"]) for group in stream["groups"]] == [2, 1] and result["count"] == [2, 1]
    assert stream["options"]["size"] == 32, "what the network sees"


def test_it_has_the_images_of_a_stream_file(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "pets.toml").write_text(
        'name = "pets"\nsetting = "class-incremental"\nsize = 8\n[[datasets]]\nname = "pets"\nreader = "hub"\n'
        'hub = "zoo/pets"\n'
    )
    named = make_stream("hf:zoo/pets", HuggingFace.Options(size=8))
    assert named.dataset.fingerprints["test"] == build(tmp_path / "pets.toml").dataset.fingerprints["test"]
    by_path = make_stream(f"hf:{pets}", HuggingFace.Options(size=8))
    assert by_path.id == named.id and by_path.name == "hf:pets"
    revised = make_stream("hf:zoo/pets", HuggingFace.Options(size=8, revision="a" * 40))
    assert revised.id != named.id


def test_columns_are_named_by_options(data: Path) -> None:
    pytest.importorskip("datasets", reason="the package datasets is not installed: clbench[hub]")
    write_parquet(data / "plain" / "train.parquet", range(20), ["owl", "cat"] * 10)
    options = HuggingFace.Options(size=8, image="img", label="kind")
    stream = make_stream("hf:plain", options)
    assert stream.dataset.class_names == ("cat", "owl") and len(stream.dataset.test) == 4
    with pytest.raises(UsageError, match=r"name one of img, kind with image = .* or with stream.image=.* for hf:NAME"):
        make_stream("hf:plain", HuggingFace.Options(size=8))


def test_what_is_missing_is_one_sentence(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        MissingData, match=r"hf:zoo/owls \(the dataset zoo/owls of the Hugging Face hub\) was not found"
    ):
        make_stream("hf:zoo/owls")
    (data / "owls").mkdir()
    with pytest.raises(MissingData, match="owls holds no Parquet files and no save_to_disk folder; put a copy of"):
        make_stream("hf:zoo/owls")
    for name, sentence in (
        (
            "hf:/none/there",
            "There is no folder /none/there; give the name ORG/NAME of a dataset, or the path of a copy",
        ),
        ("hf:a/b/c", "hub is the name ORG/NAME of a dataset, not 'a/b/c'"),
    ):
        with pytest.raises(UsageError, match=sentence):
            make_stream(name)
    with pytest.raises(UsageError, match="revision is a commit of 40 hexadecimal digits"):
        make_stream("hf:zoo/owls", HuggingFace.Options(revision="main"))


def test_the_missing_package_is_named_with_its_command(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "pets").mkdir()
    (data / "pets" / "train.parquet").touch()
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError, match=r"needs the package datasets, .*; run: pip install 'clbench\[hub\]'\."):
        make_stream("hf:pets")
    make_plan("simplecil", "hf:pets")
