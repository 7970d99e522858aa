"""Permuted and rotated digits: domain-incremental streams that run anywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.protocol import DOMAIN
from cl.settings import SettingOptions, transform
from cl.stream import Stream
from cl.streams.digits import digits
from cl.streams.domains import PermutedDigits, RotatedDigits
from cl.testing import check_stream


def build(family: Any, seed: int = 0, **options: Any) -> Stream:
    return family().build(family.Options(**options), order_seed=seed, data_seed=seed)


@pytest.mark.parametrize("family", [PermutedDigits, RotatedDigits])
def test_every_domain_holds_all_digits_once(family: Any) -> None:
    stream = build(family, tasks=3)
    check_stream(stream)
    assert stream.setting == DOMAIN == family.setting_of(family.Options())
    assert [experience.classes for experience in stream.experiences] == [tuple(range(10))] * 3
    assert [len(experience.train) for experience in stream.experiences] == [1347] * 3
    assert [len(group.rows["test"]) for group in stream.groups] == [450] * 3
    held = build(family, tasks=2, val_fraction=0.1)
    assert [len(e.val) for e in held.experiences] == [135] * 2 and held.id != build(
        family, 5, tasks=2, val_fraction=0.1
    ).id
    assert stream.id == build(family, seed=5, tasks=3).id  # the seeds of a run change nothing
    few = build(family, tasks=2, train_per_class=4, test_per_class=2)
    assert [len(e.train) for e in few.experiences] == [40] * 2 and [len(g.rows["test"]) for g in few.groups] == [20] * 2


def domain(stream: Stream, task: int) -> np.ndarray:
    return stream.dataset.train.pixels[stream.experiences[task].train]


def test_a_permutation_moves_pixels_and_the_first_moves_none() -> None:
    stream = build(PermutedDigits, tasks=3)
    assert {image.tobytes() for image in domain(stream, 0)} == {image.tobytes() for image in digits().train.pixels}
    spread = [np.sort(domain(stream, task).reshape(-1, 64), 1) for task in range(3)]
    values = [sorted(map(bytes, each)) for each in spread]
    assert values[0] == values[1] == values[2]
    means = [domain(stream, task).mean(0) for task in range(3)]
    assert all(not np.array_equal(means[0], other) for other in means[1:])
    assert build(PermutedDigits, tasks=3, domain_seed=1).id != stream.id


def test_rotations_turn_the_digits() -> None:
    stream = build(RotatedDigits, tasks=2)
    upright, turned = (domain(stream, task).mean(0)[..., 0] for task in range(2))
    assert [group.name for group in stream.groups] == ["0 degrees", "90 degrees"]
    assert np.abs(np.rot90(upright) - turned).mean() < 2 < np.abs(upright - turned).mean()


def test_known_permutations_so_that_records_stay_comparable_between_versions() -> None:
    assert build(PermutedDigits).dataset.fingerprints["test"][:16] == "c085ecb01a5cb3de"


def test_domains_may_come_online_but_are_not_blurred() -> None:
    stream = transform(build(RotatedDigits, tasks=2, train_per_class=3), SettingOptions(setting=("online",)), 0)
    check_stream(stream)
    assert stream.setting == "online domain-incremental" and len(stream.experiences) == 6


def test_plans_know_the_setting() -> None:
    assert make_plan("simplecil", "rotated-digits").stream == "rotated-digits"
    with pytest.raises(UsageError, match="domain-incremental, which wsn"):
        make_plan("wsn", "permuted-digits")
