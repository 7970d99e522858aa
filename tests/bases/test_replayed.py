"""Fine-tuning with a memory: without one it is finetune; which images are kept and how they enter the objective."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.bases.fine_tuning import FineTuning
from cl.errors import UsageError
from cl.parts.memory import herded
from cl.strategies.finetune import Finetune
from cl.strategies.replay import Replay
from cl.training import state
from cl.training.batches import Batch
from tests.conftest import equal, make, run, tiny_stream

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"}
FROZEN: dict[str, Any] = {**FAST, "trains": "head", "augment": "none", "lr": 0.5}
BYTES = 8 * 8 + 8  # a grey image and its label


class Watched(FineTuning):
    """Keeps the batches of every task."""

    def learn(self, view: Any) -> None:
        self._batches: list[Batch] = []
        super().learn(view)

    def objective(self, batch: Batch, classes: tuple[int, ...]) -> Tensor:
        self._batches.append(batch)
        return super().objective(batch, classes)


class WatchedFinetune(Watched, Finetune):
    pass


class WatchedReplay(Watched, Replay):
    pass


@pytest.mark.parametrize("loss", ["global", "local"])
@pytest.mark.parametrize("options", [FAST, FROZEN], ids=["all", "head"])
def test_without_a_memory_it_is_finetune_bit_for_bit(learn: Learn, loss: str, options: dict[str, Any]) -> None:
    replay, finetune = make(Replay, **options, loss=loss, memory_size=0), make(Finetune, **options, loss=loss)
    for learner in (replay, finetune):
        learn(learner, tiny_stream(), 3)
    assert equal(replay, finetune) and replay.stored()["samples"] == 0


def test_the_first_task_is_finetune_and_the_next_ones_are_not(learn: Learn) -> None:
    for tasks in (1, 2):
        replay, finetune = make(Replay, **FAST), make(Finetune, **FAST, loss="global")
        for learner in (replay, finetune):
            learn(learner, tiny_stream(), tasks)
        assert equal(replay, finetune) == (tasks == 1)


@pytest.mark.parametrize("size", [0, 5])
@pytest.mark.parametrize("options", [FAST, FROZEN], ids=["all", "head"])
def test_batches_of_new_images_are_those_of_finetune(learn: Learn, options: dict[str, Any], size: int) -> None:
    """Named streams: what is drawn for the memory takes nothing from the order and augmentation of new images."""
    replay = make(WatchedReplay, **options, memory_size=20, replay_batch_size=size)
    finetune = make(WatchedFinetune, **options, loss="global")
    mixed = learn(replay, tiny_stream(), 3, lambda s, v: s._batches)
    alone = learn(finetune, tiny_stream(), 3, lambda s, v: s._batches)
    for task in range(3):
        assert len(mixed[task]) == len(alone[task])
        for batch, new in zip(mixed[task], alone[task], strict=True):
            count = len(new)
            assert torch.equal(batch.x[:count], new.x) and torch.equal(batch.y[:count], new.y)
            assert len(batch) == count + (0 if task == 0 else size or count)


@pytest.mark.parametrize("policy", ["reservoir", "balanced", "herding"])
def test_remembered_images_are_those_of_earlier_tasks(learn: Learn, policy: str) -> None:
    learner = make(WatchedReplay, **{**FAST, "augment": "none"}, memory_size=20, memory_policy=policy)
    seen: dict[bytes, int] = {}

    def check(strategy: WatchedReplay, view: Any) -> None:
        transform = strategy.backbone.transform
        for batch in strategy._batches:
            new = len(batch) // 2 if view.task else len(batch)
            for x, y in zip(batch.x[new:], batch.y[new:].tolist(), strict=True):
                assert seen[x.numpy().tobytes()] == y
        images = transform(view.train.pixels(slice(None)))
        seen.update({x.numpy().tobytes(): y for x, y in zip(images, view.train.labels.tolist(), strict=True)})
        assert strategy.memory is not None
        kept = zip(transform(strategy.memory.pixels), strategy.memory.labels.tolist(), strict=True)
        assert all(seen[x.numpy().tobytes()] == y for x, y in kept)

    learn(learner, tiny_stream(), 3, check)


def test_herding_sees_the_features_of_classes_that_return(learn: Learn) -> None:
    """New classes are chosen among themselves; if classes return, the images in the memory are candidates too."""
    learner, stream = make(Replay, **FAST, memory_size=8, memory_policy="herding"), tiny_stream()
    learn(learner, stream, 1)
    memory = learner.memory
    assert memory is not None
    new, returning = (learner._herding(memory, stream.view(task)) for task in (1, 0))
    assert new is not None and returning is not None
    assert new.shape == (24, 16) and returning.shape == (8 + 24, 16)
    chosen = herded(returning[8:][stream.view(0).train.labels == 0], 4)
    pixels = stream.view(0).train.pixels(slice(None))[stream.view(0).train.labels == 0]
    assert torch.equal(memory.pixels[:4], pixels[chosen]), "features are those of the network after the task"


@pytest.mark.parametrize(("size", "policy"), [(10, "reservoir"), (25, "balanced"), (1000, "reservoir")])
def test_the_record_counts_the_images(tmp_path: Path, size: int, policy: str) -> None:
    learner = make(Replay, **{**FAST, "epochs": 1}, memory_size=size, memory_policy=policy)
    record = run(learner, tiny_stream(), tmp_path)
    held = min(size, 10 * 12)
    assert learner.memory is not None and len(learner.memory) == held
    assert record["measurement"]["stored"]["samples"] == held * BYTES
    if policy == "balanced":
        assert torch.bincount(learner.memory.labels).tolist() == [3] * 5 + [2] * 5


def test_a_frozen_backbone_encodes_the_memory_once_per_task(learn: Learn) -> None:
    learner = make(WatchedReplay, **FROZEN, memory_size=20)
    before = state.clone(dict(learner.backbone.model.state_dict()))
    calls: list[int] = []
    learner.backbone.register_forward_hook(lambda module, given, output: calls.append(len(output)))
    memories = learn(learner, tiny_stream(), 2, lambda s, v: state.clone(s.memory.get_state()))
    assert all(torch.equal(before[name], value) for name, value in learner.backbone.model.state_dict().items())
    assert calls.count(20) == 1, "once, in the second task"
    with torch.no_grad():
        known = learner.backbone(learner.backbone.transform(memories[0]["pixels"]))
    for batch in learner._batches:
        old, labels = batch.x[len(batch) // 2 :], batch.y[len(batch) // 2 :]
        place = torch.cdist(old, known).argmin(1)
        assert torch.allclose(old, known[place], atol=1e-5) and torch.equal(labels, memories[0]["labels"][place])


# ------------------------------------------------------------------------- with the losses of cl.bases.regularized


@pytest.mark.parametrize("loss", ["local", "bce-local"])
def test_local_losses_refuse_a_memory(learn: Learn, loss: str) -> None:
    with pytest.raises(UsageError, match=rf"loss={loss} .*loss=global or loss=bce, or memory_size=0\."):
        learn(make(Replay, **FAST, loss=loss), tiny_stream(), 1)


class ByHand(Replay):
    """Compares every loss after the first task with one computed from copies of the models."""

    def learn(self, view: Any) -> None:
        self._pairs: list[tuple[Tensor, Tensor]] = []
        super().learn(view)
        self._old = copy.deepcopy((self.backbone, self.head))

    def objective(self, batch: Batch, classes: tuple[int, ...]) -> Tensor:
        loss = super().objective(batch, classes)
        if classes[0]:
            assert set(batch.y.tolist()) & set(classes) and set(batch.y.tolist()) - set(classes)
            with torch.no_grad():
                self._pairs.append((loss.detach(), self._expected(batch, *self._old)))
        return loss

    def _expected(self, batch: Batch, old_backbone: Any, old_head: Any) -> Tensor:
        o, features = self.options, batch.x.ndim == 2
        g = old_head(batch.x if features else old_backbone(batch.x))
        z = self.head(batch.x if features else self.backbone(batch.x))
        old, hard = g.shape[1], F.one_hot(batch.y, z.shape[1]).float()
        if o.loss == "global":
            soft = -(F.softmax(g / 2, 1) * F.log_softmax(z[:, :old] / 2, 1)).sum(1).mean()
            return -(hard * F.log_softmax(z, 1)).sum(1).mean() + o.pred_kd * soft
        target = torch.cat([g.sigmoid(), hard[:, old:]], 1) if o.pred_kd else hard
        return -(target * F.logsigmoid(z) + (1 - target) * F.logsigmoid(-z)).mean()


@pytest.mark.parametrize("loss", ["global", "bce"])
@pytest.mark.parametrize("pred_kd", [0.0, 1.0])
@pytest.mark.parametrize("options", [FAST, FROZEN], ids=["all", "head"])
def test_remembered_images_enter_losses_and_distillation_like_new_ones(
    learn: Learn, loss: str, pred_kd: float, options: dict[str, Any]
) -> None:
    """Under sigmoids with a teacher the old columns of every image are the teacher's and the new ones its label's: the
    loss of iCaRL, in which a remembered image's own label means only that it is not new."""
    learner = make(ByHand, **options, loss=loss, pred_kd=pred_kd, temperature=2.0, memory_size=20)
    for module in learner.backbone.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for pairs in learn(learner, tiny_stream(), 3, lambda s, v: s._pairs)[1:]:
        found, expected = (torch.stack(side) for side in zip(*pairs, strict=True))
        assert len(found) >= 4 and torch.allclose(found, expected, rtol=1e-4)
