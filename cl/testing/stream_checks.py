"""Checks of a stream: numbering by position, disjoint groups, true fingerprints, one identity."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from cl.data.store import ImageStore, IndexArray, TagArray, pixel_hashes
from cl.errors import ContractError, UsageError, counted
from cl.family import argument_of, family_of, make_stream
from cl.options import options_of, split_keys
from cl.protocol import DOMAIN
from cl.settings import resolve_stream, transform
from cl.stream import Evaluate, Stream, Train
from cl.testing.report import CheckFailure, CheckSkipped

SEEDS = (7, 9)
SHARED = 0.01
"""Share of the test images that may be found among the training images: real datasets hold a few duplicates."""


class Subject:
    """A stream under examination: a registered name with options, or a built stream."""

    def __init__(self, stream: str | Stream, options: Mapping[str, Any]) -> None:
        self.name = stream if isinstance(stream, str) else stream.name
        self._built = None if isinstance(stream, str) else stream
        if self._built is not None:
            return
        argument_of(self.name)  # a prefix family needs one
        self.family = family_of(self.name)
        sections = split_keys(options)
        if wrong := [key for key in ("", "backbone") if sections.get(key)]:
            raise UsageError(f"A stream takes options such as stream.tasks=5, not {sorted(sections[wrong[0]])}.")
        self.options = dict(sections.get("stream", {}))

    def build(self, order_seed: int = SEEDS[0], data_seed: int = SEEDS[1], **more: Any) -> Stream:
        """Build the stream again; raises `CheckSkipped` for a stream that was given built."""
        if self._built is not None:
            raise CheckSkipped("the stream was given built; check its registered name.")
        options, transforms, _ = resolve_stream(self.family.Options, [("check", {**self.options, **more})])
        stream = make_stream(self.name, options, order_seed=order_seed, data_seed=data_seed)
        return transform(stream, transforms, data_seed)

    @cached_property
    def stream(self) -> Stream:
        return self._built if self._built is not None else self.build()


def documented(subject: Subject) -> None:
    """The family says what it is, and its dataset says its licence and whom to cite."""
    dataset = subject.stream.dataset
    for what in ("licence", "citation"):
        if not getattr(dataset, what).strip() and not subject.name.startswith("folder:"):
            raise CheckFailure(f"the dataset {dataset.name!r} names no {what}.", f"pass {what}=... to Dataset.")
    if subject._built is None:
        if not (subject.family.__doc__ or "").strip():
            raise CheckFailure(f"{subject.family.__name__} has no docstring.", "say in its first line what it is.")
        for key, info in options_of(subject.family.Options).items():
            if not info.help:
                raise CheckFailure(f"option {key!r} has no help text.", "declare it as cl.option(default, help).")


def fingerprints(subject: Subject) -> None:
    """Images are uint8 in canonical order, and fingerprints match their content."""
    dataset = subject.stream.dataset
    for split, store in (("train", dataset.train), ("test", dataset.test)):
        true = ImageStore.from_arrays(np.asarray(store.pixels), np.asarray(store.labels))
        if not np.array_equal(true.pixels, store.pixels) or not np.array_equal(true.labels, store.labels):
            raise CheckFailure(
                f"{split} images are not in canonical order.", "make stores with ImageStore.from_arrays."
            )
        if true.fingerprint != store.fingerprint:
            raise CheckFailure(
                f"the {split} fingerprint is {store.fingerprint[:12]}..., its content's is {true.fingerprint[:12]}....",
                "make stores with ImageStore.from_arrays.",
            )


def classes(subject: Subject) -> None:
    """Positions number the classes in the order in which they first appear, and class names fit."""
    stream = subject.stream
    names, order = stream.dataset.class_names, np.asarray(stream.class_order)
    if len(set(names)) != len(names):
        raise CheckFailure(f"class names repeat: {_repeated(names)}.", "give every class a name of its own.")
    if len(set(order.tolist())) != len(order) or not set(order.tolist()) <= set(range(len(names))):
        raise CheckFailure("class_order is no list of different labels of the dataset.", "list each class once.")
    known = 0
    for index, experience in enumerate(stream.experiences):
        new = sorted(position for position in experience.classes if position >= known)
        if new != list(range(known, known + len(new))):
            raise CheckFailure(
                f"experience {index} brings classes {new} when {known} are known.",
                "number classes by first appearance: class_order[position] is the dataset's label.",
            )
        known += len(new)
    if known != len(order):
        raise CheckFailure(f"{len(order)} classes are declared, {known} appear.", "leave others out of class_order.")


def experiences(subject: Subject) -> None:
    """Every experience holds images of all its classes and of no other; held-out images are never trained on."""
    stream = subject.stream
    store, trained = stream.dataset.train, np.zeros(len(stream.dataset.train), dtype=bool)
    for index, experience in enumerate(stream.experiences):
        for what, rows in (("train", experience.train), ("val", experience.val)):
            _check_rows(rows, store, f"experience {index}, {what}")
        found = set(np.unique(stream.positions[store.labels[experience.train]]).tolist())
        if experience.tags is not None:  # a limit may leave a class without images
            _check_tags(experience.tags, experience.train, experience.classes, f"experience {index}, train")
            _check_tags(experience.val_tags, experience.val, experience.classes, f"experience {index}, val")
            wrong = found - set(experience.classes)
        else:
            wrong = found ^ set(experience.classes)
        if wrong:
            raise CheckFailure(
                f"experience {index} declares classes {_some(experience.classes)} and holds {_some(sorted(found))}.",
                "declare the positions of the classes that its training images have.",
            )
        trained[experience.train] = True
    for index, experience in enumerate(stream.experiences):
        if trained[experience.val].any():
            raise CheckFailure(
                f"{int(trained[experience.val].sum())} validation images of experience {index} are trained on.",
                "split the rows of a class once, before they go to experiences.",
            )


def groups(subject: Subject) -> None:
    """Groups are disjoint, hold held-out images of their own classes, and name the task that completes them."""
    stream = subject.stream
    if repeated := _repeated([group.name for group in stream.groups]):
        raise CheckFailure(f"group names repeat: {repeated}.", "give every group a name of its own.")
    if not len(stream.test_rows(range(len(stream.groups)), stream.split)[0]):
        raise CheckFailure(f"no group has {stream.split} images.", "evaluate a split that has some.")
    trained = np.concatenate([experience.train for experience in stream.experiences])
    owners: dict[str, dict[int, str]] = {}
    for group in stream.groups:
        if not len(group.rows.get("test", ())):
            raise CheckFailure(f"group {group.name!r} has no test images.", "leave empty groups out.")
        for split, rows in group.rows.items():
            store = stream.store(split)
            _check_rows(rows, store, f"group {group.name!r}, {split}")
            if group.tags is not None:
                _check_tags(group.tags.get(split), rows, group.classes, f"group {group.name!r}, {split}")
            wrong = set(stream.positions[store.labels[rows]].tolist()) - set(group.classes)
            if wrong:
                raise CheckFailure(
                    f"group {group.name!r} holds images of classes {_some(sorted(wrong))}.", "list them."
                )
            if store is stream.dataset.train and (learned := np.intersect1d(rows, trained)).size:
                raise CheckFailure(
                    f"{learned.size} {split} images of group {group.name!r} are trained on.",
                    "hold out images before they go to experiences.",
                )
            held = owners.setdefault(split, {})
            for row in rows.tolist():
                if row in held:
                    raise CheckFailure(
                        f"{split} image {row} is in the groups {held[row]!r} and {group.name!r}.",
                        "groups are columns of one matrix: give each image to one of them.",
                    )
                held[row] = group.name
        true = _complete_after(stream, group.classes)
        if true is not None and group.task < true:
            raise CheckFailure(
                f"group {group.name!r} says it is learned after experience {group.task}; its classes are seen after "
                f"{true}.",
                "set task to the first experience after which all its classes were seen.",
            )


def train_and_test_apart(subject: Subject) -> None:
    """Test images are not training images under another name."""
    stream = subject.stream
    rows = np.unique(np.concatenate([experience.train for experience in stream.experiences]))
    known = set(pixel_hashes(stream.dataset.train.pixels[rows]).tolist())
    tested = stream.test_rows(range(len(stream.groups)))[0]
    hashes = pixel_hashes(stream.dataset.test.pixels[tested])
    shared = sum(value in known for value in hashes.tolist())
    if shared > SHARED * len(tested):
        raise CheckFailure(
            f"{shared} of {len(tested)} test images are training images, pixel for pixel.",
            "split the dataset before images go to experiences and groups.",
        )


def events(subject: Subject) -> None:
    """Events learn every experience once, in order, and evaluate groups that exist; the end is evaluated."""
    stream = subject.stream
    learned = [event.experience for event in stream.events if isinstance(event, Train)]
    if learned != list(range(len(stream.experiences))):
        raise CheckFailure(f"the events learn experiences {_some(learned)}.", "learn 0, 1, 2, ... once each.")
    last: set[int] = set()
    for event in stream.events:
        if isinstance(event, Train):
            last = set()
            continue
        if isinstance(event, Evaluate):
            stream.test_rows(event.groups, event.split)  # names a group or a split that does not exist
            last |= set(event.groups)
    if last != set(range(len(stream.groups))):
        missing = sorted(set(range(len(stream.groups))) - last)
        raise CheckFailure(
            f"groups {_some(missing)} are not evaluated after the last experience.", "end with Evaluate(all groups)."
        )


def identity(subject: Subject) -> None:
    """Built twice it is the same stream; test images do not depend on any seed."""
    first, second = subject.stream, subject.build()
    if first.id != second.id or json.dumps(first.identity) != json.dumps(second.identity):
        raise CheckFailure("built twice with the same seeds it has two identities.", "draw from the given seeds only.")
    for one, two in zip(first.experiences, second.experiences, strict=True):
        if not np.array_equal(one.train, two.train) or not np.array_equal(one.val, two.val):
            raise CheckFailure(
                "built twice with the same seeds it has other training rows under the same identity.",
                "draw from the given seeds only.",
            )
    other = subject.build(order_seed=SEEDS[0] + 1, data_seed=SEEDS[1] + 1)
    if not np.array_equal(_tested(first), _tested(other)):
        raise CheckFailure("other seeds test on other images.", "fix the test split; seeds are for order and batches.")
    if other.id == first.id and any(
        not np.array_equal(one.train, two.train) for one, two in zip(first.experiences, other.experiences, strict=True)
    ):
        raise CheckFailure(
            "other seeds give other experiences under the same identity.",
            "put what a seed decides into the stream's options or `comparable`.",
        )


def views(subject: Subject) -> None:
    """Views give copies of training images, say which classes they hold, and give nothing once revoked."""
    stream = subject.stream
    view = stream.view(0)
    pixels = view.train.pixels([0])
    if str(pixels.dtype) != "torch.uint8" or pixels.ndim != 4:
        raise CheckFailure(f"pixels are {pixels.dtype} {list(pixels.shape)}.", "images are uint8 [B, C, H, W].")
    before = pixels.clone()
    pixels.fill_(0)
    if not bool((view.train.pixels([0]) == before).all()):
        raise CheckFailure("writing to the pixels of a view changes the stream.", "ImageSet.pixels returns a copy.")
    view.revoke()
    try:
        view.train.pixels([0])
    except ContractError:
        return
    raise CheckFailure("a revoked view still gives pixels.", "build views with Stream.view.")


def limits(subject: Subject) -> None:
    """`--limit` bounds the images per class, or the stream has no such option."""
    if subject._built is None and "train_per_class" not in options_of(subject.family.Options):
        raise CheckSkipped("cannot be limited.")
    stream = subject.build(train_per_class=2, test_per_class=1)
    rows = np.concatenate([experience.train for experience in stream.experiences])
    most = int(np.bincount(stream.positions[stream.dataset.train.labels[np.unique(rows)]]).max())
    tested = stream.positions[stream.dataset.test.labels[stream.test_rows(range(len(stream.groups)))[0]]]
    domains = len(stream.groups) if stream.setting.endswith(DOMAIN) else 1  # the limit is per class and domain
    if most > 2 * domains or int(np.bincount(tested).max()) > domains:
        raise CheckFailure(
            f"with 2 training and 1 test image per class asked for, a class has {most} and "
            f"{int(np.bincount(tested).max())}.",
            "use the options train_per_class and test_per_class, as cl.settings.class_incremental does.",
        )


ALL = (
    documented, fingerprints, classes, experiences, groups, train_and_test_apart, events, identity, views, limits,
)  # fmt: skip
"""The checks, in the order in which they run."""


def _check_rows(rows: IndexArray, store: ImageStore, where: str) -> None:
    if len(rows) and not (int(rows.min()) >= 0 and int(rows.max()) < len(store)):
        raise CheckFailure(f"{where}: rows are outside the {len(store)} images.", "count rows in stream.store(split).")
    if len(np.unique(rows)) != len(rows):
        raise CheckFailure(
            f"{where}: {counted(len(rows) - len(np.unique(rows)), 'row')} listed twice.", "list each row once."
        )


def _check_tags(tags: TagArray | None, rows: IndexArray, classes: tuple[int, ...], where: str) -> None:
    if (tags is None and len(rows)) or (tags is not None and tags.shape != (len(rows), len(classes))):
        found = None if tags is None else list(tags.shape)
        raise CheckFailure(
            f"{where}: its tags are {found} for {len(rows)} images of {len(classes)} classes.",
            "give a row for each image and a column for each class.",
        )


def _complete_after(stream: Stream, wanted: tuple[int, ...]) -> int | None:
    seen: set[int] = set()
    for index, experience in enumerate(stream.experiences):
        seen |= set(experience.classes)
        if set(wanted) <= seen:
            return index
    return None


def _tested(stream: Stream) -> IndexArray:
    return np.sort(stream.test_rows(range(len(stream.groups)))[0])


def _repeated(names: Any) -> list[str]:
    return sorted({name for name in names if list(names).count(name) > 1})


def _some(values: Any) -> str:
    values = list(values)
    return f"{values[:6]}{' ...' if len(values) > 6 else ''}"
