"""Methods that train each task from the pretrained weights and merge: what is trained, kept, restored and predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.bases.merged import Merging
from cl.errors import UsageError
from cl.parts.merging import Weights, added, norm
from cl.parts.weights import Lent
from cl.strategies.atlas import ATLAS
from cl.strategies.model_average import ModelAverage
from cl.strategies.model_stock import ModelStock
from cl.strategies.opcm import OPCM
from cl.strategies.task_arithmetic import TaskArithmetic
from cl.strategy import When
from cl.stream import Stream
from cl.testing.reachable import differences
from cl.training import state
from tests.conftest import make, run, tiny_stream
from tests.help.backbones import conv_backbone
from tests.help.merging import FAST, close, fine_tuned, merged, scores, task_vectors, watched, watching

Learn = Callable[..., list[Any]]


class Latest(Merging):
    """The network of the latest task."""

    def merge(self, vector: Weights) -> Mapping[str, Tensor]:
        return vector


# -------------------------------------------------------------------------------------------------------- training


def test_every_task_ends_in_the_weights_of_a_plain_loop_from_the_pretrained_ones(learn: Learn) -> None:
    learner = watched(Latest)
    start = state.clone(dict(learner.backbone.model.state_dict()))

    def check(strategy: Latest, view: Any) -> None:
        plain = fine_tuned(strategy, view.task, "fine-tuning 0", start, strategy.head.blocks[-1])
        network = added(strategy.backbone.pretrained(), strategy.merged.values)
        close({name: network[name] for name in plain}, plain, atol=1e-5)
        assert any(not torch.allclose(plain[name], start[name], atol=1e-3) for name in plain), "it trains"

    learn(learner, tiny_stream(), 3, check)


def test_a_fine_tuning_is_given_the_network_alone(learn: Learn) -> None:
    learner = watched(Latest, weight_decay=0.2, clip=0.5)
    learn(learner, tiny_stream(), 2)
    for task in range(2):
        spec = watching(learner).specs[task, "fine-tuning 0"]
        optimizer: Any = spec.optimizer
        assert optimizer.func is torch.optim.AdamW and optimizer.keywords["weight_decay"] == 0.2
        assert spec.clip == 0.5 and spec.epochs == 2 and len(spec.groups) == 1 and spec.groups[0]["lr"] == FAST["lr"]
        assert [id(p) for p in spec.trained] == [id(p) for p in learner.backbone.parameters()]


def test_the_rate_warms_up_and_follows_a_cosine() -> None:
    learner = watched(Latest, warmup=0.25)
    rates = [learner.rate(When(epoch, step, 4, 10)) for epoch in range(4) for step in range(10)]
    assert rates[:11] == pytest.approx([step / 10 for step in range(11)])
    assert rates[25] == pytest.approx(0.5) and rates[-1] == pytest.approx(0.0, abs=0.01) and max(rates) == 1.0
    assert watched(Latest, warmup=0.0).rate(When(0, 0, 1, 1)) == 1.0, "a fit of one step trains"


def test_the_backbone_is_pristine_after_every_task(learn: Learn) -> None:
    learner = watched(Latest)
    pretrained = state.clone(dict(learner.backbone.model.state_dict()))
    for found in learn(learner, tiny_stream(), 3, lambda s, v: (s.backbone.is_pristine, s.backbone.get_state())):
        assert found == (True, {})
    assert not list(differences(pretrained, dict(learner.backbone.model.state_dict())))


def test_training_that_moves_nothing_is_refused(learn: Learn) -> None:
    with pytest.raises(UsageError, match=r"the vector of task 0 is zero, .* raise the learning rate") as caught:
        learn(watched(Latest, lr=1e-60, epochs=1), tiny_stream(), 1)
    assert caught.value.exit_code == 2


# ----------------------------------------------------------------------------------------------------------- heads


def test_prototypes_are_the_means_of_the_pretrained_features(learn: Learn) -> None:
    learner = watched(Latest, temperature=0.1)

    def check(strategy: Latest, view: Any) -> None:
        with torch.no_grad():
            images = strategy.backbone.transform(view.train.pixels(slice(None)))
            features = F.normalize(strategy.backbone(images), dim=1)  # pretrained: the backbone is pristine
        for row, position in zip(strategy.head.blocks[-1].weight, view.classes, strict=True):
            mean = features[view.train.labels == position].mean(0)
            assert torch.allclose(row, mean / mean.norm() / 0.1, atol=1e-4)

    learn(learner, tiny_stream(), 3, check)
    assert learner.head.blocks[0].bias is None
    first = [block.weight.clone() for block in learner.head.blocks]
    learn(other := watched(Latest, temperature=0.1), tiny_stream(), 4)
    assert all(torch.equal(one, block.weight) for one, block in zip(first, other.head.blocks, strict=False))


def test_predictions_are_cosines_of_the_merged_network(learn: Learn) -> None:
    learner = watched(Latest)
    learn(learner, tiny_stream(), 2)
    stream = tiny_stream()
    images = torch.from_numpy(stream.store("test").pixels[stream.test_rows(range(5))[0]]).permute(0, 3, 1, 2)
    network = Lent(learner.backbone, added(learner.backbone.pretrained(), learner.merged.values))
    with torch.no_grad():
        features = F.normalize(network(learner.backbone.transform(images)), dim=1)
    rows = torch.cat([block.weight for block in learner.head.blocks])
    assert torch.allclose(scores(learner), features @ rows.T, atol=1e-4)


def test_a_linear_head_trains_in_the_first_fine_tuning_and_is_shared_by_the_second(learn: Learn) -> None:
    learner = watched(ModelStock, head="linear", head_lr=0.02)
    learn(learner, tiny_stream(), 2)
    for task in range(2):
        groups = watching(learner).specs[task, "fine-tuning 0"].groups
        assert [group["lr"] for group in groups] == [FAST["lr"], 0.02]
        if task == 1:
            assert [id(p) for p in groups[1]["params"]] == [id(p) for p in learner.head.blocks[1].parameters()]
        assert len(watching(learner).specs[task, "fine-tuning 1"].groups) == 1


def test_the_alignment_trains_all_heads_and_nothing_else(learn: Learn) -> None:
    plain, aligned = watched(ModelAverage), watched(ModelAverage, align_epochs=2, align_samples=8)
    learn(plain, tiny_stream(), 2)
    learn(aligned, tiny_stream(), 2)
    assert (0, "alignment") not in watching(aligned).specs, "there is one head in the first task"
    spec = watching(aligned).specs[1, "alignment"]
    assert [id(p) for p in spec.trained] == [id(p) for p in aligned.head.parameters()]
    close(merged(plain), merged(aligned), atol=0)
    assert all(not torch.equal(a.weight, b.weight) for a, b in zip(plain.head.blocks, aligned.head.blocks, strict=True))
    assert len(aligned.gaussians) == aligned.head.classes and len(plain.gaussians) == 0
    assert Latest.needs(aligned.options).images_per_class == 2 and Latest.needs(plain.options).images_per_class == 1


def test_statistics_are_those_of_the_merged_network(learn: Learn) -> None:
    learner = watched(ModelAverage, align_epochs=1, align_samples=8)

    def check(strategy: ModelAverage, view: Any) -> None:
        with torch.no_grad():
            images = strategy.backbone.transform(view.train.pixels(slice(None)))
            features = F.normalize(strategy.extractor()(images), dim=1)
        for position in view.classes:
            mean = features[view.train.labels == position].mean(0)
            assert torch.allclose(strategy.gaussians.mean[position], mean, atol=1e-5)

    learn(learner, tiny_stream(), 2, check)


# -------------------------------------------------------------------------------------------------------- networks


def test_each_image_is_encoded_once_per_merged_vector(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, passes = watched(ModelAverage), []
    encode = Lent.__call__

    def counted(self: Lent, images: Tensor) -> Tensor:
        passes.append(len(images))
        return encode(self, images)

    monkeypatch.setattr(Lent, "__call__", counted)
    for_task: list[int] = []

    def check(strategy: ModelAverage, view: Any) -> None:
        passes.clear()
        network = strategy.extractor()
        first = scores(strategy)
        for_task.append(sum(passes))
        passes.clear()
        assert torch.equal(scores(strategy), first) and not passes
        assert strategy.extractor() is network and not network.is_pristine

    learn(learner, tiny_stream(), 2, check)
    assert for_task[0] == for_task[1] > 0


def test_before_the_first_task_the_network_is_the_pretrained_one(learn: Learn) -> None:
    learner = watched(OPCM)
    learn(learner, tiny_stream(), 0)
    assert learner.extractor() is learner.backbone and scores(learner).shape == (60, 0)


def test_running_statistics_belong_to_the_vector(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    found = task_vectors(monkeypatch, TaskArithmetic)
    learner = watched(TaskArithmetic, conv_backbone(), scale=40.0)
    pretrained = state.clone(dict(learner.backbone.model.state_dict()))
    learn(learner, tiny_stream(), 3)
    names = {"bn1.running_mean", "bn1.running_var", "bn2.running_mean", "bn2.running_var"}
    assert names <= set(found[0]) and not any("num_batches" in name for name in found[0])
    assert all(vector[name].abs().max() > 0 for vector in found for name in names)
    assert not list(differences(pretrained, dict(learner.backbone.model.state_dict()))), "counts of batches, too"
    network = added(learner.backbone.pretrained(), learner.merged.values)
    for name in ("bn1.running_var", "bn2.running_var"):
        alone = pretrained[name] + sum(40.0 * vector[name] for vector in found)
        assert float(network[name].min()) >= 0 > float(alone.min()), "a variance would be negative"
    assert torch.isfinite(scores(learner)).all()


def test_batch_norms_train_on_the_batches_of_their_task(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    found = task_vectors(monkeypatch, Latest)
    learner = watched(Latest, conv_backbone(), batch_size=23)  # the last image joins the batch before
    learn(learner, tiny_stream(), 1)
    sizes = {len(batch) for batch in watching(learner).batches[0, "fine-tuning 0"]}
    assert sizes == {24} and torch.isfinite(found[0]["bn1.running_var"]).all()
    network = learner.extractor()
    images = torch.rand(4, 3, 8, 8) * 2 - 1
    with torch.no_grad():
        alone = torch.cat([network(image[None]) for image in images])
        assert torch.allclose(network(images), alone, atol=1e-5), "features do not depend on the batch"


# ------------------------------------------------------------------------------------------------ state and resume


def test_the_merged_vector_and_the_head_are_what_is_stored(learn: Learn) -> None:
    learner = watched(ModelAverage)
    learn(learner, tiny_stream(), 3)
    network = sum(p.numel() for p in learner.backbone.parameters())
    head = learner.head.classes * learner.backbone.dim
    assert learner.stored() == {"samples": 0, "statistics": 0, "parameters": 4 * (network + head)}
    assert len(learner.fresh) == 0


class Killed(BaseException):
    """The process is killed."""


def two_tasks() -> Stream:
    return tiny_stream(tasks=2, train_per_class=6)


def kill_after(learner: Merging, task: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop at the end of a call of `fit` or `compute`."""
    finish = learner.trainer.journal.finish

    def stop(key: Any, strategy: Any, result: Any) -> None:
        finish(key, strategy, result)
        if (key.task, key.name) == (task, name):
            raise Killed

    monkeypatch.setattr(learner.trainer.journal, "finish", stop)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (OPCM, "prototypes"),
        (OPCM, "fine-tuning 0"),
        (OPCM, "task vector 0"),
        (OPCM, "merge"),
        (ModelStock, "task vector 0"),
        (ModelStock, "fine-tuning 1"),
        (ModelStock, "task vector 1"),
        (ModelStock, "class statistics"),
        (ATLAS, "keep"),
        (ATLAS, "coefficients"),
    ],
)
def test_a_run_that_is_killed_in_the_second_task_ends_with_the_same_bits(
    method: type[Merging], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**FAST, "epochs": 1, "align_epochs": 1, "align_samples": 4}
    if method is ATLAS:
        options.update(coefficient_epochs=2, coefficient_lr=0.05, memory_size=12, partitions=2)
    whole = make(method, **options)
    expected = run(whole, two_tasks(), tmp_path / "whole")["result"]
    first = make(method, folder=tmp_path, **options)
    kill_after(first, 1, name, monkeypatch)
    with pytest.raises(Killed):
        run(first, two_tasks(), tmp_path / "killed")
    second = make(method, folder=tmp_path, **options)
    found = run(second, two_tasks(), tmp_path / "killed")["result"]
    assert found == expected
    assert not list(differences(whole.get_state(), second.get_state()))


def test_a_restored_state_predicts_the_same(learn: Learn) -> None:
    learner, other = watched(OPCM), watched(OPCM)
    learn(learner, tiny_stream(), 2)
    learn(other, tiny_stream(), 0)
    other.set_state(state.clone(learner.get_state()))
    assert torch.equal(scores(learner), scores(other)) and other.extractor().key == learner.extractor().key
    assert other.length == learner.length and norm(other.merged.values) == norm(learner.merged.values)


def test_a_base_without_merge_says_so(learn: Learn) -> None:
    with pytest.raises(NotImplementedError):
        learn(watched(Merging), tiny_stream(), 1)
