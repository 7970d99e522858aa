"""HiDe-Prompt (thu-ml/HiDe-Prompt @ 0ed433334ff2) and NoRGa (Minhchuyentoancbn/MoE_PromptCL @ e418337fe9af)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cl.parts.heads import TaskInference
from cl.strategies.hide_prompt import HiDePrompt
from cl.strategies.norga import NoRGa
from cl.training.batches import Source
from cl.training.fit import FitSpec
from tests.help.oracles import Oracle, features, losses_of, names, replay, rows
from tests.help.oracles_prompts import compare_head, learner_of, set_rows

UNTESTED: dict[str, Any] = {"tii_epochs": 1, "tii_ca_epochs": 0, "tii_augment": "none", "augment": "none"}


def with_prompts(method: type[HiDePrompt], oracle: Oracle, prompts: Tensor, **options: Any) -> HiDePrompt:
    """A learner with the prompts [blocks, 2, tasks, L, d] of a file."""
    blocks, _, tasks, length, _ = prompts.shape
    learner = learner_of(
        method, oracle, tasks=tasks, layers=tuple(range(blocks)), length=length, prompt_layout=oracle.meta["layout"],
        **options,
    )  # fmt: skip
    for task in range(tasks):
        learner.prompts.add(prompts[:, :, task])
    return learner


def compare_passes(oracle: Oracle, learner: HiDePrompt, prefix: str = "") -> None:
    """Compare features under the ensembles of two tasks, and with the prompt of each image."""
    images, prompts = oracle.images(), learner.prompts
    with torch.no_grad():
        for task in (0, 2):
            h = prompts(learner.backbone, images, prompts.ensemble(task, oracle.meta["momentum"]))
            oracle.compare("forward", h, oracle.tensor(f"{prefix}ensemble/{task}"))
        own = torch.stack(list(prompts.prompts))[oracle.tensor("ids")]
        oracle.compare("forward", prompts(learner.backbone, images, own), oracle.tensor(f"{prefix}mixed"))


@pytest.mark.parametrize("name", names("forward-hide"))
def test_features_under_the_ensemble_and_with_the_prompt_of_each_image(name: str) -> None:
    oracle = Oracle(name)
    compare_passes(oracle, with_prompts(HiDePrompt, oracle, oracle.tensor("prompts")))


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "gelu"])
@pytest.mark.parametrize("name", names("forward-norga"))
def test_features_with_gates(name: str, activation: str) -> None:
    oracle = Oracle(name)
    learner = with_prompts(NoRGa, oracle, oracle.tensor("prompts"), activation=activation)
    set_gates(learner, oracle.tensor("act_scale"))
    compare_passes(oracle, learner, f"{activation}/")


def set_gates(learner: HiDePrompt, scales: Tensor) -> None:
    with torch.no_grad():
        learner.prompts.alpha_in.copy_(scales[:, 0])
        learner.prompts.alpha_out.copy_(scales[:, 1])


@pytest.mark.parametrize("widths", [(2,), (4, 4), (2, 3, 2)])
def test_the_mlp_of_task_inference(widths: tuple[int, ...]) -> None:
    oracle, start = Oracle("forward-tii-a"), "-".join(map(str, widths))
    tii = TaskInference(oracle.meta["dim"], widths, torch.Generator())
    assert tii.mlp is not None
    linear = [layer for layer in tii.mlp if isinstance(layer, torch.nn.Linear)]
    x = oracle.tensor("features")
    with torch.no_grad():
        for i, layer in enumerate(linear):
            layer.weight.copy_(oracle.tensor(f"{start}/weight/{i}"))
            layer.bias.copy_(oracle.tensor(f"{start}/bias/{i}"))
        found = tii.norm(x + tii.mlp(x))
    oracle.compare("forward", found, oracle.tensor(f"{start}/output"))


def class_means(oracle: Oracle, learner: HiDePrompt, task: int) -> Tensor:
    """Means of the two new classes, under the committed prompt, with all images of the task in one batch."""
    with torch.no_grad():
        h = learner.prompts(learner.backbone, oracle.images(f"pixels/{task}"), learner.prompts.prompts[task])
    labels = oracle.tensor(f"labels/{task}")
    return torch.stack([h[labels == label].mean(0) for label in labels.unique()])


@pytest.mark.parametrize("name", [*names("train-hide"), *names("train-norga")])
def test_learning_prompts_ends_in_the_same_weights(name: str) -> None:
    oracle = Oracle(name)
    meta, prompt = oracle.meta, oracle.tensor("init/prompt")
    method, chosen = (NoRGa, {"activation": meta["activation"]}) if meta["activation"] else (HiDePrompt, {})

    def begin(learner: HiDePrompt, task: int, phase: str) -> None:
        if phase == "prompt":
            set_rows(learner.head, oracle.tensor("init/head_weight"))
            if task == 0:  # later prompts start from the one before
                learner.prompts.prompts[0].copy_(prompt)

    def after(learner: HiDePrompt, task: int) -> None:
        oracle.compare("training", learner.prompts.prompts[task], oracle.tensor(f"final/{task}/prompt"))
        means = oracle.tensor(f"final/{task}/means")
        oracle.compare("training", class_means(oracle, learner, task), means[-2:])
        learner.instructed.mean.copy_(means)  # of the legacy layout: the file has a task in one batch, ours a class
        if chosen:
            gates = torch.stack([learner.prompts.alpha_in, learner.prompts.alpha_out], 1)
            oracle.compare("training", gates, oracle.tensor(f"final/{task}/act_scale"))
        compare_head(oracle, learner.head, task)
        oracle.compare("loss", losses_of(learner)[task, "prompt"], oracle.tensor(f"loss/{task}"))

    replay(
        method, oracle, {"prompt": rows(oracle)}, begin=begin, after=after, **UNTESTED, **chosen, ca_epochs=0,
        epochs=meta["epochs"], lr=meta["lr"], head_lr_scale=meta["head_lr"] / meta["lr"], reg=meta["reg"],
        layers=tuple(range(len(prompt))), length=prompt.shape[2], prompt_momentum=meta["momentum"],
        prompt_layout=meta["layout"], statistics="full",
    )  # fmt: skip


@pytest.mark.parametrize(("name", "method"), [("train-align-hide-a", HiDePrompt), ("train-align-norga-a", NoRGa)])
def test_the_alignment_of_the_head_ends_in_the_same_weights(name: str, method: type[HiDePrompt]) -> None:
    oracle = Oracle(name)
    meta, drawn = oracle.meta, features(oracle)

    def begin(learner: HiDePrompt, task: int, phase: str) -> None:
        if phase == "head alignment":
            for block, *start in zip(
                learner.head.blocks,
                *(oracle.tensor(f"start/{task}/head_{part}").split(2) for part in ("weight", "bias")),
                strict=True,
            ):
                block.weight.copy_(start[0])
                block.bias.copy_(start[1])

    def given(task: int, spec: FitSpec) -> Source:
        (batch, *_) = spec.data.epoch(0, lambda name: torch.Generator())
        assert (spec.data.steps, len(batch.x)) == (meta["steps_per_epoch"][task - 1], meta["samples_per_class"])
        return drawn(task, spec)

    def after(learner: HiDePrompt, task: int) -> None:
        if task:
            compare_head(oracle, learner.head, task)
            oracle.compare("loss", losses_of(learner)[task, "head alignment"], oracle.tensor(f"loss/{task}"))

    replay(
        method, oracle, {"head alignment": given}, begin=begin, after=after, **UNTESTED, epochs=1, layers=(0,),
        ca_epochs=meta["epochs"], ca_lr=meta["lr"], ca_samples=meta["samples_per_class"], statistics="full",
    )  # fmt: skip
