"""Oxford Flowers 102: flowers of Britain, with 10 training and 10 validation images of each kind."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.matlab import numbers
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release
from cl.data.official.tables import listed
from cl.errors import DataError

_PAGE = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
_SETS = {"train": "trnid", "val": "valid", "test": "tstid"}

CLASSES = listed(
    """pink primrose, hard-leaved pocket orchid, canterbury bells, sweet pea, english marigold, tiger lily, moon
    orchid, bird of paradise, monkshood, globe thistle, snapdragon, colt's foot, king protea, spear thistle, yellow
    iris, globe-flower, purple coneflower, peruvian lily, balloon flower, giant white arum lily, fire lily,
    pincushion flower, fritillary, red ginger, grape hyacinth, corn poppy, prince of wales feathers, stemless
    gentian, artichoke, sweet william, carnation, garden phlox, love in the mist, mexican aster, alpine sea holly,
    ruby-lipped cattleya, cape flower, great masterwort, siam tulip, lenten rose, barbeton daisy, daffodil, sword
    lily, poinsettia, bolero deep blue, wallflower, marigold, buttercup, oxeye daisy, common dandelion, petunia,
    wild pansy, primula, sunflower, pelargonium, bishop of llandaff, gaura, geranium, orange dahlia, pink-yellow
    dahlia, cautleya spicata, japanese anemone, black-eyed susan, silverbush, californian poppy, osteospermum,
    spring crocus, bearded iris, windflower, tree poppy, gazania, azalea, water lily, rose, thorn apple, morning
    glory, passion flower, lotus, toad lily, anthurium, frangipani, clematis, hibiscus, columbine, desert-rose, tree
    mallow, magnolia, cyclamen, watercress, canna lily, hippeastrum, bee balm, ball moss, foxglove, bougainvillea,
    camellia, mallow, mexican petunia, bromelia, blanket flower, trumpet creeper, blackberry lily"""
)
"""The classes in the authors' order."""


def _read(files: Files) -> Listing:
    """The authors' sets; imagelabels.mat has the class of image N, counted from 1, in place N."""
    labels = numbers(files, "imagelabels.mat", "labels")
    if not set(labels) <= set(range(1, len(CLASSES) + 1)):
        raise DataError(f"imagelabels.mat of {files.where} has other classes than 1 to {len(CLASSES)}; get it again.")
    rows = {}
    for split, key in _SETS.items():
        chosen = numbers(files, "setid.mat", key)
        if not set(chosen) <= set(range(1, len(labels) + 1)):
            raise DataError(f"setid.mat of {files.where} names images without a label; get both .mat files again.")
        rows[split] = [(f"jpg/image_{number:05}.jpg", CLASSES[labels[number - 1] - 1]) for number in chosen]
    return by_class(files, rows, CLASSES)


RELEASE = Release(
    name="oxford_flowers102",
    title="Oxford Flowers 102",
    files=(
        OfficialFile(
            "102flowers.tgz",
            (f"{_PAGE}102flowers.tgz",),
            md5="52808999861908f626f3c1f4e79d11fa",
            holds=("jpg",),
        ),
        OfficialFile("imagelabels.mat", (f"{_PAGE}imagelabels.mat",), md5="e0620be6f572b9609742df49c70aed4d"),
        OfficialFile("setid.mat", (f"{_PAGE}setid.mat",), md5="a5357ecc9cb78c4bef273ce3793fc85c"),
    ),
    read=_read,
    classes=102,
    images=8_189,
    licence="none stated; research",
    citation="Nilsback, Zisserman, Automated Flower Classification over a Large Number of Classes, ICVGIP 2008",
    page=_PAGE,
    checked=TORCHVISIONS,
    folders=("flowers-102",),
)
