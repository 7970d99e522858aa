"""Lists that differ from the published ones: one sentence, in every reader that parses lists of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from cl.data import releases
from cl.data.official.files import Files, Source
from cl.data.official.lists import as_published
from cl.errors import DataError
from tests.help.releases import located, unpack, written


class Changed(Source):
    """A source with one file of other content."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name, self.content = name, content

    def names(self) -> Sequence[str]:
        return [self.name]

    def read(self, name: str) -> bytes:
        return self.content

    def stamp(self, name: str) -> str:
        return "changed"


def test_other_errors_pass() -> None:
    files = Files([], "the folder")
    with (
        pytest.raises(DataError, match=r"a\.txt of the folder is cut off or differs.*'7'"),
        as_published(files, "a.txt"),
    ):
        dict[str, int]()["7"]
    with pytest.raises(DataError, match="as it is"), as_published(files, "a.txt"):
        raise DataError("as it is")
    with pytest.raises(RuntimeError), as_published(files, "a.txt"):
        raise RuntimeError("a fault of the program")


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("sun397", "SUN397/ClassName.txt", b"abbey\n"),
        ("oxford_iiit_pet", "annotations/trainval.txt", b"Abyssinian_1\n"),
        ("oxford_iiit_pet", "annotations/trainval.txt", b"Abyssinian_1 one 1 1\n"),
        ("caltech_birds2011", "CUB_200_2011/train_test_split.txt", b"1 1\n"),
        ("stanford_cars", "cars_annos.mat", b""),
        ("stanford_dogs", "train_list.mat", b""),
        ("chars74k", "English/Fnt/Sample063/img063-00001.png", b""),
        ("wiki_paintings_style", "style_val.csv", b"wikiart/Rococo/a.jpg"),
        ("interact", "interact_final_dataset_labels_and_images.txt", b"1;a.jpg\n"),
        ("voc_actions", "VOCdevkit/VOC2012/Annotations/2011_000003.xml", b"<annotation><object></annotation>"),
        ("coco_single_label", "annotations/instances_val2017.json", b'{"images": []}'),
        ("coco_single_label", "annotations/instances_val2017.json", b'{"images": ['),
    ],
)
def test_a_list_that_differs_is_one_sentence(
    name: str, file: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    release = releases.release(name)
    written(name, tmp_path / "packed")
    unpack(tmp_path / "packed" / name, tmp_path / "data" / name, release)
    whole = located(release).open()
    with pytest.raises(DataError) as caught:
        release.read(Files([Changed(file, content), *whole._sources], "the folder"))
    assert "of the folder" in str(caught.value) and "\n" not in str(caught.value)
