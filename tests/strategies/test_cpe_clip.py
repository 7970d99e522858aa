"""CPE-CLIP: its schedule, its gradients, what each session trains, and what stays as it was."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.errors import Incompatible, UsageError
from cl.plan.needs import refuse
from cl.strategies.cpe_clip import CpeClip, WarmRestarts
from cl.stream import Stream
from cl.testing import check_strategy
from cl.testing.workbench import tiny_clip
from cl.training.optim import When
from tests.conftest import tiny_stream
from tests.help.clip import Watching

Weights = dict[str, Tensor]


def learner(**options: Any) -> Any:
    quick = {"epochs": 2, "batch_size": 8, "session_epochs": 2, "session_batch_size": 4, **options}
    return CpeClip(CpeClip.Options(**quick), tiny_clip(), Watching())


def learned(method: Any, stream: Stream, tasks: int) -> list[Weights]:
    """Learn some tasks; the prompts and the map before the first one and after each."""
    method.info = stream.info
    method.trainer.encodings.expect(stream)
    method.setup(stream.info)
    found = [copy.deepcopy(method.prompts.state_dict())]
    for task in range(tasks):
        method.trainer.journal.begin(task)
        view = stream.view(task)
        method.learn(view)
        view.revoke()
        found.append(copy.deepcopy(method.prompts.state_dict()))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"length": 0}, {"regularization": "freeze"}], ids=["all", "none", "freeze"])
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    check_strategy("cpe-clip", options=options)


def test_it_resumes_and_restores_its_state() -> None:
    check_strategy("cpe-clip", only=["state-round-trip", "memory", "frozen"])


@pytest.mark.parametrize("mode", ["balance", "none"])
def test_two_sessions_end_like_a_plain_loop(mode: str) -> None:
    stream, method = tiny_stream(), learner(regularization=mode, max_lr=0.5, weight_decay=0.01)
    found = learned(method, stream, 2)
    sizes = stream.info.classes_per_task
    for task, batches in enumerate(method.trainer.batches):
        classes = list(stream.experiences[task].classes)
        text = [f"{stream.info.class_names[position]}." for position in range(sum(sizes[: task + 1]))]
        tokens = method.backbone.text.tokens(text)
        prompts = copy.deepcopy(method.prompts)
        prompts.load_state_dict(found[task])
        names = [name for name, _ in prompts.named_parameters()]
        speed = {name: torch.zeros_like(parameter) for name, parameter in prompts.named_parameters()}
        share = 1.0 if task == 0 or mode == "none" else sizes[task] / sum(sizes[: task + 1])
        for number, batch in enumerate(batches):
            epoch = number // (len(batches) // 2)
            rate = 0.001 + (0.5 - 0.001) * epoch / 50
            prompts.requires_grad_(True)
            texts = prompts.texts(method.backbone, tokens, "replace")  # of all classes seen, old ones too
            images = F.normalize(prompts.images(method.backbone, batch.x, "accumulate"), dim=-1)
            scores = 100 * images @ texts.T
            scores = torch.cat([torch.full_like(scores[:, : classes[0]], -9999.0), scores[:, classes[0] :]], 1)
            gradients = torch.autograd.grad(F.cross_entropy(scores, batch.y), list(prompts.parameters()))
            prompts.requires_grad_(False)
            for name, parameter, gradient in zip(names, prompts.parameters(), gradients, strict=True):
                speed[name] = 0.9 * speed[name] + share * gradient + 0.01 * parameter
                parameter.sub_(rate * speed[name])
        for name, value in prompts.state_dict().items():
            assert not torch.equal(value, found[task][name])
            assert torch.allclose(value, found[task + 1][name], atol=2e-5), name


def test_each_session_has_its_batches_its_epochs_and_a_new_optimiser() -> None:
    method = learner(epochs=3, session_epochs=1)
    learned(method, tiny_stream(), 3)
    first, *later = method.trainer.specs
    assert first.epochs == 3 and [spec.epochs for spec in later] == [1, 1]
    assert [len(batches[0]) for batches in method.trainer.batches] == [8, 4, 4]
    for spec in (first, *later):
        optimizer = spec.optimizer(spec.groups)
        assert type(optimizer) is torch.optim.SGD and spec.clip is None
        (group,) = optimizer.param_groups
        assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.1, 0.9, 1e-5)
        assert [id(parameter) for parameter in group["params"]] == [*map(id, method.prompts.parameters())]


def test_the_rates_are_those_of_the_warm_up() -> None:
    options = CpeClip.Options()
    schedule = WarmRestarts(options.min_lr / options.max_lr, options.warmup, options.cycle)
    rates = [options.max_lr * schedule(When(epoch, step, 5, 9)) for epoch in range(5) for step in (0, 8)]
    assert rates[::2] == rates[1::2] == pytest.approx([0.001, 0.00298, 0.00496, 0.00694, 0.00892])
    late = {50: 0.1, 125: 0.0505, 199: 0.00101086, 200: 0.001, 250: 0.1}
    assert {epoch: options.max_lr * schedule(When(epoch, 0, 300, 1)) for epoch in late} == pytest.approx(late, rel=1e-4)


def test_old_texts_get_no_gradient() -> None:
    method, stream = learner(), tiny_stream()
    learned(method, stream, 2)
    classes = stream.experiences[1].classes
    batch = method.trainer.batches[1][0]
    reached = []
    embed = method.backbone.text.embedding
    hook = embed.register_forward_hook(lambda module, inputs, output: reached.append(inputs[0]))
    method.objective(batch, classes)
    hook.remove()
    assert torch.equal(reached[0], method._tokens[list(classes)]), "only captions of the session are encoded"


def test_freezing_trains_the_first_session_only() -> None:
    start, first, second = learned(learner(regularization="freeze"), tiny_stream(), 2)
    assert all(not torch.equal(start[name], first[name]) and torch.equal(first[name], second[name]) for name in start)


def test_without_prompts_it_is_the_zero_shot_clip() -> None:
    method, stream = learner(length=0), tiny_stream()
    learned(method, stream, 2)
    pixels = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    clip = method.backbone
    names = [f"{name}." for name in stream.info.class_names[: method.texts.shape[0]]]
    with torch.no_grad():  # as in prediction: with gradients PyTorch 2.4 sums in another order
        texts = clip.text(clip.text.tokens(names))
        expected = 100 * F.normalize(clip(clip.transform(pixels)), dim=-1) @ texts.T
    assert torch.equal(method.predict_images(pixels), expected) and not method.trainer.batches


def test_the_clip_stays_bit_for_bit() -> None:
    method, fresh = learner(), tiny_clip()
    learned(method, tiny_stream(), 3)
    for one, other in ((fresh.model, method.backbone.model), (fresh.text, method.backbone.text)):
        before, after = one.state_dict(), other.state_dict()  # type: ignore[union-attr]
        assert (
            before and before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
        )
    assert method.backbone.is_pristine
    assert method.stored()["parameters"] == 4 * (6 * 2 * 16 + 24 * 16 + 24)


def test_a_backbone_without_text_and_classes_without_names_are_refused() -> None:
    options, stream = CpeClip.Options(), tiny_stream()
    with pytest.raises(Incompatible, match=r"cpe-clip needs a backbone with a text tower; choose a CLIP"):
        refuse("cpe-clip", options, stream, text=False)
    numbered = replace(stream, dataset=replace(stream.dataset, class_names=tuple(map(str, range(10)))))
    with pytest.raises(Incompatible, match=r"but 10 of 10 classes of split-digits have none that is a word \('"):
        refuse("cpe-clip", options, numbered)
    refuse("cpe-clip", options, stream)


def test_options_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="warmup=200 must be less than cycle=200"):
        CpeClip.Options(warmup=200)
    with pytest.raises(ValueError, match=r"min_lr=1\.0 must not be above max_lr=0\.1"):
        CpeClip.Options(min_lr=1.0)
    with pytest.raises(ValueError, match="template=ensemble has several captions"):
        CpeClip.Options(template="ensemble")
    with pytest.raises(UsageError, match=r"a template holds \[\]"):
        CpeClip.Options(template="a photo")
    method = learner(length=22)
    method.info = tiny_stream().info
    with pytest.raises(UsageError, match="length=22 prompts leave no room for a caption"):
        method.setup(method.info)
