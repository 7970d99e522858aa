"""Image sets of the PASCAL VOC challenges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.miniatures.pen import Pen


def main_sets(
    pen: Pen, root: str, classes: Sequence[str], sets: Mapping[str, str], names: str
) -> dict[str, dict[str, bytes]]:
    """The images and lists of each set (`sets` maps a split to its set), and the lists of `trainval`.

    Every third image has a second class; the last object of an image is a second, difficult one of its first class.
    """
    found: dict[str, dict[str, bytes]] = {}
    lines: dict[str, dict[str, list[str]]] = {}
    number = 0
    for split, kind in sets.items():
        found[kind], lines[kind] = {}, {each: [] for each in classes}
        for place in range(2 * len(classes)):
            number += 1
            own = [classes[place % len(classes)]]
            if place % 3 == 0:
                own.append(classes[(place + 7) % len(classes)])
            name = names.format(number)
            ordered = sorted(own, key=list(classes).index)
            found[kind][f"{root}/JPEGImages/{name}.jpg"] = pen.encoded(split, ordered, size=(48, 36))
            found[kind][f"{root}/Annotations/{name}.xml"] = annotation(name, own)
            for each in classes:
                present = 1 if each in own else -1
                lines[kind][each].append(f"{name} {present:2d}")
        _lists(found[kind], root, kind, lines[kind])
    found["trainval"] = {}
    both = {each: [*lines["train"][each], *lines["val"][each]] for each in classes}
    _lists(found["trainval"], root, "trainval", both)
    return found


def annotation(name: str, classes: Sequence[str]) -> bytes:
    """The annotation of an image with an object of each class, and a difficult one of the first."""
    objects = "".join(
        f"<object><name>{each}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>{difficult}</difficult>"
        "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>24</xmax><ymax>24</ymax></bndbox></object>"
        for each, difficult in (*((each, 0) for each in classes), (classes[0], 1))
    )
    size = "<size><width>48</width><height>36</height><depth>3</depth></size>"
    return f"<annotation><filename>{name}.jpg</filename>{size}{objects}</annotation>".encode()


def _lists(content: dict[str, bytes], root: str, kind: str, lines: Mapping[str, Sequence[str]]) -> None:
    names = [line.split()[0] for line in next(iter(lines.values()))]
    content[f"{root}/ImageSets/Main/{kind}.txt"] = ("\n".join(names) + "\n").encode()
    for each, rows in lines.items():
        content[f"{root}/ImageSets/Main/{each}_{kind}.txt"] = ("\n".join(rows) + "\n").encode()
