"""What the fuzz draws with hypothesis: mutated records, arrays, TOML, options, and trees of odd images."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

T = TypeVar("T")


def draw(strategy: st.SearchStrategy[T], number: int) -> T:
    """The example of a strategy for a number; not the first one that hypothesis tries, which is always the simplest."""
    found: list[T] = []

    @seed(number)
    @settings(
        max_examples=3, phases=[Phase.generate], database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def collect(value: T) -> None:
        found.append(value)

    collect()
    return found[-1]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
ODD_NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 1e308, 2**63, 10**60, float("nan"), float("inf"), -0.0, 1e-320]),
)
ODD_TEXTS = st.one_of(
    TEXT,
    st.sampled_from(
        ["", " ", "\n", "\x1b[31mred\x1b[0m", "=1+1", "../..", "a" * 5000, "~nouser/x", "\u202etxt", "💥", "<b>"]
    ),
)
SCALARS = st.one_of(st.none(), st.booleans(), ODD_NUMBERS, ODD_TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)

# ------------------------------------------------------------------------------------------------------------ records


@st.composite
def records(draw: Any, record: Mapping[str, Any]) -> tuple[str, bool]:
    """The text of a mutated record, and whether its `result` was given a hash that fits."""
    mutated = copy.deepcopy(dict(record))
    for _ in range(draw(st.integers(1, 3))):
        mutated = _mutated(draw, mutated)
    fits = draw(st.booleans())
    if fits and isinstance(mutated, dict) and isinstance(mutated.get("result"), dict):
        from cl.records.record import result_sha256

        try:
            mutated["result_sha256"] = result_sha256(mutated["result"])
        except (ValueError, TypeError):
            fits = False
    text = json.dumps(mutated, indent=1)
    damage = draw(st.sampled_from(["", "", "", "", "cut", "mark", "deep", "digits", "twice"]))
    if damage == "cut":
        text = text[: draw(st.integers(0, len(text)))]
    elif damage == "mark":
        text = "\ufeff" + text
    elif damage == "deep":
        text = "[" * 100_000
    elif damage == "digits":
        text = text.replace("1", "1" * 5000, 1)
    elif damage == "twice":
        text = text + text
    return text, fits and not damage


def _mutated(draw: Any, record: Any) -> Any:
    """A record with one value replaced, deleted, moved or added, at a place anywhere in it."""
    places = list(_places(record))
    if not places:
        return record
    owner, key = draw(st.sampled_from(places))
    how = draw(st.sampled_from(["replace", "replace", "near", "delete", "add", "copy"]))
    if how == "replace":
        owner[key] = draw(VALUES)
    elif how == "near" and isinstance(owner[key], int | float) and not isinstance(owner[key], bool):
        owner[key] += draw(st.sampled_from([-1, 1, 0.5, 1000]))
    elif how == "near" and isinstance(owner[key], str):
        owner[key] += draw(ODD_TEXTS)
    elif how == "add" and isinstance(owner, dict):
        owner[draw(TEXT)] = draw(VALUES)
    elif how == "copy":
        other, name = draw(st.sampled_from(places))
        owner[key] = copy.deepcopy(other[name])
    else:
        del owner[key]
    return record


def _places(value: Any) -> Any:
    """Every (container, key) of a JSON value; of long lists only the ends."""
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
        pairs = pairs if len(pairs) < 6 else pairs[:3] + pairs[-2:]
    else:
        return
    for key, inner in pairs:
        yield value, key
        yield from _places(inner)


# --------------------------------------------------------------------------------------------------------------- npz


@st.composite
def array_changes(draw: Any, names: list[str]) -> list[tuple[str, str, Any]]:
    """Changes of a file of predictions: (array, change, argument)."""
    kinds = {
        "dtype": st.sampled_from(["f8", "f2", "c16", "O", "?", "U3", "S2", "M8[s]", "i1", "u8", "i4,f4", ">i4"]),
        "shape": st.sampled_from(["scalar", "empty", "more", "transpose", "long", "short", "fortran"]),
        "value": st.sampled_from([-1, 10**6, 2**31 - 1, 0]),
        "name": st.one_of(st.sampled_from(["prediction/x", "../../x", "rows", "margin/cil_seen", "x\n"]), TEXT),
        "drop": st.none(),
        "header": st.sampled_from(["huge", "negative", "text", "version", "deep"]),
        "archive": st.sampled_from(
            ["stored", "bzip2", "lzma", "twice", "crc", "junk", "npy", "half", "encrypted", "bomb"]
        ),
    }
    changes = []
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from(list(kinds)))
        changes.append((draw(st.sampled_from(names)), kind, draw(kinds[kind])))
    return changes


# -------------------------------------------------------------------------------------------------------------- text

TOML_VALUES = st.one_of(
    st.sampled_from(
        [
            *("true", "[]", "{}", '""', "-1", "0", "inf", "nan", "1e999", "9" * 5000, "1979-05-27", "[[[1]]]"),
            *('"~nouser/x"', '"/dev/zero"', '"/"', '"images/train"', '"\\u0000"', '"a\\nb"', "[" * 2000 + "]" * 2000),
            *(
                "1",
                "2",
                "3",
                "8",
                "0.5",
                '"val"',
                '"official"',
                '"domain-incremental"',
                '"others"',
                '"images"',
                '"a name"',
            ),
            *('["a", 1]', "{a = 1}", '"task-incremental"', '"split-digits"', '"\\u001b[31m"', "0x10", "1_0", "+7"),
        ]
    ),
    st.integers().map(str),
    TEXT.map(json.dumps),
)


@st.composite
def toml_texts(draw: Any, text: str) -> bytes:
    """A TOML file with lines deleted, doubled, moved, given another value or another key, or damaged as bytes."""
    lines = text.splitlines()
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        at = draw(st.integers(0, len(lines) - 1))
        key = lines[at].partition("=")[0].strip()
        how = draw(st.sampled_from(["value", "value", "value", "delete", "double", "move", "key", "text", "table"]))
        if how == "value":
            lines[at] = f"{key} = {draw(TOML_VALUES)}"
        elif how == "delete" and len(lines) > 1:
            del lines[at]
        elif how == "double":
            lines.insert(at, lines[at])
        elif how == "move":
            lines.insert(draw(st.integers(0, len(lines))), lines[at])
        elif how == "key":
            lines[at] = lines[at].replace(key, draw(st.sampled_from(["name", "tasks", "a.b", '"a b"', "size"])), 1)
        elif how == "text":
            lines[at] = draw(TEXT)
        else:
            lines.insert(at, draw(st.sampled_from(["[run]", "[options]", "[[datasets]]", "[a.b]", "[datasets]"])))
    content = "\n".join(lines).encode()
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(content)))
        content = content[:at] + draw(st.binary(max_size=8)) + content[at:]
    return content


_KEYS = ["lr", "epochs", "stream.tasks", "stream.train_per_class", "stream.size", "backbone.image_size", "batch_size"]
_KEYS += ["backbone.normalize", "slca.lr", "ewc.epochs", "milestones", "optimizer", "stream.class_order", "x", ""]
_ODD_VALUES = [
    "1",
    "-1",
    "0",
    "nan",
    "inf",
    "1e400",
    "none",
    "true",
    "[1,2]",
    "[",
    "1,2",
    "1,,2",
    "9" * 5000,
    "1_000",
    "half",
]
_ODD_VALUES += ["[[1],[2]]", "'a'", '"', " ", "1=2", "~nouser", "\x1b[2J", "0.1:0.2", "٣"]
_FLAGS = ["--limit", "--seed", "--order-seed", "--few-shot", "--setting", "--max-tasks", "--precision", "--device"]
_FLAGS += ["--backbone", "--stream", "-s", "--preset", "--threads", "--checkpoint-every", "--logger", "--results"]


@st.composite
def option_lists(draw: Any) -> tuple[list[str], str]:
    """Odd arguments of `clbench run`, and a value of CLBENCH_SET."""
    value = st.one_of(
        st.sampled_from(["1", "2", "3", "4", "0.5"]), st.sampled_from(_ODD_VALUES), TEXT, ODD_NUMBERS.map(repr)
    )
    pair = st.tuples(st.one_of(st.sampled_from(_KEYS), TEXT), value).map("=".join)
    arguments: list[str] = []
    for _ in range(draw(st.integers(1, 2))):
        if draw(st.integers(0, 2)):
            arguments += ["--set", draw(st.one_of(pair, pair, TEXT))]
        else:
            arguments += [draw(st.sampled_from(_FLAGS)), draw(value)]
    return arguments, draw(st.one_of(st.just(""), st.just(""), pair, TEXT))


# ------------------------------------------------------------------------------------------------------------- images

_CLASSES = [
    "cat",
    "dog",
    "Ärger",
    "A\u0308rger",
    ".hidden",
    "__MACOSX",
    "-x",
    "a'b",
    "train",
    "x" * 200,
    "new\nline",
    "\udcff",
]
_NAMES = [
    "0.png",
    "1.PNG",
    "ä.png",
    ".png",
    ".h.png",
    "a b.jpg",
    "0.jpeg",
    "x.txt",
    "Thumbs.db",
    "labels.csv",
    "\udcfe.png",
]
FORMS = [
    *("RGB", "RGB", "RGB", "L", "LA", "P", "1", "I;16", "I", "F", "CMYK", "RGBA", "one pixel", "thin", "gif", "bmp"),
    *("empty", "cut", "text", "bomb", "link", "dangling", "cycle", "fifo", "folder", "hard link", "no access", "same"),
]
LAYOUTS = [
    "flat",
    "train/test",
    "Train/Test",
    "train/val",
    "training/validation",
    "train",
    "train/test/val",
    "deep",
    "bare",
]


@st.composite
def trees(draw: Any) -> tuple[str, list[tuple[str, str, str]]]:
    """A layout, and files of a folder of images: (class, name, form)."""
    file = st.tuples(
        st.one_of(st.sampled_from(_CLASSES[:2]), st.sampled_from(_CLASSES)),
        st.one_of(st.integers(0, 30).map("{}.png".format), st.sampled_from(_NAMES)),
        st.sampled_from(FORMS),
    )
    normal = [(name, f"{index}.png", "RGB") for name in ("cat", "dog") for index in range(3)]
    return draw(st.sampled_from(LAYOUTS)), [*(normal if draw(st.booleans()) else []), *draw(st.lists(file, max_size=8))]
