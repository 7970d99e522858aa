"""Settings as transformations: every training image comes as often as the definition says, and nothing else changes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cl.data.store import Dataset, ImageStore
from cl.errors import UsageError
from cl.options import Layer
from cl.plan.plan import load_plan, make_plan
from cl.settings import SettingOptions, needed, resolve_stream, transform
from cl.settings.blurry import i_blurry, si_blurry
from cl.settings.class_incremental import IncrementalOptions, class_incremental
from cl.settings.long_tailed import long_tailed
from cl.settings.online import online
from cl.stream import Evaluate, Stream, Train
from cl.testing import check_stream

GOLDEN = {
    ("long-tailed",): "37de71878610b336",
    ("i-blurry",): "0cc32d4c0d484e53",
    ("si-blurry",): "3093ef70e4d235af",
    ("online",): "33038cfe11e3e6cd",
    ("online", "i-blurry"): "f15442a37526625d",
}


def toy(sizes: Sequence[int] = (40,) * 10, tasks: int = 5, seed: int = 3, **options: Any) -> Stream:
    """Images of one pixel that tell them apart, `sizes` of each class to train on and 2 to test on."""

    def store(counts: Sequence[int], first: int) -> ImageStore:
        number = np.arange(first, first + sum(counts))
        pixels = np.stack([number >> 8, number & 255], 1).astype(np.uint8).reshape(-1, 1, 2, 1)
        return ImageStore.from_arrays(pixels, np.repeat(np.arange(len(counts)), counts))

    names = tuple(f"c{label}" for label in range(len(sizes)))
    dataset = Dataset("toy", store(sizes, 0), store([2] * len(sizes), 40_000), names, "test", "none", "none")
    chosen = IncrementalOptions(tasks=tasks, **options)
    return class_incremental(dataset, chosen, name="toy", version="1", order_seed=seed, data_seed=seed)


def rows(stream: Stream) -> np.ndarray:
    return np.concatenate([experience.train for experience in stream.experiences])


def counts(stream: Stream) -> np.ndarray:
    """Training images [experience, class by position]."""
    labels = [stream.positions[stream.dataset.train.labels[e.train]] for e in stream.experiences]
    return np.stack([np.bincount(each, minlength=len(stream.class_order)) for each in labels])


def digest(stream: Stream) -> str:
    text = b"".join(experience.train.astype("<i8").tobytes() for experience in stream.experiences)
    return hashlib.sha256(text + stream.id.encode()).hexdigest()[:16]


def setting(stream: Stream, *names: str, seed: int = 1993, **options: Any) -> Stream:
    return transform(stream, SettingOptions(setting=names, **options), seed)


@pytest.mark.parametrize("names", list(GOLDEN))
@pytest.mark.parametrize("seed", [0, 7])
def test_every_setting_keeps_the_contract_of_streams(names: tuple[str, ...], seed: int) -> None:
    stream = setting(toy(), *names, seed=seed)
    check_stream(stream)
    assert stream.dataset.fingerprints == toy().dataset.fingerprints
    assert np.array_equal(np.sort(stream.test_rows(range(5))[0]), np.sort(toy().test_rows(range(5))[0]))


def test_without_a_setting_nothing_changes() -> None:
    stream = toy()
    assert transform(stream, SettingOptions(), 0) is stream
    plan = make_plan("simplecil", "split-cifar100")
    assert plan.config_hash == "e0220a18" and not [key for key in plan.values if key.startswith("stream.set")]


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


@given(st.integers(2, 5), st.floats(0, 0.5), st.floats(0, 0.5), st.integers(0, 99))
@hypothesis_settings(max_examples=25, deadline=None)
def test_si_blurry_deals_every_image_once_and_varies(tasks: int, disjoint: float, blur: float, seed: int) -> None:
    base = toy((20,) * 10, tasks=tasks)
    stream = si_blurry(base, disjoint, blur, seed=seed)
    assert sorted(rows(stream)) == sorted(rows(base))
    assert sorted(p for group in stream.groups for p in group.classes) == list(range(10))
    at_home = sum(counts(stream)[group.task, list(group.classes)].sum() for group in stream.groups)
    assert 200 - at_home <= int(blur * 20 * (10 - int(disjoint * 10)))


def test_si_blurry_draws_the_classes_of_tasks_and_the_images_that_move() -> None:
    streams = [si_blurry(toy(), 0.5, 0.3, seed=seed) for seed in range(6)]
    assert len({tuple(len(group.classes) for group in stream.groups) for stream in streams}) > 3
    moved = [sum(counts(s)[g.task, list(g.classes)].sum() for g in s.groups) for s in streams]
    assert len(set(moved)) > 3 and max(moved) < 400
    with pytest.raises(UsageError, match="4 blurred classes for the 5 tasks"):
        si_blurry(toy(), 0.6, 0.1, seed=0)


def test_blurred_streams_are_tested_on_every_group_that_has_begun() -> None:
    stream = i_blurry(toy(), 0.5, 0.5, seed=0)
    assert [e.groups for e in stream.events if isinstance(e, Evaluate)] == [tuple(range(5))] * 5
    sharp = i_blurry(toy(), 0.5, 0.0, seed=0)
    assert [e.groups for e in sharp.events if isinstance(e, Evaluate)] == [tuple(range(n)) for n in range(1, 6)]


@pytest.mark.parametrize("imbalance", [1, 10, 100])
def test_the_long_tail_is_exponential(imbalance: float) -> None:
    base = toy((500,) * 10)
    stream = long_tailed(base, imbalance, shuffled=False, seed=0)
    per_class = counts(stream).sum(0).tolist()
    assert per_class == [int(500 * imbalance ** (-k / 9)) for k in range(10)]
    assert set(rows(stream)) <= set(rows(base)) and not stream.classes_return
    mixed = counts(long_tailed(base, imbalance, shuffled=True, seed=0)).sum(0).tolist()
    assert sorted(mixed, reverse=True) == per_class and (imbalance == 1 or mixed != per_class)


def test_a_long_tail_takes_no_more_than_there_is_and_keeps_one() -> None:
    per_class = counts(long_tailed(toy((9, 3, 9, 9), tasks=2), 100, shuffled=False, seed=0)).sum(0)
    assert per_class.min() == 1 and per_class[0] in (3, 9)


def test_settings_combine_and_a_tail_is_cut_before_it_is_blurred() -> None:
    stream = setting(toy((500,) * 10), "online", "i-blurry", "long-tailed", chunk=7)
    assert stream.setting == "online i-blurry long-tailed class-incremental"
    assert stream.options["setting"] == ["long-tailed", "i-blurry", "online"] and stream.options["chunk"] == 7
    assert sorted(counts(stream).sum(0), reverse=True) == [int(500 * 100 ** (-k / 9)) for k in range(10)]


def test_positions_number_classes_as_they_now_appear() -> None:
    stream = setting(toy(), "online", "i-blurry")
    for before, view in pairwise(stream.view(index) for index in range(len(stream.experiences))):
        assert view.seen == tuple(range(len(view.seen))) and len(view.seen) >= len(before.seen)
    labels = stream.dataset.train.labels[stream.experiences[0].train]
    assert set(stream.class_order[: len(stream.experiences[0].classes)]) == set(labels.tolist())


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


def test_options_come_from_the_layers_of_the_stream() -> None:
    layers: list[Layer] = [("file", {"tasks": 2}), ("call", {"setting": "online,i-blurry", "chunk": "5"})]
    family, chosen, settings = resolve_stream(IncrementalOptions, layers)
    assert family.tasks == 2 and chosen.setting == ("online", "i-blurry") and chosen.chunk == 5
    assert {key for key in settings if settings[key].origin == "call"} == {"stream.setting", "stream.chunk"}
    assert {"stream.disjoint", "stream.blur", "stream.evaluate_every"} <= set(settings)  # what is in force is recorded
    assert "stream.imbalance" not in settings
    assert needed(chosen) == ("blurry", "online")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"chunk": 5}, "add --setting online"),
        ({"setting": "i-blurry", "imbalance": 3}, "add --setting long-tailed"),
        ({"setting": "i-blurry,si-blurry"}, "choose either"),
        ({"setting": "foggy"}, "one of long-tailed, i-blurry, si-blurry, online"),
        ({"setting": "online", "chunk": 0}, "at least 1"),
    ],
)
def test_wrong_options_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_stream(IncrementalOptions, [("call", values)])


def test_a_plan_refuses_methods_that_need_sharp_tasks_and_passes_once() -> None:
    with pytest.raises(UsageError, match="is online, which slca cannot learn"):
        make_plan("slca", "split-digits", setting="online")
    with pytest.raises(UsageError, match="is blurry, which ewc cannot"):
        make_plan("ewc", "split-digits", setting="si-blurry")
    with pytest.raises(UsageError, match="is online, which replay cannot"):
        make_plan("replay", "split-digits", setting="online", options={"pred_kd": 1})
    assert make_plan("slca", "split-digits", setting="long-tailed").transforms.setting == ("long-tailed",)
    plan = make_plan("replay", "split-digits", setting="online")
    assert plan.options.epochs == 1 and plan.values["epochs"].origin == "setting online"
    assert make_plan("replay", "split-digits", setting="online", options={"epochs": 3}).options.epochs == 3
    assert make_plan("joint", "split-digits", setting="online").options.epochs > 1


def test_a_resumed_run_has_the_same_plan(tmp_path: Any) -> None:
    plan = make_plan("replay", "split-digits", setting="online", options={"stream.chunk": 4})
    (tmp_path / "config.toml").write_text(plan.to_toml())
    again = load_plan(tmp_path)
    assert again.transforms == plan.transforms and again.config_hash == plan.config_hash
    assert again.options == plan.options


def test_plans_import_neither_numpy_nor_torch_for_settings() -> None:
    code = "import sys, cl.settings; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_known_streams_so_that_records_stay_comparable_between_versions() -> None:
    assert {names: digest(setting(toy(), *names)) for names in GOLDEN} == GOLDEN
