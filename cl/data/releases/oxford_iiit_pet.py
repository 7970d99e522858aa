"""Oxford-IIIT Pet: 37 breeds of cats and dogs, about 200 photos each.

Photos that neither list names are not used; the archive has some. Head boxes and silhouettes are not read.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.lists import as_published
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release

_SITE = "https://www.robots.ox.ac.uk/~vgg/data/pets/"
_LISTS = {"train": "trainval.txt", "test": "test.txt"}


def _read(files: Files) -> Listing:
    """A line of a list is BREED_NUMBER, the number of the breed, of the species, and of the breed in its species."""
    rows: dict[str, list[tuple[str, str]]] = {}
    breeds: dict[str, int] = {}
    for split, name in _LISTS.items():
        rows[split] = []
        for line in files.lines(f"annotations/{name}"):
            with as_published(files, f"annotations/{name}"):
                image, breed, *_ = line.split()
                called = image.rpartition("_")[0]
                breeds[called] = int(breed)
            rows[split].append((f"images/{image}.jpg", called))
    return by_class(files, rows, sorted(breeds, key=breeds.__getitem__))


RELEASE = Release(
    name="oxford_iiit_pet",
    title="Oxford IIIT Pets",
    files=(
        OfficialFile(
            "images.tar.gz",
            (f"{_SITE}data/images.tar.gz", "https://thor.robots.ox.ac.uk/~vgg/data/pets/images.tar.gz"),
            size=791_918_971,
            md5="5c4f3ee8e5d25df40f4fd59a7f44e54c",
            sha256="67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
            holds=("images",),
        ),
        OfficialFile(
            "annotations.tar.gz",
            (f"{_SITE}data/annotations.tar.gz", "https://thor.robots.ox.ac.uk/~vgg/data/pets/annotations.tar.gz"),
            size=19_173_078,
            md5="95a8c909bbe2e81eed6a22bccdf3f68f",
            sha256="52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91",
            holds=("annotations/trainval.txt", "annotations/test.txt"),
        ),
    ),
    folders=("oxford-iiit-pet",),
    read=_read,
    classes=37,
    images=7_349,
    licence="CC BY-SA 4.0",
    citation="Parkhi, Vedaldi, Zisserman, Jawahar, Cats and Dogs, CVPR 2012",
    page=_SITE,
    checked=TORCHVISIONS,
)
