"""Online streams: every image once, in chunks; where they are evaluated."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cl.settings.online import online
from cl.stream import Evaluate, Train
from tests.help.toy_streams import counts, rows, toy


@given(st.lists(st.integers(1, 60), min_size=4, max_size=9), st.integers(1, 25), st.integers(0, 9))
@hypothesis_settings(max_examples=25, deadline=None)
def test_online_shows_every_image_once_in_chunks(sizes: list[int], chunk: int, seed: int) -> None:
    base = toy(sizes, tasks=2)
    stream = online(base, chunk, None, seed=seed)
    assert sorted(rows(stream)) == sorted(rows(base))
    lengths = [len(experience.train) for experience in stream.experiences]
    assert max(lengths) <= chunk
    tasks = [-(-len(experience.train) // chunk) for experience in base.experiences]
    assert len(lengths) == sum(tasks) and lengths.count(chunk) >= len(lengths) - 2
    assert [group.task for group in stream.groups] == [tasks[0] - 1, sum(tasks) - 1]
    assert stream.classes_return == any((counts(stream) > 0).sum(0) > 1)


def test_online_evaluates_where_the_stream_did_and_every_so_many_images() -> None:
    base = toy()  # 5 tasks of 80 images
    ends = [e for e in online(base, 10, None, seed=0).events if isinstance(e, Evaluate)]
    assert ends == [event for event in base.events if isinstance(event, Evaluate)]
    stream = online(base, 10, 25, seed=0)
    seen, at = 0, []
    for event in stream.events:
        if isinstance(event, Train):
            seen += len(stream.experiences[event.experience].train)
        else:
            at.append(seen)
    assert at == sorted({-(-number // 10) * 10 for number in range(25, 401, 25)} | {80, 160, 240, 320, 400})
    assert len(at) == len(set(at))


def test_online_shuffles_by_the_data_seed() -> None:
    one, same, other = (online(toy(), 10, None, seed=seed) for seed in (1, 1, 2))
    assert one.id == same.id != other.id
    assert not np.array_equal(one.experiences[0].train, other.experiences[0].train)
