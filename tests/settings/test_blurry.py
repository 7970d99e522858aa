"""Blurry streams: how many classes are blurred, how many images move, what is tested."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cl.errors import UsageError
from cl.settings.blurry import i_blurry, si_blurry
from cl.settings.online import online
from cl.stream import Evaluate
from cl.testing import check_stream
from tests.help.toy_streams import counts, rows, toy


@pytest.mark.parametrize("disjoint", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("blur", [0.0, 0.1, 0.5])
def test_i_blurry_has_n_percent_disjoint_classes_and_moves_m_percent_of_the_others(
    disjoint: float, blur: float
) -> None:
    base = toy((100,) * 20, tasks=5)
    stream = i_blurry(base, disjoint, blur, seed=4)
    assert sorted(rows(stream)) == sorted(rows(base))
    assert [len(e.train) for e in stream.experiences] == [len(e.train) for e in base.experiences]
    per_class = counts(stream)
    blurred = ((per_class > 0).sum(0) > 1).sum()
    assert blurred == (round((1 - disjoint) * 20) if blur else 0)
    homes = [set(stream.class_order[list(group.classes)]) for group in stream.groups]
    assert homes == [set(base.class_order[list(group.classes)]) for group in base.groups]
    for task, home in enumerate(homes):
        for position, label in enumerate(stream.class_order):
            if label in home and per_class[task, position] < 100:  # it keeps 1 - M, and its part of what is dealt
                assert 100 * (1 - blur) <= per_class[task, position] <= 100 * (1 - blur) + 100 * blur * 0.6
    # disjoint classes are spread evenly: as many in each task, give or take one
    alone = [sum(per_class[task, p] == 100 for p in group.classes) for task, group in enumerate(stream.groups)]
    assert blur == 0 or max(alone) - min(alone) <= 1


def test_i_blurry_is_like_the_published_lists() -> None:
    """CIFAR-10, 5 tasks, N = 50, M = 10: tasks of 10,000; a class has about 92 % at home, 2 % in every other task."""
    stream = i_blurry(toy((5000,) * 10, tasks=5), 0.5, 0.1, seed=0)
    assert [len(e.train) for e in stream.experiences] == [10_000] * 5
    for task, line in enumerate(counts(stream)):
        present = sorted(line[line > 0].tolist(), reverse=True)
        assert len(present) == 6 and present[0] == 5000 and task in range(5)
        assert 4550 <= present[1] <= 4650 and all(60 <= n <= 140 for n in present[2:])


@given(st.integers(2, 5), st.floats(0, 1), st.floats(0, 0.5), st.integers(0, 99))
@hypothesis_settings(max_examples=25, deadline=None)
def test_si_blurry_deals_every_image_once_and_varies(tasks: int, disjoint: float, blur: float, seed: int) -> None:
    base = toy((20,) * 10, tasks=tasks)
    stream = si_blurry(base, disjoint, blur, seed=seed)
    assert sorted(rows(stream)) == sorted(rows(base))
    assert sorted(p for group in stream.groups for p in group.classes) == list(range(10))
    at_home = sum(counts(stream)[group.task, list(group.classes)].sum() for group in stream.groups)
    alone = int(disjoint * 10 + 1e-9) // tasks * tasks
    assert 200 - at_home <= int(blur * 20 * (10 - alone) + 1e-9)
    inside = (counts(stream) == 20).any(0).sum()
    assert inside >= alone, "classes that are not blurred keep all images"


def test_si_blurry_draws_the_classes_of_tasks_and_the_images_that_move() -> None:
    streams = [si_blurry(toy(), 0.5, 0.3, seed=seed) for seed in range(6)]
    assert len({tuple(len(group.classes) for group in stream.groups) for stream in streams}) > 3
    moved = [sum(counts(s)[g.task, list(g.classes)].sum() for g in s.groups) for s in streams]
    assert len(set(moved)) > 3 and max(moved) < 400


def test_si_blurry_cuts_the_blurred_classes_at_random_places() -> None:
    """With no disjoint class, all classes of a task are blurred; an even share would be four in each of five tasks."""
    sizes = [len(group.classes) for seed in range(6) for group in si_blurry(toy((9,) * 20), 0.0, 0.1, seed=seed).groups]
    assert min(sizes) == 1 and max(sizes) >= 8 and sum(sizes) == 6 * 20


def test_si_blurry_with_too_few_classes_for_its_tasks_says_so() -> None:
    with pytest.raises(UsageError, match="no draw of si-blurry gave each of the 20 tasks of toy one of the 20 classes"):
        si_blurry(toy((9,) * 20, tasks=20), 0.0, 0.1, seed=0)


def test_blurred_streams_are_tested_on_every_group_that_has_begun() -> None:
    stream = i_blurry(toy(), 0.5, 0.5, seed=0)
    assert [e.groups for e in stream.events if isinstance(e, Evaluate)] == [tuple(range(5))] * 5
    sharp = i_blurry(toy(), 0.5, 0.0, seed=0)
    assert [e.groups for e in sharp.events if isinstance(e, Evaluate)] == [tuple(range(n)) for n in range(1, 6)]


def test_validation_images_stay_with_the_task_of_their_class() -> None:
    base = toy(val_fraction=0.2)
    for blur in (i_blurry, si_blurry):
        stream = blur(base, 0.5, 0.2, seed=1)
        check_stream(stream)
        assert sum(len(e.val) for e in stream.experiences) == sum(len(e.val) for e in base.experiences)
    with pytest.raises(UsageError, match="val_fraction=0"):
        online(base, 10, None, seed=0)


def test_a_single_task_has_no_boundary() -> None:
    with pytest.raises(UsageError, match="single task"):
        i_blurry(toy(tasks=1), 0.5, 0.1, seed=0)


def test_a_stream_whose_classes_return_cannot_be_blurred() -> None:
    with pytest.raises(UsageError, match="every class has one task"):
        i_blurry(online(toy(), 10, None, seed=0), 0.5, 0.1, seed=0)
