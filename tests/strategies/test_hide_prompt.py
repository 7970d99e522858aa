"""HiDe-Prompt: the invariants of the paper; the ones that NoRGa shares are tested for both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from timm.scheduler.cosine_lr import CosineLRScheduler
from timm.scheduler.step_lr import StepLRScheduler
from torch import Tensor, nn

from cl.errors import UsageError
from cl.parts.attached.prefixes import Prefix, prefixed
from cl.parts.heads.growing import GrowingHead
from cl.parts.losses import local_cross_entropy
from cl.strategies.hide_prompt import HiDePrompt
from cl.strategies.norga import NoRGa
from cl.strategy import Inputs, StoredImages, Strategy
from cl.stream import StreamInfo, View
from cl.testing import tiny_backbone
from cl.training import state
from cl.training.batches import Batch
from cl.training.optim import When, adam
from tests.conftest import make, run, tiny_stream
from tests.help.compare import same
from tests.help.hide_prompt import FAST, images_of, of, preset, scores

Learn = Callable[..., list[Any]]
PLAIN: dict[str, Any] = {"prompt_momentum": 0.0, "reg": 0.0, "ca_epochs": 0, "tii_ca_epochs": 0}
BOTH = pytest.mark.parametrize("method", [HiDePrompt, NoRGa])


def hide(method: type[HiDePrompt] = HiDePrompt, **options: Any) -> HiDePrompt:
    return make(method, **{**FAST, **options})


# ------------------------------------------------------------------------------------------------ what stays put


@BOTH
def test_the_backbone_and_finished_prompts_stay_bit_identical(method: type[HiDePrompt], learn: Learn) -> None:
    learner = hide(method)
    kept = learn(learner, tiny_stream(), 3, lambda s, v: state.clone(s.prompts.get_state()["prompts"]))
    pretrained = tiny_backbone().model.state_dict()
    assert all(torch.equal(value, pretrained[name]) for name, value in learner.backbone.model.state_dict().items())
    for task, prompts in enumerate(kept):
        assert len(prompts) == task + 1 and same(prompts, kept[-1][: task + 1])
    assert not torch.equal(kept[-1][0], kept[-1][1])


@BOTH
def test_alignment_changes_only_the_classifier_it_aligns(
    method: type[HiDePrompt], learn: Learn, fits: list[dict[str, Any]]
) -> None:
    learn(hide(method), tiny_stream(), 3)
    for phase, part in (("head alignment", "head"), ("task inference alignment", "tii")):
        found = of(fits, phase)
        assert len(found) == 2, "there is none after the first task"
        for fit in found:
            changed = {name for name in fit["before"] if not same(fit["before"][name], fit["after"][name])}
            assert changed == {part}
        old = found[-1]["before"][part], found[-1]["after"][part]
        blocks = [value["weights" if part == "head" else "head"] for value in old]
        blocks = blocks if part == "head" else [block["weights"] for block in blocks]
        assert not torch.equal(blocks[0][0], blocks[1][0]), "columns of old classes are aligned too"
    assert [fit["phase"] for fit in fits[:3]] == ["task inference", "prompt", "task inference"]


def test_local_training_leaves_old_columns_alone(learn: Learn, fits: list[dict[str, Any]]) -> None:
    learn(hide(), tiny_stream(), 3)
    before, after = (of(fits, "prompt")[2][when]["head"]["weights"] for when in ("before", "after"))
    assert same(before[:2], after[:2]) and not torch.equal(before[2], after[2])


# -------------------------------------------------------------------------------------------- what it is made of


class Plain(Strategy):
    """Prefix tuning with a local cross-entropy, a copied prompt per task: S-Prompt with prefixes."""

    class Options(HiDePrompt.Options, Strategy.Options):
        pass

    def setup(self, info: StreamInfo) -> None:
        self.prompts = nn.ParameterList()
        self.head = GrowingHead(self.backbone.dim)

    def learn(self, view: View) -> None:
        drawn = torch.empty(2, 2, 3, self.backbone.dim).uniform_(-1, 1, generator=self.init_rng("prompt"))
        prompt = nn.Parameter(self.prompts[-1].detach().clone() if len(self.prompts) else drawn)
        self.prompts.append(prompt)
        self.head.grow_to(len(view.seen), self.init_rng("head"))

        def loss(batch: Batch) -> Tensor:
            given = {i: Prefix(prompt[i, 0], prompt[i, 1]) for i in range(2)}
            return local_cross_entropy(self.head(prefixed(self.backbone, batch.x, given)), batch.y, view.classes)

        groups = [{"params": [prompt], "lr": 0.05}, {"params": self.head.parameters(), "lr": 0.05 * 0.1}]
        self.fit("prompt", self.batches(view.train, 16, "crop-flip"), loss, groups, epochs=1, optimizer=adam(0.05),
                 clip=1.0)  # fmt: skip


def test_without_its_parts_it_is_plain_prefix_tuning(learn: Learn) -> None:
    learner, plain = hide(**PLAIN), make(Plain)
    for each in (learner, plain):
        learn(each, tiny_stream(), 3)
    assert same([p.detach() for p in learner.prompts.prompts], [p.detach() for p in plain.prompts])
    assert same(learner.head.get_state(), plain.head.get_state())


@pytest.mark.parametrize("part", ["prompt_momentum", "reg", "ca_epochs"])
def test_each_part_does_something(part: str, learn: Learn) -> None:
    options = {**PLAIN, part: FAST.get(part, 5.0)}
    learner, without = hide(**options), hide(**PLAIN)
    for each in (learner, without):
        learn(each, tiny_stream(), 2)
    assert not same(learner.head.get_state(), without.head.get_state())
    assert same(learner.tii.get_state(), without.tii.get_state())


def test_a_prompt_starts_from_the_committed_prompt_of_the_task_before(learn: Learn, fits: list[dict[str, Any]]) -> None:
    learner = hide()
    learn(learner, tiny_stream(), 2)
    starts, ends = ([fit[when]["prompts"]["prompts"][-1] for fit in of(fits, "prompt")] for when in ("before", "after"))
    assert torch.equal(starts[1], learner.prompts.prompts[0])
    assert torch.allclose(learner.prompts.prompts[1], 0.8 * ends[1] + 0.2 * ends[0]), "momentum 0.2"


def test_rates_clipping_and_steps(learn: Learn, fits: list[dict[str, Any]]) -> None:
    learner, stream = hide(), tiny_stream()
    learn(learner, stream, 3)
    for task, fit in enumerate(of(fits, "prompt")):
        prompt, head = fit["params"]
        assert [p is learner.prompts.prompts[task] for p in prompt["params"]] == [True]
        assert head["lr"] == pytest.approx(0.1 * prompt["lr"]) and fit["clip"] == 1.0
    steps = [fit["data"].steps for fit in of(fits, "head alignment")]
    widths = learner.head.widths
    assert steps == [widths[0], widths[0] + widths[1]], "one step per old class"
    fits.clear()
    learn(hide(ca_steps="all"), stream, 2)
    assert [fit["data"].steps for fit in of(fits, "head alignment")] == [widths[0] + widths[1]]


@pytest.mark.parametrize(("statistics", "rows"), [("full", 1), ("diagonal", 1), ("centroids", 3)])
def test_prototypes_of_the_contrastive_term(
    statistics: str, rows: int, learn: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []

    def spy(features: Tensor, prototypes: Tensor) -> Tensor:
        seen.append(prototypes)
        return features.sum() * 0

    monkeypatch.setattr("cl.strategies.hide_prompt.contrastive", spy)
    learner = hide(statistics=statistics, centroids=3, batch_size=64)
    before = learn(learner, tiny_stream(), 2, lambda s, v: (s.head.classes, s.instructed.mean.clone()))
    assert len(seen[0]) == 0, "the first task has only the batch itself"
    assert len(seen[-1]) == rows * before[0][0] and torch.equal(seen[-1], before[0][1])


def test_statistics_are_of_clean_images_under_the_committed_prompt(learn: Learn) -> None:
    learner, stream = hide(), tiny_stream()

    def look(learner: Any, view: View) -> None:
        images = learner.backbone.transform(view.train.pixels(torch.arange(len(view.train))))
        given = {i: Prefix(*learner.prompts.prompts[view.task][i]) for i in range(2)}
        with torch.no_grad():
            features = {
                "uninstructed": learner.backbone(images),
                "instructed": prefixed(learner.backbone, images, given),
            }
        for name, x in features.items():
            for position in view.classes:
                own = x[view.train.labels == position].double().numpy()
                gaussians = getattr(learner, name)
                assert np.allclose(gaussians.mean[position], own.mean(0), atol=1e-5)
                assert np.allclose(gaussians.covariance[position], np.cov(own.T) + 1e-4 * np.eye(16), atol=1e-5)

    learn(learner, stream, 3, look)
    assert not torch.allclose(learner.uninstructed.mean, learner.instructed.mean, atol=1e-3)


# ------------------------------------------------------------------------------------------------- task inference


def test_images_are_prompted_for_their_inferred_task(learn: Learn) -> None:
    learner, pixels = hide(tii_epochs=10), images_of(tiny_stream())
    learn(learner, tiny_stream(), 3)
    images = learner.backbone.transform(pixels)
    tasks = learner.tii.tasks(learner.backbone(images))
    assert len(tasks.unique()) == 3, "images of every task"
    found = scores(learner, pixels)
    for image, task, row in zip(images, tasks.tolist(), found, strict=True):
        given = {i: Prefix(*learner.prompts.prompts[task][i]) for i in range(2)}
        expected = learner.head(prefixed(learner.backbone, image[None], given))[0]
        assert torch.allclose(row, expected, atol=1e-5)


@BOTH
def test_a_told_task_makes_inference_irrelevant(method: type[HiDePrompt], learn: Learn) -> None:
    learner, pixels = hide(method, tii_epochs=10), images_of(tiny_stream())
    learn(learner, tiny_stream(), 3)
    told = [scores(learner, pixels, task) for task in range(3)]
    free = scores(learner, pixels)
    with torch.no_grad():
        for parameter in learner.tii.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(0))
    assert all(torch.equal(scores(learner, pixels, task), told[task]) for task in range(3))
    assert not torch.equal(scores(learner, pixels), free)
    assert not torch.allclose(told[0], told[2], atol=1e-3)
    assert torch.equal(scores(learner, pixels, 7), told[2]), "a task to come: the last prompt"


def test_a_run_is_also_evaluated_with_the_task_told(tmp_path: Path) -> None:
    record = run(hide(), tiny_stream(), tmp_path, max_tasks=2)
    assert {"cil_seen", "til_masked", "til_oracle"} <= set(record["result"]["strategy"]["rules"])


def test_finished_prompts_compute_each_image_once(learn: Learn) -> None:
    learner, stream = hide(), tiny_stream()
    learn(learner, stream, 3)
    encodings, (rows, _, _) = learner.trainer.encodings, stream.test_rows(range(3))
    learner.trainer.cost.flops["executed"] = 0.0
    inputs = Inputs(None, "cpu", StoredImages(encodings, stream.dataset.test, rows))
    first = learner.predict(inputs)
    once = learner.trainer.cost.flops["executed"]
    assert once > 0 and torch.equal(learner.predict(inputs), first)
    assert learner.trainer.cost.flops["executed"] == once
    assert torch.allclose(first, scores(learner, inputs._pixels), atol=1e-5)


# -------------------------------------------------------------------------------------------------------- layout


def moves(learner: HiDePrompt, pixels: Tensor) -> tuple[float, float]:
    """How far scores move when the images are shuffled, and when each comes alone."""
    together, order = scores(learner, pixels), torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    shuffled = scores(learner, pixels[order])
    alone = torch.cat([scores(learner, image[None]) for image in pixels])
    return float((together[order] - shuffled).abs().max()), float((together - alone).abs().max())


@BOTH
def test_the_correct_layout_does_not_depend_on_the_batch_and_the_legacy_one_does(
    method: type[HiDePrompt], learn: Learn
) -> None:
    pixels = images_of(tiny_stream())
    for layout, dependent in (("correct", False), ("legacy", True)):
        learner = hide(method, prompt_layout=layout, tii_epochs=10)
        learn(learner, tiny_stream(), 3)
        for moved in moves(learner, pixels):
            assert (moved > 1e-2) if dependent else (moved < 1e-5)
    assert method.marks(hide(method).options) == ()
    assert set(method.marks(hide(method, prompt_layout="legacy").options)) == {"batch-dependent", "legacy"}


def test_no_prefix_leaves_the_frozen_model(learn: Learn) -> None:
    for options in ({"length": 0}, {"layers": ()}):
        learner, pixels = hide(**options), images_of(tiny_stream())
        learn(learner, tiny_stream(), 2)
        with torch.no_grad():
            frozen = learner.head(learner.backbone(learner.backbone.transform(pixels)))
        assert torch.allclose(scores(learner, pixels), frozen, atol=1e-5)


def test_blocks_that_the_backbone_lacks_are_refused(learn: Learn) -> None:
    with pytest.raises(UsageError, match="has 2"):
        learn(hide(layers=(0, 2)), tiny_stream(), 1)


# ------------------------------------------------------------------------------------------------------- presets


def test_the_preset_of_5_datasets_is_the_script() -> None:
    found = preset("hide-prompt", "5-datasets", ".augreg_in21k")
    assert (found["batch_size"], found["lr"], found["tii_lr"]) == (4 * 32, 0.03 * 32 / 256, 0.001 * 32 / 256)
    assert (found["tii_ca_lr"], found["tii_ca_samples"]) == (0.005 * 32 / 256, 32)
    assert (found["ca_lr"], found["ca_samples"], found["clip"], found["tii_clip"]) == (0.005, 5 * 32, 2.0, 1.0)


def test_presets_have_timms_schedules() -> None:
    assert HiDePrompt.Options().milestones == (31,)
    for stream in ("split-cifar100", "cub-200"):
        assert preset("hide-prompt", stream, ".augreg_in21k")["milestones"] == [31]
    assert preset("hide-prompt", "imagenet-r", ".augreg_in21k")["schedule"] == "timm-cosine"


def test_presets_of_self_supervised_weights() -> None:
    for weights in (".dino", "@ibot.pth", "@mocov3.pth"):
        found = preset("hide-prompt", "split-cifar100", weights)
        assert (found["epochs"], found["prompt_momentum"], found["reg"]) == (20, 0.1, 0.1)
        found = preset("hide-prompt", "imagenet-r", weights)
        assert (found["epochs"], found["schedule"], found["prompt_momentum"]) == (50, "constant", 0.01)
    assert preset("hide-prompt", "cub-200", "@ibot21k.pth")["tii_lr"] == 0.0005 * 24 / 256


def test_step_learning_rates_of_timm(learn: Learn, fits: list[dict[str, Any]]) -> None:
    learn(hide(epochs=1), tiny_stream(), 1)
    found = of(fits, "prompt")[0]["schedule"]
    theirs = StepLRScheduler(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0), decay_t=30, decay_rate=0.1)
    for epoch in range(50):
        assert found(When(epoch, 0, 50, 9)) == pytest.approx(theirs.optimizer.param_groups[0]["lr"])
        theirs.step(epoch)


def test_the_cosine_of_timm_ends_at_its_lowest_rate(learn: Learn, fits: list[dict[str, Any]]) -> None:
    learn(hide(schedule="timm-cosine", lr=0.02), tiny_stream(), 1)
    found = of(fits, "prompt")[0]["schedule"]
    theirs = CosineLRScheduler(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.02), t_initial=150, lr_min=1e-5)
    for epoch in range(150):
        assert 0.02 * found(When(epoch, 0, 150, 9)) == pytest.approx(theirs.optimizer.param_groups[0]["lr"])
        theirs.step(epoch)


def test_task_inference_has_its_own_clip(learn: Learn, fits: list[dict[str, Any]]) -> None:
    learn(hide(clip=2.0, tii_clip=0.5), tiny_stream(), 2)
    assert [fit["clip"] for fit in of(fits, "task inference")] == [0.5, 0.5]
    assert [fit["clip"] for fit in of(fits, "prompt")] == [2.0, 2.0]
    assert hide().options.tii_clip == 1.0
