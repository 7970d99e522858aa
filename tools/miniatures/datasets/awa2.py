"""Animals with Attributes 2 in little: two images of each kind."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

ATTRIBUTES = """black white blue brown gray orange red yellow patches spots stripes furry hairless toughskin big small
bulbous lean flippers hands hooves pads paws longleg longneck tail chewteeth meatteeth buckteeth strainteeth horns claws
tusks smelly flys hops swims tunnels walks fast slow strong weak muscle bipedal quadrapedal active inactive nocturnal
hibernate agility fish meat plankton vegetation insects forager grazer hunter scavenger skimmer stalker newworld
oldworld arctic coastal desert bush plains forest fields jungle mountains ocean ground water tree cave fierce timid
smart group solitary nestspot domestic""".split()  # noqa: SIM905
KINDS = """antelope grizzly+bear killer+whale beaver dalmatian persian+cat horse german+shepherd blue+whale siamese+cat
skunk mole tiger hippopotamus leopard moose spider+monkey humpback+whale elephant gorilla ox fox sheep seal chimpanzee
hamster squirrel rhinoceros rabbit bat giraffe wolf chihuahua rat weasel otter buffalo zebra giant+panda deer bobcat pig
lion mouse polar+bear collie walrus raccoon cow dolphin""".split()  # noqa: SIM905
TESTED = """chimpanzee giant+panda leopard persian+cat pig hippopotamus humpback+whale raccoon rat seal""".split()  # noqa: SIM905


def write(folder: Path, pen: Pen) -> None:
    """AwA2-data.zip with JPEGImages/KIND/KIND_NUMBER.jpg, lists of names and matrices of attributes."""
    content: dict[str, bytes] = {}
    matrix = [
        [int((row + 2) * (column + 3) % 13 < 4) for column in range(len(ATTRIBUTES))] for row in range(len(KINDS))
    ]
    for kind, row in zip(KINDS, matrix, strict=True):
        present = [name for name, has in zip(ATTRIBUTES, row, strict=True) if has]
        for number in (10001, 10002):
            image = pen.encoded("test" if kind in TESTED else "train", present, size=(40, 32))
            content[f"JPEGImages/{kind}/{kind}_{number}.jpg"] = image
    content["classes.txt"] = _numbered(KINDS)
    content["predicates.txt"] = _numbered(ATTRIBUTES)
    content["trainclasses.txt"] = _text([kind for kind in KINDS if kind not in TESTED])
    content["testclasses.txt"] = _text(TESTED)
    content["predicate-matrix-binary.txt"] = _text([" ".join(map(str, row)) for row in matrix])
    content["predicate-matrix-continuous.txt"] = _text(
        [" ".join(f"{50 * value + 0.25:6.2f}" for value in row) for row in matrix]
    )
    content["licenses/antelope.txt"] = content["README-attributes.txt"] = b"a text\n"
    write_zip(folder / "AwA2-data.zip", {f"Animals_with_Attributes2/{name}": data for name, data in content.items()})


def _numbered(names: list[str]) -> bytes:
    return _text([f"{number:>7}\t{name}" for number, name in enumerate(names, 1)])


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
