"""Datasets of the Hugging Face hub, read from local copies in the layouts of its library."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from cl.data import hub
from cl.data.hub import HubDataset, find
from cl.data.images import decode_image, square
from cl.data.store import Dataset
from cl.errors import DataError, UsageError
from tests.help.hub import cells, clone, png, write_parquet

PETS = HubDataset("zoo/pets")


@pytest.fixture
def data(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of CLBENCH_DATA_PATH; the cache of the library is in a temporary folder too."""
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def library() -> Any:
    return pytest.importorskip("datasets", reason="the package datasets is not installed: clbench[hub]")


def read(copy: Path | None, wanted: HubDataset = PETS, **changed: Any) -> Dataset:
    arguments: dict[str, Any] = {"keep_val": False, "test_fraction": 0.2, "split_seed": 0, **changed}
    return hub.read(wanted, copy, 8, **arguments)


def rows_of(dataset: Dataset) -> dict[str, set[tuple[str, bytes]]]:
    """The class and the pixels of the images of each split."""
    stores = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    return {
        split: {
            (dataset.class_names[label], image.tobytes())
            for label, image in zip(store.labels, store.pixels, strict=True)
        }
        for split, store in stores.items()
        if store is not None
    }


def expected(numbers: range, names: tuple[str, ...] = ("owl", "cat", "ant")) -> set[tuple[str, bytes]]:
    return {(names[n % 3], square(decode_image(png(n), 3, "x"), 8).tobytes()) for n in numbers}


def test_a_clone_of_a_repository(library: Any, data: Path) -> None:
    folder = clone(data / "pets")
    assert find("zoo/pets") == folder == find("pets")
    dataset = read(folder)
    assert dataset.class_names == ("owl", "cat", "ant"), "the order is that of the ClassLabel"
    assert rows_of(dataset) == {
        "train": expected(range(6)),
        "val": expected(range(6, 9)),
        "test": expected(range(9, 12)),
    }
    assert dataset.origin == str(folder) and not dataset.notes


def test_images_are_decoded_once(library: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = clone(data / "pets")
    first = read(folder)
    shutil.rmtree(tmp_path / "home" / "hub")  # what the library made of the Parquet files
    with monkeypatch.context() as patch:
        patch.setattr(hub, "native", None)
        assert read(folder).fingerprints == first.fingerprints
    write_parquet(folder / "data" / "test-00000-of-00001.parquet", range(20, 23), [0, 1, 2], ("owl", "cat", "ant"))
    assert read(folder).fingerprints["test"] != first.fingerprints["test"]


def test_every_layout_gives_the_same_fingerprints(library: Any, data: Path) -> None:
    cloned = read(clone(data / "pets"))
    features = library.Features({"img": library.Image(), "kind": library.ClassLabel(names=["owl", "cat", "ant"])})
    splits = {
        split: library.Dataset.from_dict({"img": cells(n), "kind": [i % 3 for i in n]}, features=features)
        for split, n in (("train", range(6)), ("validation", range(6, 9)), ("test", range(9, 12)))
    }
    library.DatasetDict(splits).save_to_disk(str(data / "zoo" / "pets"))
    assert find("zoo/pets") == data / "zoo" / "pets", "ORG/NAME comes first"
    saved = read(data / "zoo" / "pets")
    assert saved.fingerprints == cloned.fingerprints
    shuffled = splits["train"].select([5, 0, 3, 1, 4, 2])
    shuffled.save_to_disk(str(data / "one"))
    one = read(data / "one", test_fraction=0.0)
    assert one.train.fingerprint == cloned.train.fingerprint and not len(one.test)


def test_folders_of_other_content_are_passed_over(data: Path, tmp_path: Path) -> None:
    (data / "zoo" / "pets" / "owl").mkdir(parents=True)
    (data / "zoo" / "pets" / "owl" / "1.png").write_bytes(png(1))
    assert find("zoo/pets") is None
    write_parquet(tmp_path / "pets" / "train.parquet", [1], ["owl"])
    assert find("zoo/pets", tmp_path) == tmp_path / "pets"


@pytest.mark.parametrize("saved", [False, True])
def test_splits_and_files_may_number_their_classes_differently(saved: bool, library: Any, data: Path) -> None:
    folder, names, other = data / "pets", ("owl", "cat", "ant"), ("ant", "owl", "cat", "bee")
    if saved:
        made = {
            split: library.Dataset.from_dict(
                {"img": cells(numbers), "kind": [order.index(names[n % 3]) for n in numbers]},
                features=library.Features({"img": library.Image(), "kind": library.ClassLabel(names=list(order))}),
            )
            for split, numbers, order in (("train", range(6), names), ("test", range(6, 9), other))
        }
        library.DatasetDict(made).save_to_disk(str(folder))
    else:
        for file, numbers, order in (
            ("train-00000-of-00002", range(3), names), ("train-00001-of-00002", range(3, 6), other),
            ("test-00000-of-00001", range(6, 9), other),
        ):  # fmt: skip
            labels = [order.index(names[n % 3]) for n in numbers]
            write_parquet(folder / "data" / f"{file}.parquet", list(numbers), labels, order)
    dataset = read(folder)
    assert dataset.class_names == names
    assert rows_of(dataset) == {"train": expected(range(6)), "test": expected(range(6, 9))}


def test_classes_of_the_test_images_alone_are_left_out(library: Any, data: Path) -> None:
    folder, other = clone(data / "pets"), ("bee", "ant", "cat", "owl")
    write_parquet(folder / "data" / "test-00000-of-00001.parquet", range(9, 12), [3, 0, 1], other)
    dataset = read(folder)
    assert dataset.notes == ("Left out: 1 image of classes without training images (bee).",)
    assert rows_of(dataset)["test"] == expected(range(9, 10)) | expected(range(11, 12))
    write_parquet(folder / "data" / "test-00000-of-00001.parquet", range(9, 12), [0, 1, 2], ("x", "y", "z"))
    with pytest.raises(DataError, match=r"The test images of .*pets have none of the classes of its training images"):
        read(folder)


def test_texts_are_classes_by_name_and_numbers_by_value(library: Any, data: Path) -> None:
    write_parquet(data / "pets" / "train.parquet", range(6), ["owl", "cat", "ant"] * 2)
    wanted = HubDataset("pets", image="img", label="kind")
    dataset = read(data / "pets", wanted, test_fraction=0.5)
    assert dataset.class_names == ("ant", "cat", "owl")
    drawn = rows_of(dataset)
    assert drawn["train"] | drawn["test"] == expected(range(6)) and len(dataset.train) == len(dataset.test) == 3
    write_parquet(data / "years" / "train.parquet", range(4), [10, 9, 10, 9])
    assert read(data / "years", wanted, test_fraction=0.0).class_names == ("9", "10")


def test_a_single_split_follows_the_rule(library: Any, data: Path) -> None:
    write_parquet(data / "pets" / "train.parquet", range(6), [n % 3 for n in range(6)], ("owl", "cat", "ant"))
    nevis = read(data / "pets", keep_val=True)
    assert (len(nevis.train), len(nevis.test)) == (6, 0), "the rule divides it later"
    tested = read(data / "pets", test_fraction=1.0)
    assert (len(tested.train), len(tested.test)) == (0, 6)


def test_validation_images_stand_in_for_test_images(library: Any, data: Path) -> None:
    folder = clone(data / "pets")
    (folder / "data" / "test-00000-of-00001.parquet").unlink()
    assert rows_of(read(folder)) == {"train": expected(range(6)), "test": expected(range(6, 9))}
    kept = read(folder, keep_val=True)
    assert kept.val is not None and len(kept.val) == 3 and not len(kept.test)


def test_hidden_labels(library: Any, data: Path) -> None:
    folder, names = clone(data / "pets"), ("owl", "cat", "ant")
    write_parquet(folder / "data" / "test-00000-of-00001.parquet", range(9, 12), [-1, -1, -1], names)
    dataset = read(folder)
    assert dataset.notes == ("Left out: the 3 images of split test, which have no labels.",)
    assert rows_of(dataset)["test"] == expected(range(6, 9))
    write_parquet(folder / "data" / "test-00000-of-00001.parquet", range(9, 12), [-1, 1, 2], names)
    with pytest.raises(DataError, match=r"1 image of split test of .*pets have no label; remove them"):
        read(folder)


def test_grey_images_become_rgb(library: Any, data: Path) -> None:
    features = library.Features({"img": library.Image(), "kind": library.ClassLabel(names=["a", "b"])})
    grey = [{"bytes": png(n, "L"), "path": None} for n in range(4)]
    library.Dataset.from_dict({"img": grey, "kind": [0, 1, 0, 1]}, features=features).save_to_disk(str(data / "pets"))
    pixels = read(data / "pets", test_fraction=0.0).train.pixels
    assert pixels.shape == (4, 8, 8, 3) and np.array_equal(pixels[..., 0], pixels[..., 2])


def test_images_in_files_next_to_the_table(library: Any, data: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    paths = [tmp_path / "files" / f"{n}.png" for n in range(4)]
    for n, path in enumerate(paths):
        path.write_bytes(png(n))
    features = library.Features({"img": library.Image(), "kind": library.ClassLabel(names=["a", "b"])})
    rows = library.Dataset.from_dict({"img": [str(path) for path in paths], "kind": [0, 1, 0, 1]}, features=features)
    linked = hub._split(PETS, "train", rows, data)
    assert read_bytes(linked, 2) == png(2)
    paths[2].write_bytes(png(7))
    changed = hub._split(PETS, "train", rows, data)
    assert changed.identity != linked.identity, "a changed file is decoded again"


def read_bytes(split: Any, index: int) -> bytes:
    return hub._bytes(split.rows[index][split.image])


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (HubDataset("pets", image="photo"), r"has no column 'photo' \(image\); it has img, kind\."),
        (HubDataset("pets", label="species"), r"has no column 'species' \(label\); it has img, kind\."),
        (HubDataset("pets", image="kind"), r"Column 'kind' of .*pets holds no images; name another with image = "),
        (HubDataset("pets", label="img"), r"Column 'img' of .*pets holds no class of each image \(a ClassLabel, texts"),
    ],
)
def test_wrong_columns(wanted: HubDataset, sentence: str, library: Any, data: Path) -> None:
    clone(data / "pets")
    with pytest.raises(UsageError, match=sentence):
        read(data / "pets", wanted)


def test_columns_that_are_not_clear_are_to_be_named(library: Any, data: Path) -> None:
    write_parquet(data / "pets" / "train.parquet", range(2), ["owl", "cat"])
    with pytest.raises(UsageError, match=r"has 0 columns of images; name one of img, kind with image = \.\.\."):
        read(data / "pets")
    with pytest.raises(
        UsageError, match=r"has 0 columns of classes \(ClassLabel\); name one of img, kind with label ="
    ):
        read(data / "pets", HubDataset("pets", image="img"))


def test_other_splits(library: Any, data: Path) -> None:
    features = library.Features({"img": library.Image(), "kind": library.ClassLabel(names=["owl", "cat", "ant"])})
    made = library.Dataset.from_dict({"img": cells(range(3)), "kind": [0, 1, 2]}, features=features)
    library.DatasetDict(train=made, test=made, extra=made).save_to_disk(str(data / "more"))
    assert read(data / "more").notes == (f"Left out: split extra of {data / 'more'} (3 rows).",)
    library.DatasetDict(one=made, two=made).save_to_disk(str(data / "odd"))
    with pytest.raises(DataError, match="odd has no split called train, but one, two; choose another config"):
        read(data / "odd")
    library.DatasetDict(train=made, test=made.select([])).save_to_disk(
        str(data / "empty"), num_shards={"train": 1, "test": 1}
    )
    with pytest.raises(DataError, match="empty has no test images: the split is empty; get it again"):
        read(data / "empty")


def test_damaged_images_and_files(library: Any, data: Path) -> None:
    features = library.Features({"img": library.Image(), "kind": library.ClassLabel(names=["a", "b"])})
    damaged = [{"bytes": each, "path": None} for each in (png(0), png(1)[:60], png(2), b"no image")]
    library.Dataset.from_dict({"img": damaged, "kind": [0, 1, 0, 1]}, features=features).save_to_disk(
        str(data / "pets")
    )
    with pytest.raises(
        DataError, match=r"Cannot read 2 images: 1 of split train of .*, 3 of split train of .*it is not"
    ):
        read(data / "pets", test_fraction=0.0)
    (clone(data / "cut") / "data" / "train-00000-of-00001.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(
        DataError, match=r"Cannot read .*cut with datasets \(.*\); get it again, or name a config"
    ) as error:
        read(data / "cut")
    assert "\n" not in str(error.value)


def test_without_the_library_the_command_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        UsageError, match=r"zoo/pets of the .* is not installed here; run: pip install 'clbench\[hub\]'\."
    ):
        read(data)


def test_what_is_not_here_is_asked_of_the_hub(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load_dataset_builder(**options: Any) -> None:
        asked.append(options)
        raise FileNotFoundError("Dataset 'zoo/pets'\ndoesn't exist on the Hub")

    module = ModuleType("datasets")
    module.load_dataset_builder = load_dataset_builder  # type: ignore[attr-defined]
    module.are_progress_bars_disabled = lambda: True  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    wanted = HubDataset("zoo/pets", config="small", revision="a" * 40)
    with pytest.raises(
        DataError, match=r"Cannot read https://huggingface.co/datasets/zoo/pets with .*; check the name"
    ):
        read(None, wanted)
    assert asked == [{"path": "zoo/pets", "revision": "a" * 40, "name": "small"}]


def test_offline_the_hub_is_not_reachable(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    assert not hub.reachable()
    monkeypatch.delenv("CLBENCH_OFFLINE")
    assert hub.reachable()


def test_the_library_writes_nothing(library: Any, data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    read(clone(data / "pets"))
    (data / "pets" / "data" / "train-00000-of-00001.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError):
        read(data / "pets")
    assert capfd.readouterr() == ("", "")
