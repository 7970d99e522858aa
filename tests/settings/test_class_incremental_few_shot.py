"""Few-shot class-incremental streams: all images of the base classes, a few of every later class."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from cl.data.store import Dataset, ImageStore
from cl.errors import DataError, UsageError
from cl.options import options_of
from cl.plan.plan import make_plan
from cl.protocol import FEW_SHOT
from cl.settings.class_incremental import IncrementalOptions, class_incremental, few_rows, with_defaults
from cl.stream import Stream
from cl.streams.digits import SplitDigits
from cl.testing import check_stream

ROWS = "baefd6e3380d8cfd"

IDENTITY = "9641f44c92de20f5"


def digits(seed: int = 1993, **options: Any) -> Stream:
    return SplitDigits().build(IncrementalOptions(**{"shots": 5, **options}), order_seed=seed, data_seed=seed)


def digest(stream: Stream) -> str:
    rows = [experience.train.astype("<i8").tobytes() for experience in stream.experiences]
    return hashlib.sha256(b"".join(rows)).hexdigest()[:16]


def per_class(stream: Stream, experience: int) -> list[int]:
    rows, classes = stream.experiences[experience].train, stream.experiences[experience].classes
    return [int((stream.positions[stream.dataset.train.labels[rows]] == position).sum()) for position in classes]


def toy(per_class: int = 8, classes: int = 10, **options: Any) -> Stream:
    labels = np.repeat(np.arange(classes), per_class)
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 2, 2, 1), np.uint8)
    store = ImageStore.from_arrays(pixels, labels)
    data = Dataset("toy", store, store, tuple(map(str, range(classes))), origin="test")
    chosen = with_defaults(IncrementalOptions(**{"shots": 5, **options}), classes, increment=2)
    return class_incremental(data, chosen, name="toy", version="1", order_seed=0, data_seed=0)


@pytest.mark.parametrize(
    ("n", "options", "base", "increment"),
    [
        (100, {}, 60, 5),  # CIFAR-100: 60 + 8 x 5
        (200, {}, 120, 10),
        (200, {"base": 100, "increment": 10}, 100, 10),  # CUB-200: 100 + 10 x 10
        (200, {"base": 100}, 100, 13),
        (10, {}, 6, 1),
        (10, {"increment": 2}, 6, 2),
    ],
)
def test_sixty_percent_first_then_eight_tasks(n: int, options: dict[str, int], base: int, increment: int) -> None:
    chosen = with_defaults(IncrementalOptions(shots=5, **options), n, increment=10)  # type: ignore[arg-type]
    assert (chosen.base, chosen.increment, chosen.tasks) == (base, increment, None)


def test_without_shots_nothing_changes() -> None:
    assert with_defaults(IncrementalOptions(), 100, increment=10) == IncrementalOptions(increment=10)
    plain = SplitDigits().build(IncrementalOptions(), order_seed=1993, data_seed=1993)
    assert plain.setting == "class-incremental"
    assert "shots" not in plain.options and not [key for key in plain.identity["options"] if "shots" in key]
    assert "stream.shots" not in make_plan("simplecil", "split-digits").values
    # records from before there were shots keep their place
    assert make_plan("simplecil", "split-cifar100").config_hash == "e0220a18"


def test_base_classes_keep_all_images_and_others_have_five() -> None:
    stream = digits(increment=2)
    labels = stream.dataset.train.labels
    assert [len(experience.classes) for experience in stream.experiences] == [6, 2, 2]
    assert per_class(stream, 0) == [int((labels == label).sum()) for label in stream.class_order[:6]]
    assert per_class(stream, 1) == per_class(stream, 2) == [5, 5]
    plain = SplitDigits().build(IncrementalOptions(base=6, increment=2), order_seed=1993, data_seed=1993)
    for few, all_of_them in zip(stream.experiences, plain.experiences, strict=True):
        assert set(few.train) <= set(all_of_them.train)
    for few_group, group in zip(stream.groups, plain.groups, strict=True):
        assert np.array_equal(few_group.rows["test"], group.rows["test"])  # tested on all images


def test_shots_are_drawn_by_the_data_seed_alone_and_fewer_are_a_part_of_more() -> None:
    def build(order: int, data: int, shots: int = 5) -> Stream:
        options = IncrementalOptions(shots=shots, order="natural", increment=2)
        return SplitDigits().build(options, order_seed=order, data_seed=data)

    first = build(1, 1)
    assert digest(first) == digest(build(2, 1)) != digest(build(1, 2))
    assert np.array_equal(first.experiences[0].train, build(1, 2).experiences[0].train)
    assert set(build(1, 1, 1).experiences[1].train) < set(first.experiences[1].train)
    rows = np.arange(100, 120)
    assert set(few_rows(rows, 3, 7, 0)) < set(few_rows(rows, 5, 7, 0)) < set(rows)


def test_the_identity_says_shots_and_their_seed() -> None:
    stream = digits()
    assert stream.setting == stream.identity["setting"] == FEW_SHOT == "few-shot class-incremental"
    assert stream.options["shots"] == 5 and stream.options["base"] == 6
    assert stream.identity["options"]["shots"] == 5 and stream.identity["options"]["shots_seed"] == 1993
    asked = digits(base=6, increment=1)  # another way of asking for the same
    assert asked.id == stream.id and asked.options == stream.options
    assert len({stream.id, digits(shots=1).id, digits(increment=2).id, digits(7).id}) == 4


def test_the_split_is_the_same_in_every_process_and_for_ever() -> None:
    stream = digits()
    assert (digest(stream), stream.id[:16]) == (ROWS, IDENTITY)
    code = (
        "from cl.streams.digits import SplitDigits as S\n"
        "s = S().build(S.Options(shots=5), order_seed=1993, data_seed=1993)\n"
        "print(s.id[:16], *[row for experience in s.experiences for row in experience.train])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    rows = [str(row) for experience in stream.experiences for row in experience.train]
    assert shown.stdout.split() == [IDENTITY, *rows], shown.stderr


def test_only_base_classes_are_validated_on() -> None:
    stream = digits(val_fraction=0.1, increment=2)
    assert len(stream.experiences[0].val) and not set(stream.experiences[0].val) & set(stream.experiences[0].train)
    assert [len(experience.val) for experience in stream.experiences[1:]] == [0, 0]
    assert stream.view(0).val is not None and stream.view(1).val is None
    assert per_class(stream, 1) == [5, 5]
    # held out or not, the same few images
    assert np.array_equal(stream.experiences[1].train, digits(increment=2).experiences[1].train)


@pytest.mark.parametrize("options", [{}, {"base": 5, "tasks": 4, "shots": 2}, {"val_fraction": 0.2, "increment": 2}])
def test_few_shot_streams_pass_every_check(options: dict[str, Any]) -> None:
    settings = {"stream.shots": 5, **{f"stream.{key}": value for key, value in options.items()}}
    check_stream("split-digits", options=settings)


def test_what_cannot_be_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="shots=5 needs classes after the first task; choose a base below the 10"):
        digits(base=10)
    with pytest.raises(DataError, match=r"Class '\d' of toy has 4 training images, fewer than shots=5"):
        toy(4)
    assert per_class(toy(4, train_per_class=3), 1) == [3]  # --limit goes first
    assert per_class(toy(5), 1) == [5]
    with pytest.raises(UsageError, match="shots must be at least 1, not 0"):
        make_plan("simplecil", "split-digits", options={"stream.shots": 0})


def test_few_shot_is_short_for_an_option() -> None:
    plan = make_plan("simplecil", "split-cifar100", few_shot=True)
    assert plan.stream_options.shots == 5 and plan.values["stream.shots"].origin == "--few-shot"
    same = make_plan("simplecil", "split-cifar100", options={"stream.shots": 5})
    assert plan.config_hash == same.config_hash != make_plan("simplecil", "split-cifar100").config_hash
    one = make_plan("simplecil", "split-cifar100", few_shot=True, options={"stream.shots": 1, "stream.base": 50})
    assert (one.stream_options.shots, one.stream_options.base) == (1, 50)
    assert options_of(IncrementalOptions)["shots"].unlisted
