"""Every strategy learns a stream to its end, or is refused before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl import registry
from cl.data.store import ImageStore
from cl.errors import Incompatible
from cl.plan.needs import refuse, remarks
from cl.settings import SettingOptions, transform
from cl.stream import Stream
from cl.testing.multi_label import with_several_classes
from cl.testing.workbench import Workbench
from tests.conftest import tiny_stream
from tests.help.suited import NETWORK

NETWORKS: dict[str, Any] = {"trials": 1, "steps": 2, "validate_every": 1}
QUICK: dict[str, dict[str, Any]] = {
    "coda-prompt": {"components": 10},
    "kvb": {"codebooks": 4, "pairs": 8, "key_dim": 4, "key_epochs": 1, "key_images": 64},
    "oml": {"inner_steps": 1, "others": 1, "random": 4},
    "ranpac": {"width": 32},
    **dict.fromkeys(("independent", "finetune-dynamic", "finetune-previous", "pretrained"), NETWORKS),
}
COVARIANCES = {"cofima", "hide-prompt", "mos", "norga", "slca", "slca-pp"}
TOLD = {"cl-dst", "hat", "independent", "finetune-dynamic", "finetune-previous", "packnet", "pretrained", "taps", "wsn"}
TOLD |= {"claw", "dp-hypernetwork", "hypernetwork", "vcl"}
FIRST: dict[str, dict[str, Any]] = {"oml": {"stream.base": 2, "stream.tasks": 9}}
"""Streams of tasks of one class for strategies that learn to learn from the first task."""
OURS = [name for name in registry.strategies.names() if registry.strategies.distribution(name).name == "clbench"]
STRATEGIES = [name for name in OURS if name != "grace"]
"""Ours, but for the one whose classes must come back, which these streams do not have."""


def options_of(strategy: str, **values: Any) -> Any:
    return registry.strategies.get(strategy).Options(**values)


def thinned(stream: Stream, task: int, *, images: int = 1, whole: bool = False) -> Stream:
    """The stream with `images` training images of the last class of a task, or of the whole task."""
    experience = stream.experiences[task]
    labels = stream.positions[stream.dataset.train.labels[experience.train]]
    rows = np.arange(len(labels)) if whole else np.flatnonzero(labels == experience.classes[-1])
    thin = replace(experience, train=np.delete(experience.train, rows[images:]))
    return replace(stream, experiences=(*stream.experiences[:task], thin, *stream.experiences[task + 1 :]))


def outcome(strategy: str, stream_options: dict[str, Any], folder: Path, lonely: bool) -> tuple[str, list[str]]:
    """How a run over three tasks of four images per class ends, and its remarks."""
    bench = Workbench(strategy, options={**stream_options, **QUICK.get(strategy, {})}, backbone=NETWORK.get(strategy))
    stream = bench.stream(4)
    if lonely:
        stream = thinned(stream, 1)
    try:
        refuse(strategy, bench.plan.options, stream)
    except Incompatible:
        return "refused", []
    return bench.run(bench.learner(), folder, stream)["status"], remarks(strategy, bench.plan.options, stream)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_class_of_one_image_is_learned_or_refused_before_the_run(strategy: str, tmp_path: Path) -> None:
    status, _ = outcome(strategy, {"stream.tasks": 5}, tmp_path, lonely=True)
    assert status == ("refused" if strategy in {*COVARIANCES, "ear"} else "complete")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_tasks_of_one_class_are_learned_or_refused_before_the_run(strategy: str, tmp_path: Path) -> None:
    tasks = FIRST.get(strategy, {"stream.tasks": 10})
    status, texts = outcome(strategy, tasks, tmp_path, lonely=False)
    assert status == ("refused" if strategy in TOLD else "complete")
    method = registry.strategies.get(strategy)
    needs = method.needs(method.Options())
    assert len(texts) == (status == "complete" and bool(needs.compares or needs.adapts))


def test_a_refusal_names_class_task_count_and_fix() -> None:
    stream = thinned(tiny_stream(tasks=5, order="natural"), 1)
    with pytest.raises(Incompatible) as caught:
        refuse("slca", options_of("slca"), stream)
    assert str(caught.value) == (
        "slca needs 2 training images of each class for its covariance, but class 3 (three) in task 2 of 5 of "
        "split-digits has 1; raise --limit or stream.train_per_class, add images, or leave this class out."
    )
    for options, fix in (
        (
            {"train_per_class": None},
            "no option limits them: add images, leave this class out",
        ),
        ({"train_per_class": None, "shots": 1}, "raise stream.shots, add images"),
        ({"train_per_class": None, "val_fraction": 0.1}, "lower stream.val_fraction, add images"),
    ):
        with pytest.raises(Incompatible, match=f"has 1; {fix}"):
            refuse("slca", options_of("slca"), replace(stream, options={**stream.options, **options}))
    assert caught.value.exit_code == 2
    refuse("slca", options_of("slca"), thinned(tiny_stream(tasks=5, order="natural"), 1, images=2))
    refuse("finetune", options_of("finetune"), stream)


def test_a_wrapper_has_the_needs_of_its_base() -> None:
    stream = thinned(tiny_stream(tasks=5), 1)
    wrapped = options_of("momentum", base="slca", base_options={})
    with pytest.raises(Incompatible, match="momentum needs 2 training images of each class"):
        refuse("momentum", wrapped, stream)
    refuse("momentum", options_of("momentum", base="finetune", base_options={}), stream)


def test_a_ridge_penalty_is_chosen_on_two_images() -> None:
    stream = thinned(tiny_stream(tasks=5), 4, whole=True)
    with pytest.raises(Incompatible, match="ranpac needs 2 training images in every task to choose a ridge penalty"):
        refuse("ranpac", options_of("ranpac"), stream)
    refuse("ranpac", options_of("ranpac", ridge=1.0), stream)


def test_validation_images_are_asked_for() -> None:
    with pytest.raises(Incompatible, match="independent needs validation images to choose a trial by, but task 1 of 5"):
        refuse("independent", options_of("independent"), tiny_stream(tasks=5))
    refuse("independent", options_of("independent"), tiny_stream(tasks=5, val_fraction=0.25))


@pytest.mark.parametrize("wrapped", [False, True])
def test_herding_is_refused_where_a_class_that_returned_is_left_out(wrapped: bool) -> None:
    def options(policy: str) -> Any:
        own = {"memory_policy": policy, "memory_size": 20}
        return options_of("momentum", base="replay", base_options=own) if wrapped else options_of("replay", **own)

    name, stream = "momentum" if wrapped else "replay", tiny_stream(tasks=5)
    refuse(name, options("herding"), stream)
    one, two, *rest = stream.experiences
    returning = replace(stream, experiences=(one, replace(two, classes=(*one.classes, *two.classes)), *rest))
    with pytest.raises(Incompatible, match="class 0 of split-digits comes back before task 3 of 5 and is not in it"):
        refuse(name, options("herding"), returning)
    refuse(name, options("balanced"), returning)
    always = tuple(replace(each, classes=(*one.classes, *each.classes)) for each in (two, *rest))
    refuse(name, options("herding"), replace(stream, experiences=(one, *always)))


def test_given_tasks_of_one_class_are_refused_only_if_all_are() -> None:
    with pytest.raises(Incompatible, match="every task of split-digits has a single class, so every answer is right"):
        refuse("wsn", options_of("wsn"), tiny_stream(increment=1))
    mixed = tiny_stream(increment=1, base=2)
    refuse("wsn", options_of("wsn"), mixed)
    assert remarks("wsn", options_of("wsn"), mixed) == [
        "8 of 9 tasks have a single class, so its softmax over the classes of a task teaches wsn nothing in them; set "
        "stream.increment or stream.tasks for more classes in a task."
    ]


def test_several_classes_per_image_are_refused_for_other_methods() -> None:
    stream = with_several_classes(tiny_stream(tasks=3, val_fraction=0.25))
    with pytest.raises(Incompatible, match="ewc learns one class per image, and images of task0 of split-digits may"):
        refuse("ewc", options_of("ewc"), stream)
    refuse("independent", options_of("independent"), stream)


def test_a_remark_depends_on_the_loss_and_on_the_tasks() -> None:
    single = tiny_stream(increment=1)
    assert remarks("finetune", options_of("finetune"), tiny_stream(increment=2)) == []
    assert "10 of 10 tasks" in remarks("finetune", options_of("finetune"), single)[0]
    assert remarks("finetune", options_of("finetune", loss="global"), single) == []
    assert "sigmoids" in remarks("ewc", options_of("ewc", loss="bce-local"), single)[0]
    assert remarks("ewc", options_of("ewc", loss="bce"), single) == []
    assert remarks("aper", options_of("aper"), single) == [
        "The first of 10 tasks has a single class, so aper leaves its module (tuning=adapter) untrained; set "
        "stream.base for more classes in a task."
    ]
    assert remarks("aper", options_of("aper"), tiny_stream(increment=1, base=2)) == []
    assert remarks("aper", options_of("aper", tuning="none"), single) == []


def online(chunk: int, **options: Any) -> Stream:
    return transform(tiny_stream(**options), SettingOptions(setting=("online",), chunk=chunk), 0)


def refusal(strategy: str, stream: Stream, **options: Any) -> str:
    """The sentence for a network whose batch norms need two images; empty if there is none."""
    values = options_of(strategy, **options)
    refuse(strategy, values, stream)  # another network can learn the stream
    try:
        refuse(strategy, values, stream, least_batch=2)
    except Incompatible as error:
        return str(error)
    return ""


def test_single_images_are_refused_where_batch_norms_train() -> None:
    stream = tiny_stream(tasks=5)  # 24 images in a task
    assert refusal("finetune", stream, batch_size=23) == "", "a rest of one is merged"
    assert "raise batch_size, which is 1" in refusal("finetune", stream, batch_size=1)
    assert refusal("finetune", stream, batch_size=1, trains="head") == ""
    assert refusal("ewc", stream, batch_size=1, eval_mode=True) == ""
    assert refusal("simplecil", stream) == refusal("aper", stream, batch_size=1, tuning="none") == ""
    lonely = thinned(stream, 2, whole=True)
    assert "but task 3 of 5 of split-digits has one" in refusal("finetune", lonely)
    assert refusal("softnet", lonely) == "", "only the first task trains batch norms"
    assert refusal("joint", lonely) == "", "all tasks are learned together"
    assert refusal("replay", lonely) == "", "remembered images join the batch"
    assert "task 1 of 5" in refusal("replay", thinned(stream, 0, whole=True))


def test_chunks_of_one_image_are_refused_where_batch_norms_train() -> None:
    assert refusal("finetune", online(8)) == ""
    text = refusal("finetune", online(23, tasks=5))
    assert "but chunk 2 of 10 of split-digits has one; choose another stream.chunk" in text
    assert refusal("replay", online(23, tasks=5)) == "", "remembered images join later chunks"
    assert "chunk 1 of 120" in refusal("replay", online(1, tasks=5))


def test_a_loop_that_does_not_merge_is_refused_for_a_rest_of_one() -> None:
    stream = tiny_stream(tasks=5)
    assert "the last batch of task 1 of 5 of split-digits has one; choose a batch_size other than 23" in refusal(
        "avalanche/naive", stream, batch_size=23
    )
    assert refusal("avalanche/naive", stream, batch_size=8) == ""


def test_a_method_of_another_package_may_declare_nothing(methods: None) -> None:
    refuse("method", None, tiny_stream(), least_batch=2)
    assert remarks("method", None, tiny_stream(increment=1)) == []


@pytest.mark.parametrize(
    ("batch_size", "chunk", "said"),
    [(1, None, "in every step"), (16, 1, "120 of 120 chunks"), (16, 10, ""), (16, None, "")],
)
def test_single_images_for_batch_norms_are_said_before_the_run(batch_size: int, chunk: int | None, said: str) -> None:
    stream = tiny_stream(tasks=5)
    if chunk is not None:
        stream = transform(stream, SettingOptions(setting=("online",), chunk=chunk), 0)
    options = options_of("finetune", batch_size=batch_size)
    assert all("batch norms" not in text for text in remarks("finetune", options, stream))
    texts = [text for text in remarks("finetune", options, stream, batch_norms=True) if "batch norms" in text]
    assert len(texts) == bool(said) and all(said in text and "\n" not in text for text in texts)
    frozen = options_of("linear-probe", batch_size=batch_size)
    assert all("batch norms" not in text for text in remarks("linear-probe", frozen, stream, batch_norms=True))


def test_colours_that_a_network_of_grey_images_does_not_see_are_said() -> None:
    grey = tiny_stream(tasks=5)
    assert grey.info.image_shape[0] == 1
    pixels = np.repeat(grey.dataset.train.pixels, 3, axis=3)
    store = ImageStore.from_arrays(pixels, grey.dataset.train.labels)
    colour = replace(grey, dataset=replace(grey.dataset, train=store))
    options = options_of("finetune")
    assert remarks("finetune", options, colour) == remarks("finetune", options, grey, channels=1) == []
    (text,) = remarks("finetune", options, colour, channels=1)
    assert "takes grey images, so of the colours of split-digits it sees the brightness alone (0.299 red" in text
