"""Folders that are named after WordNet numbers, as ImageNet's relatives have them."""

from __future__ import annotations


def classes() -> dict[str, str]:
    """As many classes as ImageNet-A and ImageNet-R have, by number; numbers and names are made up."""
    return {f"n{1443537 + 37121 * place:08}": f"kind_{place}" for place in range(200)}


def readme(title: str) -> bytes:
    """A text that names the classes."""
    lines = [f"The classes of {title}:", "", *(f"{number} {name}" for number, name in classes().items())]
    return ("\n".join(lines) + "\n").encode()


def dealt(content: dict[str, bytes], root: str) -> dict[str, bytes]:
    """The images of each class dealt to train/ and test/ below `root`, every third to test/; texts are unchanged."""
    dealt, seen = dict[str, bytes](), dict[str, int]()
    for path, data in content.items():
        *_, folder, name = path.split("/")
        if name.endswith(".txt"):
            dealt[path] = data
            continue
        seen[folder] = seen.get(folder, 0) + 1
        split = "test" if seen[folder] % 3 == 0 else "train"
        dealt[f"{root}/{split}/{folder}/{name}"] = data
    return dealt
