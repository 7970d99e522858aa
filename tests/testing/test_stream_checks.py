"""`check_stream` passes the built-in streams and catches one deliberately broken stream per check."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cl import registry
from cl.data.store import Dataset, ImageStore
from cl.errors import UsageError
from cl.options import option
from cl.settings.class_incremental import IncrementalOptions, class_incremental
from cl.stream import Evaluate, ImageSet, Stream, Train, View
from cl.testing import STREAM_CHECKS, check_stream, examine_stream, parametrize_with_stream_checks
from tests.help.image_folders import tree

NAMES = ("ant", "bee", "cat", "dog")


def dataset(**changes: Any) -> Dataset:
    """Four classes of noise, 6 training and 4 test images each."""
    rng = np.random.default_rng(0)

    def store(per_class: int) -> ImageStore:
        pixels = rng.integers(0, 256, (4 * per_class, 8, 8, 3), dtype=np.uint8)
        return ImageStore.from_arrays(pixels, np.repeat(np.arange(4), per_class))

    values = {"name": "noise", "train": store(6), "test": store(4), "class_names": NAMES, "origin": "made here"}
    return Dataset(**{**values, "licence": "CC0", "citation": "none", **changes})


class Noise:
    """Noise in two tasks of two classes."""

    Options = IncrementalOptions
    version = "1"

    def build(self, options: Any, *, order_seed: int, data_seed: int, argument: str = "", progress: Any = None) -> Any:
        return self.change(self.incremental(options, order_seed, data_seed), order_seed, data_seed)

    def incremental(self, options: Any, order_seed: int, data_seed: int, data: Dataset | None = None) -> Stream:
        chosen = dataclasses.replace(options, tasks=options.tasks or 2)
        return class_incremental(
            data or dataset(), chosen, name="noise", version="1", order_seed=order_seed, data_seed=data_seed
        )

    def change(self, stream: Stream, order_seed: int, data_seed: int) -> Stream:
        return stream


def first(stream: Stream, **changes: Any) -> Stream:
    """The stream with another first experience."""
    return dataclasses.replace(
        stream, experiences=(dataclasses.replace(stream.experiences[0], **changes), *stream.experiences[1:])
    )


def first_group(stream: Stream, **changes: Any) -> Stream:
    return dataclasses.replace(stream, groups=(dataclasses.replace(stream.groups[0], **changes), *stream.groups[1:]))


def with_data(stream: Stream, **changes: Any) -> Stream:
    return dataclasses.replace(stream, dataset=dataclasses.replace(stream.dataset, **changes))


def unsorted(stream: Stream, *_: int) -> Stream:
    train = stream.dataset.train
    pixels = train.pixels[np.r_[1, 0, 2 : len(train)]]
    return with_data(stream, train=ImageStore(pixels, train.labels, train.fingerprint))


def false_fingerprint(stream: Stream, *_: int) -> Stream:
    test = stream.dataset.test
    return with_data(stream, test=ImageStore(test.pixels, test.labels, "0" * 64))


def other_seed_other_rows(stream: Stream, order_seed: int, data_seed: int) -> Stream:
    rows = stream.experiences[0].train
    return first(stream, train=np.sort(np.random.default_rng(data_seed).permutation(rows)[:10]))


def seed_decides_the_test(stream: Stream, order_seed: int, data_seed: int) -> Stream:
    rows = stream.groups[0].rows["test"]
    return first_group(stream, rows={"test": np.sort(np.random.default_rng(data_seed).permutation(rows)[:4])})


def random_rows(stream: Stream, *_: int) -> Stream:
    rows = stream.experiences[0].train
    return first(stream, train=np.sort(np.random.default_rng().permutation(rows)[:8]))


def leaky(stream: Stream, *_: int) -> Stream:
    train, test = stream.dataset.train, stream.dataset.test
    pixels = np.array(train.pixels)
    pixels[train.labels == 0] = np.resize(test.pixels[test.labels == 0], pixels[train.labels == 0].shape)
    return with_data(stream, train=ImageStore.from_arrays(pixels, train.labels))


class Alive(Stream):
    """Its views do not die."""

    def view(self, experience: int, *, past: bool = False) -> View:
        class Immortal(ImageSet):
            def revoke(self) -> None:
                pass

        view = super().view(experience, past=past)
        return dataclasses.replace(view, train=Immortal(view.train.store, view.train.rows, view.train.labels.numpy()))


class Writable(Stream):
    """Its views hand out the store's own pixels."""

    def view(self, experience: int, *, past: bool = False) -> View:
        held = torch.zeros(4, 3, 8, 8, dtype=torch.uint8) + 7

        class Open(ImageSet):
            def pixels(self, index: Any) -> Any:
                return held[:1]

        view = super().view(experience, past=past)
        return dataclasses.replace(view, train=Open(view.train.store, view.train.rows, view.train.labels.numpy()))


def become(kind: type[Stream]) -> Callable[..., Stream]:
    def change(stream: Stream, *_: int) -> Stream:
        return kind(**{field.name: getattr(stream, field.name) for field in dataclasses.fields(stream)})

    return change


def drop_last_evaluation(stream: Stream, *_: int) -> Stream:
    return dataclasses.replace(stream, events=(*stream.events[:-1], Evaluate((1,))))


def learn_backwards(stream: Stream, *_: int) -> Stream:
    return dataclasses.replace(stream, events=(Train(1), Train(0), Evaluate((0, 1))))


BROKEN: dict[str, tuple[str, str, Callable[..., Stream]]] = {
    "no licence": ("documented", "names no licence", lambda s, *_: with_data(s, licence=" ")),
    "unsorted": ("fingerprints", "not in canonical order", unsorted),
    "false fingerprint": ("fingerprints", "the test fingerprint is", false_fingerprint),
    "same names": ("classes", "class names repeat", lambda s, *_: with_data(s, class_names=("a", "a", "b", "c"))),
    "numbering": ("classes", "brings classes [2, 3]", lambda s, *_: dataclasses.replace(
        s, experiences=s.experiences[::-1])),
    "missing class": ("experiences", "declares classes [0, 1] and holds [0]", lambda s, *_: first(
        s, train=s.experiences[0].train[s.positions[s.dataset.train.labels[s.experiences[0].train]] == 0])),
    "row twice": ("experiences", "1 row listed twice", lambda s, *_: first(
        s, train=np.r_[s.experiences[0].train, s.experiences[0].train[:1]])),
    "validation trained on": ("experiences", "3 validation images of experience 0", lambda s, *_: first(
        s, val=s.experiences[0].train[:3])),
    "shared image": ("groups", "is in the groups", lambda s, *_: dataclasses.replace(
        s, groups=(s.groups[0], dataclasses.replace(s.groups[0], name="again")))),
    "wrong class": ("groups", "holds images of classes [1]", lambda s, *_: first_group(s, classes=(0,))),
    "too early": ("groups", "are seen after 1", lambda s, *_: dataclasses.replace(
        s, groups=(s.groups[0], dataclasses.replace(s.groups[1], task=0)))),
    "leak": ("train-and-test-apart", "4 of 16 test images", leaky),
    "never finally tested": ("events", "groups [0] are not evaluated", drop_last_evaluation),
    "backwards": ("events", "learn experiences [1, 0]", learn_backwards),
    "unseeded": ("identity", "other training rows under the same identity", random_rows),
    "seed unsaid": ("identity", "other experiences under the same identity", other_seed_other_rows),
    "test by seed": ("identity", "other seeds test on other images", seed_decides_the_test),
    "immortal": ("views", "revoked view still gives pixels", become(Alive)),
    "writable": ("views", "changes the stream", become(Writable)),
    "unlimited": ("limits", "a class has 6", lambda s, *_: Noise().incremental(IncrementalOptions(), 0, 0)),
}  # fmt: skip


def test_every_check_has_its_broken_stream() -> None:
    assert {check for check, _, _ in BROKEN.values()} == set(STREAM_CHECKS)


def register(change: Callable[..., Stream]) -> None:
    class Family(Noise):
        __doc__ = Noise.__doc__

        def change(self, stream: Stream, order_seed: int, data_seed: int) -> Stream:
            return change(stream, order_seed, data_seed)

    registry.streams.register("noise", Family)


@pytest.fixture(autouse=True)
def _forget() -> Any:
    yield
    registry.streams.unregister("noise")


@pytest.mark.parametrize("name", BROKEN)
def test_each_break_is_caught_by_its_check(name: str) -> None:
    check, message, change = BROKEN[name]
    register(change)
    (outcome,) = examine_stream("noise", only=[check]).outcomes
    assert outcome.status == "failed" and message in outcome.found and outcome.fix, outcome


def test_a_good_stream_passes_every_check() -> None:
    register(lambda stream, *_: stream)
    check_stream("noise")
    check_stream("noise", options={"stream.tasks": 4, "stream.evaluate_on": "all", "stream.val_fraction": 0.5})
    report = examine_stream(Noise().incremental(IncrementalOptions(), 3, 3))
    assert not report.failures
    assert {o.check for o in report.outcomes if o.status == "skipped"} == {"identity", "limits"}


@parametrize_with_stream_checks(["split-digits"])
def test_built_in_streams_keep_the_contract(check: Callable[[], None]) -> None:
    check()


def test_a_folder_of_images_keeps_the_contract(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in NAMES:
        (tmp_path / name).mkdir()
        for index in range(5):
            Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(tmp_path / name / f"{index}.png")
    check_stream(f"folder:{tmp_path}", options={"stream.size": 8})


def test_options_of_something_else_are_refused() -> None:
    with pytest.raises(UsageError, match=r"A stream takes options such as stream.tasks=5, not \['lr'\]"):
        examine_stream("split-digits", options={"lr": 1})
    with pytest.raises(UsageError, match="There is no stream 'split-digit'"):
        examine_stream("split-digit")


def test_an_option_without_help_is_caught() -> None:
    @dataclass(frozen=True)
    class Options(IncrementalOptions):
        secret: int = option(1, "")

    class Family(Noise):
        """Noise."""

    Family.Options = Options
    registry.streams.register("noise", Family)
    (outcome,) = examine_stream("noise", only=["documented"]).outcomes
    assert "option 'secret' has no help text" in outcome.found


def test_a_stream_without_its_file_is_one_error_and_remarks_are_reported(tmp_path: Path) -> None:
    for name in (f"{tmp_path}/missing.toml", f"folder:{tmp_path}/missing"):
        with pytest.raises(UsageError, match="There is no"):
            examine_stream(name)
    tree(tmp_path / "images", {"a": 4, "b": 4})
    (tmp_path / "images" / "a" / "notes.txt").touch()
    report = examine_stream(f"folder:{tmp_path}/images", options={"stream.size": 8}, only=["documented"])
    assert report.remarks == ("Left out: 1 file (1 .txt).",)
