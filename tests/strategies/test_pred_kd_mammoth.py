"""PredKD as Mammoth's LwF: predictions recorded once per task on unaugmented images, and a warm-up of the new head."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.bases.regularized import Regularized
from cl.errors import UsageError
from cl.parts.heads.growing import GrowingHead
from cl.parts.losses import LOSSES, softened_cross_entropy
from cl.plan.plan import make_plan
from cl.strategies.finetune import Finetune
from cl.strategies.pred_kd import PredKD
from cl.stream import View
from cl.training import state
from cl.training.batches import Batch
from tests.conftest import equal, make, run, tensors, tiny_stream

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"}
CLEAN: dict[str, Any] = {**FAST, "loss": "global", "pred_kd": 0.5, "teacher_view": "clean"}


class Watched(PredKD):
    """Calls `seen` at every warm-up, fit and batch."""

    def _warm_up(self, view: View) -> None:
        before = state.clone(tensors(self))
        super()._warm_up(view)
        self._seen("warm up", before)

    def fit(self, phase: str, *rest: Any, **keywords: Any) -> dict[str, Any]:
        self._seen("fit", (phase, keywords["epochs"]))
        return super().fit(phase, *rest, **keywords)

    def objective(self, batch: Batch, classes: tuple[int, ...]) -> Tensor:
        self._seen("batch", batch)
        return super().objective(batch, classes)

    def _seen(self, what: str, value: Any) -> None:
        """Replaced by tests."""


def watched(seen: Callable[[PredKD, str, Any], None], **options: Any) -> PredKD:
    return make(type("Watched", (Watched,), {"_seen": seen}), **options)


# ------------------------------------------------------------------------------------------------------------ formula


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_smoothed_probabilities_are_the_softmax_at_that_temperature(temperature: float) -> None:
    """p^(1/T) / sum p^(1/T), as the paper writes it, is softmax(z / T): no option tells them apart."""
    z, g = 3 * torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def smooth(logits: Tensor) -> Tensor:
        powers = logits.softmax(1) ** (1 / temperature)
        return powers / powers.sum(1, keepdim=True)

    assert torch.allclose(smooth(z), (z / temperature).softmax(1))
    by_hand = -(smooth(g) * smooth(z).log()).sum(1).mean()
    assert torch.allclose(softened_cross_entropy(z, g, temperature), by_hand)


def test_the_objective_is_cross_entropy_over_all_seen_plus_half_the_term(learn: Learn) -> None:
    learner, stream = make(PredKD, **CLEAN), tiny_stream()
    learn(learner, stream, 1)
    view = stream.view(1)
    old = learner._predictions(view)
    learner._said = old
    learner.head.grow_to(len(view.seen), torch.Generator().manual_seed(0))
    rows = torch.tensor([5, 0, 11, 3])
    batch = Batch(learner.backbone.transform(view.train.pixels(rows)).flip(-1), view.train.labels[rows], rows)
    with torch.no_grad():
        learner.head.blocks[0].weight.add_(0.1)
        z = learner.head(learner.backbone(batch.x))
        by_hand = F.cross_entropy(z, batch.y) + 0.5 * softened_cross_entropy(z, old[rows], 2.0)
        assert torch.allclose(learner.objective(batch, view.classes), by_hand)


# ----------------------------------------------------------------------------------------------------------- clean view


@pytest.mark.parametrize("memory", [0, 9])
@pytest.mark.parametrize("frozen", [{}, {"trains": "head"}, {"trains": "head", "augment": "none"}])
def test_targets_are_the_old_models_predictions_for_the_unaugmented_image(
    learn: Learn, memory: int, frozen: dict[str, Any]
) -> None:
    stream, count = tiny_stream(), []
    told: dict[str, Any] = {}

    def seen(self: PredKD, what: str, batch: Any) -> None:
        if what != "batch" or self.trainer.journal.task != 2:
            return
        new = batch.rows >= 0
        view = stream.view(2)
        assert torch.equal(batch.y[new], view.train.labels[batch.rows[new]])
        pixels: Tensor = view.train.pixels(batch.rows[new])
        if self.memory is not None:
            back = batch.rows[~new]
            assert len(back) and torch.equal(batch.y[~new], self.memory.labels[back])
            pixels = torch.cat([pixels, self.memory.pixels[back]])
        taught = self._taught(batch, torch.zeros(0))
        assert taught is not None
        with torch.no_grad():
            images = told["backbone"].transform(pixels)
            assert torch.allclose(taught[1], told["head"](told["backbone"](images)), atol=1e-5)
        assert frozen.get("augment") == "none" or not torch.equal(batch.x, images)
        count.append(len(batch))

    learner = watched(seen, **{**CLEAN, **frozen, "memory_size": memory})
    teacher = make(PredKD, **{**CLEAN, **frozen, "memory_size": memory})
    learn(teacher, stream, 2)
    told.update(backbone=teacher.backbone, head=teacher.head)
    learn(learner, stream, 3)
    assert sum(count) >= 48 and learner._said is None, "nothing is kept between tasks"


@pytest.mark.parametrize("loss", LOSSES)
def test_both_views_agree_without_augmentation(learn: Learn, loss: str) -> None:
    size = 0 if loss.endswith("local") else 10
    found = []
    for choice, weight in (("clean", 5.0), ("augmented", 5.0), ("clean", 0.0)):
        options = {**CLEAN, "loss": loss, "teacher_view": choice, "memory_size": size, "pred_kd": weight}
        learner = make(PredKD, **{**options, "augment": "none", "lr": 0.02})
        learn(learner, tiny_stream(), 3)
        found.append(torch.cat([tensor.flatten() for tensor in tensors(learner).values()]))
    clean, augmented, none = found
    assert float((clean - augmented).abs().max()) < 1e-5 < 2e-4 < float((clean - none).abs().max())


def test_without_weight_and_in_the_first_task_it_is_finetune(learn: Learn) -> None:
    for tasks, weight in ((3, 0.0), (1, 0.5)):
        base = make(Finetune, **FAST, loss="global")
        ours = make(PredKD, **{**CLEAN, "pred_kd": weight, "warmup_epochs": 0 if tasks == 3 else 4})
        learn(base, tiny_stream(), tasks)
        learn(ours, tiny_stream(), tasks)
        assert equal(base, ours)
        assert ours.trainer.cost.flops == base.trainer.cost.flops, "no pass for nothing"


def test_no_teacher_is_stored(tmp_path: Path) -> None:
    learner = make(PredKD, **CLEAN)
    record = run(learner, tiny_stream(tasks=2), tmp_path)
    parameters = [*learner.backbone.parameters(), *learner.head.parameters()]
    stored = record["measurement"]["stored"]
    assert learner.teacher is None and stored["samples"] == stored["statistics"] == 0
    assert stored["parameters"] <= 4 * sum(parameter.numel() for parameter in parameters)


def test_features_cannot_be_distilled_from_the_clean_view(learn: Learn) -> None:
    with pytest.raises(UsageError, match="feat_kd=0"):
        learn(make(PredKD, **CLEAN, feat_kd=1.0), tiny_stream(), 1)


# -------------------------------------------------------------------------------------------------------------- warm-up


@pytest.mark.parametrize("options", [{}, {"memory_size": 9}, {"trains": "head", "augment": "none", "memory_size": 9}])
def test_the_warm_up_trains_the_new_rows_alone(learn: Learn, options: dict[str, Any]) -> None:
    warmed: list[list[str]] = []
    modes: dict[str, set[bool]] = {"train": set(), "warm up": set()}
    phase = "train"

    def seen(self: PredKD, what: str, value: Any) -> None:
        nonlocal phase
        if what == "fit":
            phase = value[0]
        elif what == "warm up":
            after = tensors(self)
            warmed.append(sorted(name for name in after if name not in value or not after[name].equal(value[name])))

    learner = watched(seen, **{**CLEAN, **options, "warmup_epochs": 2})
    learner.backbone.register_forward_pre_hook(lambda module, inputs: modes[phase].add(module.training))
    learn(learner, tiny_stream(), 3)
    assert warmed == [["head1"], ["head2"]]
    if "trains" not in options:
        assert True in modes["train"] and modes["warm up"] == {False}, "features of the network in evaluation mode"


def test_the_warm_up_is_plain_gradient_descent_on_a_softmax_over_the_task(learn: Learn) -> None:
    """Two steps on the whole task by hand: no momentum, no weight decay, no schedule, no old columns."""
    options = {"augment": "none", "batch_size": 1000, "momentum": 0.9, "weight_decay": 0.1, "schedule": "cosine"}
    learner, stream = make(PredKD, **{**CLEAN, **options, "epochs": 4, "warmup_epochs": 2}), tiny_stream()
    learn(learner, stream, 1)
    view = stream.view(1)
    learner.trainer.journal.begin(1)
    features = learner.encode(view.train)
    learner._warm_up(view)
    drawn = GrowingHead(learner.backbone.dim)
    drawn.grow_to(len(view.classes), learner.init_rng("head"))
    weight, bias = drawn.blocks[0].weight.detach(), drawn.blocks[0].bias.detach()
    for _ in range(2):
        weight, bias = weight.requires_grad_(True), bias.requires_grad_(True)
        loss = F.cross_entropy(features @ weight.T + bias, view.train.labels - learner.head.widths[0])
        by_weight, by_bias = torch.autograd.grad(loss, (weight, bias))
        weight, bias = (weight - 0.05 * by_weight).detach(), (bias - 0.05 * by_bias).detach()
    assert torch.allclose(learner.head.blocks[1].weight, weight, atol=1e-6)
    assert torch.allclose(learner.head.blocks[1].bias, bias, atol=1e-6)


def test_the_warm_up_changes_later_training_and_lasts_as_many_epochs_as_told(learn: Learn) -> None:
    found = {}
    for epochs in (0, 3, -1):
        fits: list[Any] = []

        def seen(self: PredKD, what: str, value: Any, fits: list[Any] = fits) -> None:
            fits.extend([value] if what == "fit" else [])

        found[epochs] = watched(seen, **{**CLEAN, "warmup_epochs": epochs})
        learn(found[epochs], tiny_stream(), 2)
        warm_up = [("warm up", 3 if epochs == 3 else 2)] if epochs else []
        assert fits == [("train", 2), *warm_up, ("train", 2)]
    assert not equal(found[0], found[3]) and not equal(found[3], found[-1])


def test_old_rows_stay_though_the_task_has_images_of_old_classes(learn: Learn) -> None:
    learner, stream = make(PredKD, **{**CLEAN, "warmup_epochs": 2}), tiny_stream()
    learn(learner, stream, 1)
    before = state.clone(learner.head.get_state())
    rows = np.concatenate([experience.train for experience in stream.experiences[:2]])
    both = stream.view(1).seen
    learner.trainer.journal.begin(1)
    learner._warm_up(View(task=1, classes=both, seen=both, last=False, train=stream._images(rows)))
    assert torch.equal(learner.head.blocks[0].weight, before["weights"][0])
    assert torch.equal(learner.head.blocks[0].bias, before["biases"][0]) and learner.head.blocks[1].bias.abs().max() > 0


def test_a_task_without_new_classes_has_nothing_to_warm_up(learn: Learn) -> None:
    def seen(self: PredKD, what: str, value: Any) -> None:
        assert what != "fit" or value[0] == "train"

    learner, stream = watched(seen, **{**CLEAN, "warmup_epochs": 2}), tiny_stream()
    learn(learner, stream, 1)
    learner.trainer.journal.begin(1)
    learner.learn(stream.view(0))
    assert len(learner.head.blocks) == 1


# ------------------------------------------------------------------------------------------------------ killed, presets


@pytest.mark.parametrize("memory", [0, 9])
def test_a_killed_run_ends_in_the_same_result_and_records_no_prediction_twice(tmp_path: Path, memory: int) -> None:
    class Stop(BaseException):
        pass

    options = {**CLEAN, "memory_size": memory, "warmup_epochs": 3}
    whole = make(PredKD, **options)
    record = run(whole, tiny_stream(tasks=2), tmp_path / "whole")
    fit, predictions, features = PredKD.fit, PredKD._predictions, PredKD._features
    for phase, steps in (("warm up", 2), ("warm up", 7), ("train", 0), ("train", 5)):
        left, at = [steps], [""]
        recorded: list[int] = []

        def named(self: PredKD, name: str, *rest: Any, at: list[str] = at, **keywords: Any) -> Any:
            at[0] = name if self.trainer.journal.task else ""
            return fit(self, name, *rest, **keywords)

        def counted(self: PredKD, view: View, recorded: list[int] = recorded) -> Tensor:
            recorded.append(view.task)
            return predictions(self, view)

        def stop(self: PredKD, batch: Batch, phase: str = phase, left: list[int] = left, at: list[str] = at) -> Tensor:
            if at[0] == phase:
                left[0] -= 1
                if left[0] == -1:
                    raise Stop
            return features(self, batch)

        folder = tmp_path / f"{phase}{steps}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PredKD, "fit", named)
            patch.setattr(PredKD, "_predictions", counted)
            patch.setattr(PredKD, "_features", stop)
            with pytest.raises(Stop):
                run(make(PredKD, folder=folder, **options), tiny_stream(tasks=2), folder)
            assert recorded == [1]
            resumed = make(PredKD, folder=folder, **options)
            again = run(resumed, tiny_stream(tasks=2), folder)
        assert recorded == [1], "they were kept"
        assert again["measurement"]["resumed_from"] and again["result"] == record["result"], (phase, steps)
        assert equal(resumed, whole), (phase, steps)


def test_the_presets_are_mammoths_losses() -> None:
    plan = make_plan("pred-kd", "split-digits", preset="lwf-mammoth")
    o = plan.options
    assert (o.loss, o.pred_kd, o.temperature, o.teacher_view, o.warmup_epochs) == ("global", 0.5, 2.0, "clean", -1)
    assert (o.epochs, o.batch_size) == (3, 16), "the training is the benchmark's"
    defaults = make_plan("pred-kd", "split-digits")
    assert make_plan("pred-kd", "split-digits", preset="lwf-mc-mammoth").options == defaults.options


def test_the_base_class_does_not_have_these_options() -> None:
    assert not {"teacher_view", "warmup_epochs"} & set(vars(Regularized.Options()))
