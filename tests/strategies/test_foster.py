"""FOSTER: what is frozen, what each fit is given, a task in a plain loop, both answers, and few exemplars."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.strategies.finetune import Finetune
from cl.strategies.foster import Foster
from cl.testing import check_strategy, tiny_backbone
from cl.training import state
from cl.training.batches import Batch
from tests.conftest import equal, make, tiny_stream
from tests.help.compare import same
from tests.help.exemplars import BYTES, DECAY, FAST, MOMENTUM, Learn, learner, stepped
from tests.help.plain_loops import Tensors, close, descend

SHORT: dict[str, Any] = {**FAST, "epochs": 1, "boost_epochs": 1, "compress_epochs": 1, "memory_size": 14}


def foster(**options: Any) -> Foster:
    return make(Foster, **{**SHORT, **options})


def pixels(count: int = 8) -> Tensor:
    return torch.randint(256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    check_strategy("foster", options={"epochs": 1, "boost_epochs": 1, "compress_epochs": 1, "memory_size": 12})


# -------------------------------------------------------------------------------------------------------- training


def network(learner: Foster) -> Tensors:
    return {name: parameter.detach().clone() for name, parameter in learner.backbone.model.named_parameters()}


def heads(learner: Foster, *names: str) -> Tensors:
    """Weights and biases of heads, all rows; a head without rows is left out."""
    found: Tensors = {}
    for name in names:
        if blocks := list(getattr(learner, name).blocks):
            found[f"{name}_weight"] = torch.cat([block.weight.detach() for block in blocks])
            found[f"{name}_bias"] = torch.cat([block.bias.detach() for block in blocks])
    return found


def test_a_task_ends_like_a_plain_loop(learn: Learn) -> None:
    """Boosting and compression by the formulas of the paper, on the batches that the fits were given."""
    method = learner(Foster, boost_epochs=2, compress_epochs=2, memory_size=14, beta1=(0.9,), beta2=0.8, kd=0.7)
    fit, model = method.trainer.fit, tiny_backbone().model.eval()
    starts: dict[tuple[int, str], tuple[Tensors, Tensors]] = {}

    def watched(strategy: Any, phase: str, spec: Any) -> Any:
        starts[strategy.trainer.journal.task, phase] = network(method), heads(method, "head", "fused", "own")
        return fit(strategy, phase, spec)

    method.trainer.fit = watched
    first, second = learn(
        method, tiny_stream(), 2,
        lambda s, view: (network(s), heads(s, "head", "fused"), list(s.networks.tensors), s.memory.labels.clone()),
    )  # fmt: skip
    counts = torch.cat([first[3], torch.tensor([2, 3]).repeat_interleave(12)]).bincount()
    assert counts.tolist() == [7, 7, 12, 12]

    def weights(beta: float) -> Tensor:
        w = (1 - beta) / (1 - beta ** counts.double())
        return (w / w.mean()).float()

    def features(held: Tensors, x: Tensor) -> Tensor:
        found: Tensor = functional_call(model, {k: v for k, v in held.items() if k in first[0]}, (x,))
        return found

    def logits(held: Tensors, name: str, values: Tensor) -> Tensor:
        return values @ held[f"{name}_weight"].T + held[f"{name}_bias"]

    net, start = starts[1, "boost"]
    assert same(net, first[0]), "the new network starts as a copy of the old one"
    assert same(start["fused_weight"][:2, :16], first[1]["head_weight"])
    assert same(start["fused_bias"], torch.cat([first[1]["head_bias"], torch.zeros(2)]))

    def boosting(held: Tensors, batch: Batch) -> Tensor:
        old, new = features(first[0], batch.x).detach(), features(held, batch.x)
        z, taught = logits(held, "fused", torch.cat([old, new], 1)), logits(first[1], "head", old)
        distilled = -(torch.softmax(taught / 2, 1) * F.log_softmax(z[:, :2] / 2, 1)).sum(1).mean()
        hard = F.cross_entropy(z / weights(0.9), batch.y) + F.cross_entropy(logits(held, "own", new), batch.y)
        return hard + 0.7 * distilled

    batches = method.trainer.batches[1, "boost"]
    held = {**net, **{name: value for name, value in start.items() if not name.startswith("head")}}
    held = descend(held, batches, boosting, stepped(batches), momentum=MOMENTUM, decay=lambda name: DECAY)
    close(second[2][1], {name: held[name] for name in net})
    names = "fused_weight", "fused_bias"
    close({name: second[1][name] for name in names}, {name: held[name] for name in names})

    net, start = starts[1, "compress"]
    assert same(net, first[0]) and same(start["head_weight"][:2], first[1]["head_weight"])

    def compression(student: Tensors, batch: Batch) -> Tensor:
        pair = torch.cat([features(first[0], batch.x), features(held, batch.x)], 1)
        target = torch.softmax(logits(held, "fused", pair) / 2, 1) * weights(0.8)
        target = (target / target.sum(1, keepdim=True)).detach()
        return -(target * F.log_softmax(logits(student, "head", features(student, batch.x)) / 2, 1)).sum(1).mean()

    batches = method.trainer.batches[1, "compress"]
    student = {**net, "head_weight": start["head_weight"], "head_bias": start["head_bias"]}
    student = descend(student, batches, compression, stepped(batches), momentum=MOMENTUM)
    close({**second[0], "head_weight": second[1]["head_weight"], "head_bias": second[1]["head_bias"]}, student)


def test_what_each_fit_is_given_and_what_stays_frozen(learn: Learn, fits: list[dict[str, Any]]) -> None:
    method = foster(align_student=True)
    learn(method, tiny_stream(), 3)
    assert [fit["phase"] for fit in fits] == ["train", "boost", "compress", "boost", "compress"]
    for boost, compress in (fits[1:3], fits[3:5]):
        assert same(boost["before"]["networks"], boost["after"]["networks"]), "the old network"
        assert same(boost["before"]["head"], boost["after"]["head"]), "the old head"
        teacher = [{name: compress[when][name] for name in ("networks", "fused")} for when in ("before", "after")]
        assert same(*teacher), "the teacher"
        decays = [fit["optimizer"]([torch.nn.Parameter(torch.zeros(1))]).defaults for fit in (boost, compress)]
        assert [each["weight_decay"] for each in decays] == [DECAY, 0.0]
        assert {each["momentum"] for each in decays} == {MOMENTUM}
        assert len(compress["params"][0]["params"]) == len(list(method.backbone.parameters()))
    boosted, before = fits[3]["before"]["networks"]["tensors"][0], fits[2]["after"]["backbone"]
    assert same({name: boosted[name] for name in before}, before), "the old network is the student"
    norms = [block.weight.norm(dim=1) for block in method.head.blocks]
    assert float(norms[-1].mean()) == pytest.approx(float(torch.cat(norms[:-1]).mean()))


def test_the_first_task_is_fine_tuning(learn: Learn) -> None:
    ours, finetune = foster(head_init="trunc_normal"), make(Finetune, **{**FAST, "epochs": 1}, loss="global")
    for method in (ours, finetune):
        learn(method, tiny_stream(), 1)
    assert equal(ours, finetune)


def test_weights_from_old_features_to_new_classes_can_stay_zero(learn: Learn) -> None:
    for choice in ("zero", "train"):
        method = foster(old_features=choice, align_teacher=True, align_base=0.9)
        learn(method, tiny_stream(), 2)
        assert bool(method.fused.blocks[1].weight[:, :16].any()) == (choice == "train")
        norms = [block.weight.norm(dim=1).mean() for block in method.fused.blocks]
        assert float(norms[1] / norms[0]) == pytest.approx(0.9), "a^(old / new classes)"


def test_one_pass_of_each_network_per_batch(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    method = foster()
    fit, seen, passes = method.trainer.fit, list[Tensor](), list[tuple[str, float, float]]()

    def see(module: Any, given: tuple[Tensor]) -> None:
        seen.append(given[0])

    def counted(strategy: Any, phase: str, spec: Any) -> Any:
        seen.clear()
        result = fit(strategy, phase, spec)
        passes.append((phase, len(seen) / spec.data.steps, len({id(images) for images in seen}) / spec.data.steps))
        return result

    method.backbone.register_forward_pre_hook(see)
    monkeypatch.setattr(method.trainer, "fit", counted)
    learn(method, tiny_stream(), 2)
    assert passes == [("train", 1, 1), ("boost", 2, 1), ("compress", 3, 1)], "of the same augmented images"


# ----------------------------------------------------------------------------------------- answers, memory, presets


def test_the_main_answer_is_the_teacher_s_and_the_student_has_one_network(learn: Learn) -> None:
    method = foster()

    def answers(learner: Foster, view: Any) -> Any:
        both = learner.predict_images(pixels()), learner.predict_images(pixels(), answer="student")
        return *both, learner.backbone.transform(pixels()), state.nbytes(state.get(learner.backbone))

    first, second, third = learn(method, tiny_stream(), 3, answers)
    assert torch.equal(first[0], first[1]), "there is no teacher after the first task"
    assert not torch.allclose(third[0], third[1]) and third[0].shape == third[1].shape == (8, 6)
    assert first[3] == second[3] == third[3], "the student does not grow"
    with torch.no_grad():
        x = third[2]
        pair = [functional_call(method.backbone.model, held, (x,)) for held in method.networks.tensors]
        torch.testing.assert_close(third[0], method.fused(torch.cat(pair, 1)), rtol=0, atol=1e-5)
        torch.testing.assert_close(third[1], method.head(method.backbone(x)), rtol=0, atol=1e-5)
        assert method.extractor()(x).shape == (8, 32)
    with pytest.raises(UsageError, match="student"):
        method.predict_images(pixels(), answer="teacher")


def test_a_memory_smaller_than_the_classes_and_classes_of_one_image(learn: Learn) -> None:
    method = foster(memory_size=1)
    learn(method, tiny_stream(), 3)
    assert method.memory.labels.tolist() == [0] and method.stored()["samples"] == BYTES
    assert bool(torch.isfinite(method.predict_images(pixels())).all())
    method = foster(memory_per_class=3, batch_size=2)
    learn(method, tiny_stream(train_per_class=1), 2)
    assert method.memory.labels.tolist() == [0, 1, 2, 3], "herding of one image"


def test_exemplars_are_chosen_by_features_of_the_teacher(learn: Learn) -> None:
    method = foster(memory_per_class=2)
    chosen = learn(method, tiny_stream(), 2, lambda s, view: s._herding(s.memory, view).shape)
    assert chosen == [(24, 16), (24, 32)]
    assert foster(memory_policy="balanced")._herding(type(method.memory)(3, "balanced"), None) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("preset", "sizes", "per_class", "beta1", "beta2", "batch_size"),
    [
        (None, [10] * 10, 0, (0.98, 0.975, 0.97, 0.965, 0.96, 0.955, 0.95, 0.945, 0.94), 0.97, 128),
        ("b0-inc20", [20] * 5, 0, (0.97, 0.96, 0.95, 0.94), 0.97, 128),
        ("b0-inc5", [5] * 20, 0, (0.96,), 0.97, 128),
        ("b50-inc10", [50] + [10] * 5, 20, (0.94,), 0.97, 128),
        ("b50-inc5", [50] + [5] * 10, 20, (0.94,), 0.97, 128),
        ("b50-inc2", [50] + [2] * 25, 20, (0.95,), 0.97, 128),
        ("b50-inc1", [50] + [1] * 50, 20, (0.95,), 0.98, 64),
        ("pycil", [50] + [10] * 5, 20, (0.96,), 0.97, 128),
    ],
)
def test_published_values(
    preset: str | None, sizes: list[int], per_class: int, beta1: tuple[float, ...], beta2: float, batch_size: int
) -> None:
    plan = make_plan("foster", "split-cifar100", "resnet32_cifar@random", preset=preset)
    o, given = plan.options, plan.stream_options
    base = given.base or given.increment or 10
    assert (base, given.increment or 10) == (sizes[0], sizes[1])
    assert (o.memory_size, o.memory_per_class, o.beta1, o.beta2) == (2000, per_class, beta1, beta2)
    assert (o.epochs, o.boost_epochs, o.compress_epochs, o.batch_size) == (200, 170, 130, batch_size)
    assert (o.lr, o.momentum, o.weight_decay, o.schedule, o.temperature, o.kd) == (0.1, 0.9, 5e-4, "cosine", 2.0, 1.0)
    assert (o.old_features, o.align_teacher, o.align_student) == ("train", False, False)


def test_pilot_s_values() -> None:
    o: Any = make_plan("foster", "split-cifar100", "vit_base_patch16_224.augreg_in21k").options
    assert (o.epochs, o.boost_epochs, o.compress_epochs, o.batch_size, o.lr) == (20, 20, 20, 32, 1e-3)
    assert (o.memory_per_class, o.beta1, o.beta2, o.weight_decay, o.schedule) == (20, (0.96,), 0.97, 5e-4, "cosine")
