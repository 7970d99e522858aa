"""MOS: the invariants of the paper, and refinement against a loop over single images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.data.store import Dataset, ImageStore
from cl.parts.attached.adapters import Adapters
from cl.parts.heads.prototypes import class_means
from cl.settings.class_incremental import IncrementalOptions, class_incremental
from cl.strategies.mos import MOS
from cl.strategy import Inputs
from cl.stream import Stream
from cl.streams.digits import digits
from cl.testing import tiny_backbone
from cl.training import state
from cl.training.batches import Batch
from tests.conftest import make, run, tiny_stream
from tests.help.compare import same

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {
    **{"epochs": 1, "batch_size": 12, "lr": 0.3, "rank": 4, "augment": "crop"},
    **{"ca_epochs": 2, "ca_batches": 1},
}


def mos(**options: Any) -> MOS:
    return make(MOS, **{**FAST, **options})


def watch_fits(learner: MOS, look: Callable[[], Any]) -> list[tuple[str, Any, Any, Any]]:
    """Collect (phase, `look()` before, `look()` after, what the fit was given) of each fit."""
    calls: list[tuple[str, Any, Any, Any]] = []
    fit = learner.trainer.fit

    def watched(strategy: Any, phase: str, spec: Any) -> Any:
        before = state.clone(look())
        result = fit(strategy, phase, spec)
        calls.append((phase, before, state.clone(look()), spec))
        return result

    vars(learner.trainer)["fit"] = watched
    return calls


def values(adapters: Adapters) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in adapters.state_dict().items()}


def given(stream: Stream, tasks: int) -> tuple[Inputs, Tensor]:
    """The test images of some tasks, and the task of each."""
    rows, _, owner = stream.test_rows(range(tasks))
    return Inputs(torch.from_numpy(stream.dataset.test.pixels[rows]).permute(0, 3, 1, 2)), torch.from_numpy(owner)


def features(learner: MOS, inputs: Inputs, task: int) -> Tensor:
    with torch.no_grad():
        return learner.sets[task](learner.backbone, inputs.images(learner.backbone.transform))


def scrambled(learner: MOS, tasks: int = 3) -> MOS:
    """A learner of some tasks with far-apart adapters and an untrained, restless head."""
    stream = tiny_stream()
    learner.info = stream.info
    learner.setup(stream.info)
    generator = torch.Generator().manual_seed(4)
    for parameter in learner.backbone.model.get_submodule("blocks").parameters():
        parameter.data.mul_(20)  # untrained blocks leave the class token nearly as it is
    for task in range(tasks):
        for parameter in learner.adapters.parameters():
            parameter.data.copy_(3 * torch.randn(parameter.shape, generator=generator))
        learner.sets.store(learner.adapters)
        learner.head.grow_to(2 * (task + 1), generator)
    for parameter in learner.head.parameters():
        parameter.data.normal_(generator=generator)
    learner.task_of = [task for task in range(tasks) for _ in range(2)]
    learner.prototypes = torch.randn(2 * tasks, learner.backbone.dim, generator=generator)
    return learner


# -------------------------------------------------------------------------------------------------- what stays put


@pytest.mark.parametrize("options", [{"merge": 0.0}, {}, {"legacy": True}], ids=str)
def test_stored_sets_survive_other_tasks_and_evaluation(options: dict[str, Any], learn: Learn) -> None:
    learner, stream = mos(**options), tiny_stream()

    def after(strategy: MOS, view: Any) -> Any:
        stored = state.clone(strategy.get_state())
        inputs, _ = given(stream, view.task + 1)
        with torch.no_grad():
            first, second = strategy.predict(inputs), strategy.predict(inputs)
        assert torch.equal(first, second), "evaluation changes nothing"
        assert same(strategy.get_state(), stored)
        return stored["sets"]

    seen = learn(learner, stream, 3, after)
    for earlier, later in pairwise(seen):
        assert len(later) == len(earlier) + 1 and same(earlier, later[: len(earlier)])
    assert learner.backbone.is_pristine
    fresh = tiny_backbone()
    assert all(
        torch.equal(a, b) for a, b in zip(learner.backbone.parameters(), fresh.parameters(), strict=True)
    )  # fmt: skip


def test_alignment_changes_the_head_alone_and_not_after_the_first_task(learn: Learn) -> None:
    learner = mos()
    calls = watch_fits(learner, learner.get_state)
    learn(learner, tiny_stream(), 3)
    assert [call[0] for call in calls] == ["adapters"] + 2 * ["adapters", "classifier alignment"]
    for phase, before, after, _ in calls:
        moved = {name for name in before if not same(before[name], after[name])}
        assert moved == ({"head"} if phase == "classifier alignment" else {"adapters", "head"})
    for _, before, after, spec in [call for call in calls if call[0] == "classifier alignment"]:
        rows = zip(before["head"]["weights"], after["head"]["weights"], strict=True)
        assert all(not torch.equal(a, b) for a, b in rows), "all rows"
        assert spec.data.per_class == spec.data.batch_size == 12
    untouched = mos(ca_epochs=0)
    phases = watch_fits(untouched, untouched.get_state)
    learn(untouched, tiny_stream(), 2)
    assert [call[0] for call in phases] == ["adapters"] * 2


@pytest.mark.parametrize("legacy", [False, True])
def test_training_changes_old_rows_of_the_head_only_in_legacy_mode(legacy: bool, learn: Learn) -> None:
    learner = mos(legacy=legacy, weight_decay=0.1)
    calls = watch_fits(learner, lambda: learner.head.get_state())
    learn(learner, tiny_stream(), 2)
    _, before, after, _ = [call for call in calls if call[0] == "adapters"][1]
    decayed = after["weights"][0].norm() < before["weights"][0].norm()
    assert bool(decayed) == legacy and torch.equal(before["weights"][0], after["weights"][0]) != legacy


# --------------------------------------------------------------------------------------------------------- merging


def test_a_step_merges_once_towards_the_mean_of_the_stored_sets(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[float, Any, Any, Any]] = []
    blend = Adapters.blend

    def watched(adapters: Adapters, other: Adapters, share: float) -> None:
        before = values(adapters)
        blend(adapters, other, share)
        found.append((share, before, values(adapters), [values(stored) for stored in learner.sets.sets]))

    monkeypatch.setattr(Adapters, "blend", watched)
    learner = mos(merge=0.25, epochs=2)
    learn(learner, tiny_stream(), 3)
    merges = [call for call in found if call[0] == 0.25]
    assert len(merges) == 2 * 2 * 2, "tasks 2 and 3, 2 epochs of 2 steps"
    for _, before, after, stored in merges:
        for name in before:
            mean = torch.stack([one[name] for one in stored]).mean(0)
            assert torch.allclose(after[name], 0.75 * before[name] + 0.25 * mean, atol=1e-6)
    assert {len(call[3]) for call in merges} == {1, 2}
    assert [same(merges[last][2], values(learner.sets[task])) for last, task in ((3, 1), (7, 2))] == [True, True]


def test_equal_sets_are_a_fixed_point_of_merging(learn: Learn) -> None:
    learner = mos(merge=1.0)
    learn(learner, tiny_stream(), 3)
    first = values(learner.sets[0])
    assert bool(first["up"].any())
    assert all(same(values(adapters), first) for adapters in [*learner.sets.sets, learner.mean, learner.adapters])
    for share in (0.1, 0.5, 0.9):
        learner.adapters.blend(learner.mean, share)
        assert same(values(learner.adapters), first)


def test_the_current_set_continues_over_tasks_at_ten_times_the_rate_of_the_head(learn: Learn) -> None:
    learner = mos()
    calls = watch_fits(learner, lambda: values(learner.adapters))
    learn(learner, tiny_stream(), 3)
    trained = [call for call in calls if call[0] == "adapters"]
    assert not bool(trained[0][1]["up"].any()) and bool(trained[0][2]["up"].any())
    assert same(trained[0][2], trained[1][1]) and same(trained[1][2], trained[2][1])
    assert same(trained[2][2], values(learner.sets[2]))
    assert [group["lr"] for group in trained[0][3].params] == pytest.approx([0.3, 0.03])


def test_the_loss_is_local_with_the_class_means_among_the_rows(learn: Learn) -> None:
    learner, stream = mos(reg=0.5), tiny_stream()
    calls = watch_fits(learner, lambda: [learner.head.get_state(), learner.gaussians.mean])
    learn(learner, stream, 2)
    spec, means = calls[1][3], calls[1][1][1]
    assert len(means) == 2, "of the task before"
    batch = Batch(torch.randn(6, 3, 8, 8), torch.tensor([2, 3, 3, 2, 2, 3]))
    with torch.no_grad():
        z = learner.adapters(learner.backbone, batch.x)
        rows = torch.cat([learner.gaussians.mean, z])
        local = F.cross_entropy(learner.head(z)[:, 2:], batch.y - 2)
        apart = F.cross_entropy(rows @ rows.T / 0.8, torch.arange(len(rows)))
        assert torch.allclose(spec.loss(batch), local + 0.5 * apart, atol=1e-5)


# ---------------------------------------------------------------------------------------- statistics and prototypes


@pytest.mark.parametrize("kind", ["full", "diagonal"])
def test_statistics_are_of_the_stored_set_and_prototypes_of_the_first(kind: str, learn: Learn) -> None:
    learner, stream = mos(statistics=kind), tiny_stream()

    def check(strategy: MOS, view: Any) -> None:
        images, own = Inputs(view.train.pixels(slice(None))), list(view.classes)
        new, first = features(strategy, images, view.task), features(strategy, images, 0)
        assert torch.allclose(strategy.prototypes[own], class_means(first, view.train.labels, own), atol=1e-5)
        for c in own:
            x = new[view.train.labels == c].numpy()
            covariance = np.cov(x, rowvar=False) + 1e-4 * np.eye(16)
            expected = covariance if kind == "full" else covariance.diagonal()
            assert np.allclose(strategy.gaussians.mean[c], x.mean(0), atol=1e-5)
            assert np.allclose(strategy.gaussians.covariance[c], expected, atol=1e-5)

    learn(learner, stream, 3, check)


# ------------------------------------------------------------------------------------------------------ prediction


@pytest.mark.parametrize("refine", [1, 2, 4])
def test_refinement_is_a_loop_over_single_images(refine: int) -> None:
    learner, stream = scrambled(mos(refine=refine)), tiny_stream(test_per_class=20)
    inputs, _ = given(stream, 3)
    start = torch.arange(len(inputs)) % 3
    with torch.no_grad():
        found = learner.refined(inputs, start)
        under = [learner.head(features(learner, inputs, task)) for task in range(3)]
    lengths = set()
    for image in range(len(inputs)):
        task, tried = int(start[image]), 0
        while True:
            logits, tried = under[task][image], tried + 1
            named = learner.task_of[int(logits.argmax())]
            if named == task or tried == refine:
                break
            task = named
        lengths.add(tried)
        assert torch.allclose(found[image], logits, atol=1e-5)
    assert lengths == set(range(1, refine + 1)), "the test must see routes of every length"


def test_prediction_is_the_ensemble_of_both_stages() -> None:
    learner, stream = scrambled(mos()), tiny_stream(test_per_class=20)
    inputs, _ = given(stream, 3)
    with torch.no_grad():
        cosine = F.cosine_similarity(features(learner, inputs, 0)[:, None], learner.prototypes[None], dim=2)
        logits = learner.refined(inputs, cosine.argmax(1) // 2)
        expected = logits.softmax(1) + (3 * cosine).softmax(1)
        assert torch.allclose(learner.predict(inputs), expected, atol=1e-5)
        alone = scrambled(mos(ensemble=False))
        assert torch.equal(alone.predict(inputs), logits)


def test_with_one_task_refinement_is_ignored(learn: Learn) -> None:
    stream, found = tiny_stream(), []
    for refine in (1, 4):
        learner = mos(refine=refine)
        learn(learner, stream, 1)
        inputs, _ = given(stream, 2)
        with torch.no_grad():
            found.append(learner.predict(inputs))
            plain = learner.head(features(learner, inputs, 0))
            assert torch.equal(learner.refined(inputs, torch.zeros(len(inputs), dtype=torch.long)), plain)
    assert torch.equal(*found)


def test_adapters_without_an_upward_projection_give_frozen_features() -> None:
    learner, stream = scrambled(mos()), tiny_stream()
    for adapters in learner.sets.sets:
        adapters.up.data.zero_()
        adapters.up_bias.data.zero_()
    inputs, owner = given(stream, 3)
    with torch.no_grad():
        frozen = learner.backbone(inputs.images(learner.backbone.transform))
        assert torch.allclose(learner.refined(inputs, owner), learner.head(frozen), atol=1e-5)


def test_an_oracle_start_is_no_worse_than_a_random_one(learn: Learn) -> None:
    learner, stream = mos(epochs=8, refine=1), tiny_stream(test_per_class=30)
    learn(learner, stream, 4)
    inputs, owner = given(stream, 4)
    guessed = torch.randint(4, (len(inputs),), generator=torch.Generator().manual_seed(0))
    _, labels, _ = stream.test_rows(range(4))

    def right(start: Tensor) -> int:
        with torch.no_grad():
            return int((learner.refined(inputs, start).argmax(1) == torch.from_numpy(labels)).sum())

    assert right(owner) > right(guessed)
    vars(learner)["options"] = MOS.Options(**{**FAST, "refine": 4})
    assert right(owner) >= right(guessed)


def test_restoring_a_state_adds_and_removes_sets(learn: Learn) -> None:
    one, three, inputs = mos(), mos(), given(tiny_stream(), 3)[0]
    states = learn(three, tiny_stream(), 3, lambda s, v: state.clone(s.get_state()))
    learn(one, tiny_stream(), 1)
    with torch.no_grad():
        one.set_state(states[2])
        assert torch.equal(one.predict(inputs), three.predict(inputs))
        one.set_state(states[0])
        assert len(one.sets) == 1 and one.predict(inputs).shape[1] == 2


# ---------------------------------------------------------------------------------------------------------- legacy


def test_legacy_stores_means_of_earlier_sets_and_is_marked(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []
    blend = Adapters.blend

    def watched(adapters: Adapters, other: Adapters, share: float) -> None:
        shares.append(share)
        blend(adapters, other, share)

    monkeypatch.setattr(Adapters, "blend", watched)
    learner = mos(legacy=True)
    calls = watch_fits(learner, lambda: values(learner.adapters))
    learn(learner, tiny_stream(), 4)
    trained = [after for phase, _, after, _ in calls if phase == "adapters"]
    starts = [before for phase, before, _, _ in calls if phase == "adapters"]
    assert same(values(learner.sets[0]), trained[0])
    for task in (1, 2, 3):
        for name in trained[0]:
            mean = torch.stack([one[name] for one in trained[:task]]).mean(0)
            assert torch.allclose(values(learner.sets[task])[name], mean, atol=1e-6)
        assert not torch.allclose(trained[task]["up"], learner.sets[task].up, atol=1e-4)
    assert same(starts[2], values(learner.sets[1])), "the next task starts from the collapsed set"
    assert same(values(learner.sets[1]), trained[0])
    assert shares.count(1 - 0.9**3) == 3 * 2, "two blocks and once after each of the two steps"
    assert MOS.marks(learner.options) == ("legacy",) and MOS.marks(mos().options) == ()


def test_legacy_without_merging_is_the_method(learn: Learn) -> None:
    found = []
    for legacy in (False, True):
        learner = mos(legacy=legacy, merge=0.0, weight_decay=0.0)
        learn(learner, tiny_stream(), 3)
        found.append(state.clone(learner.get_state()))
    assert same(*found)


# ----------------------------------------------------------------------------------------------------------- costs


def twenty_classes() -> Stream:
    """20 tasks of one class: the digits as they are and inverted; 6 training and 4 test images each."""

    def store(source: ImageStore, count: int) -> ImageStore:
        first = np.concatenate([np.flatnonzero(source.labels == label)[:count] for label in range(10)])
        x, y = source.pixels[first], source.labels[first]
        return ImageStore.from_arrays(np.concatenate([x, 255 - x]), np.concatenate([y, y + 10]))

    names = tuple(f"class{number}" for number in range(20))
    dataset = Dataset("digits20", store(digits().train, 6), store(digits().test, 4), names, "made in this test")
    options = IncrementalOptions(tasks=20)
    return class_incremental(dataset, options, name="digits20", version="1", order_seed=1, data_seed=1)


def test_twenty_tasks_cost_each_image_and_set_once_and_one_cholesky_per_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: Counter[tuple[bytes, bytes]] = Counter()
    factored: list[int] = []
    forward, cholesky = Adapters.forward, torch.linalg.cholesky_ex

    def counting(adapters: Adapters, backbone: Backbone, images: Tensor) -> Tensor:
        if not adapters.training and len(images) > 1:  # FLOPs are counted on one image aside
            who = adapters.down.detach().numpy().tobytes()
            passed.update((who, image.numpy().tobytes()) for image in images)
        return forward(adapters, backbone, images)

    def factoring(matrices: Tensor) -> Any:
        factored.append(len(matrices))
        return cholesky(matrices)

    monkeypatch.setattr(Adapters, "forward", counting)
    monkeypatch.setattr(torch.linalg, "cholesky_ex", factoring)
    learner, stream = mos(batch_size=6, ca_epochs=1), twenty_classes()
    record = run(learner, stream, tmp_path)
    inputs, _ = given(stream, 20)
    own = Counter(image.numpy().tobytes() for image in inputs.images(learner.backbone.transform))
    assert len(own) == len(inputs) == 80 and len(learner.sets) == 20
    tested = {key: count for key, count in passed.items() if key[1] in own}
    assert set(tested.values()) == {1}, "each (image, set) at most once, over 20 evaluations"
    assert 80 * 20 >= len(tested) > 80, "and more than one set is tried"
    assert set(passed.values()) == {1}, "the same for training images"
    assert sum(factored) == 20 and len(factored) == 19, "the first two tasks together, then one class a task"
    assert len(record["result"]["accuracy"]["cil_seen"]["correct"]) == 20
