"""OML: meta steps and online passes in plain loops, frozen features, the chosen rate, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from cl.errors import Incompatible, UsageError
from cl.plan.needs import refuse
from cl.plan.plan import make_plan
from cl.settings import SettingOptions, transform
from cl.strategies.oml import OML
from cl.testing import check_strategy, tiny_backbone
from cl.training import state
from cl.training.batches import Batch
from tests.conftest import tiny_stream
from tests.help.plain_loops import Keeping, Tensors, close

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {
    "meta_steps": 6, "meta_lr": 3e-3, "inner_lr": 0.1, "inner_steps": 3, "others": 2, "random": 7, "lr": 0.01,
    "clip": 0.0,
}  # fmt: skip


def oml(**options: Any) -> OML:
    backbone = tiny_backbone()
    for module in backbone.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return OML(OML.Options(**{**FAST, **options}), backbone, Keeping())


def noted(method: OML) -> list[Tensor]:
    """The rows that each meta step draws again, as they are drawn."""
    found: list[Tensor] = []
    method_setup = method.setup

    def setup(info: Any) -> None:
        method_setup(info)
        redraw = method.head.redraw_rows

        def rows(classes: Tensor, rng: torch.Generator) -> None:
            redraw(classes, rng)
            found.append(method.head.last.weight[classes].clone())

        vars(method.head)["redraw_rows"] = rows

    vars(method)["setup"] = setup
    return found


def watched(method: OML, note: Callable[[str], Any] | None = None) -> dict[tuple[int, str], tuple[Tensors, Tensors]]:
    """The parameters before and after each fit, by task and phase; `note(phase)` is called after each."""
    found: dict[tuple[int, str], tuple[Tensors, Tensors]] = {}
    fit = method.trainer.fit

    def noted(strategy: Any, phase: str, spec: Any) -> Any:
        before = parameters(method)
        result = fit(strategy, phase, spec)
        found[method.trainer.journal.task, phase] = before, parameters(method)
        if note is not None:
            note(phase)
        return result

    vars(method.trainer)["fit"] = noted
    return found


def batches_of(method: OML, task: int, phase: str) -> list[Batch]:
    assert isinstance(method.trainer, Keeping)
    return method.trainer.batches[task, phase]


def learned(learn: Learn, method: OML, tasks: int = 1, after: Any = None) -> list[Any]:
    return learn(method, tiny_stream(tasks=2), tasks, after or (lambda s, view: parameters(s)))


def parameters(method: OML) -> Tensors:
    held = {f"net.{name}": value.detach().clone() for name, value in method.backbone.model.named_parameters()}
    return held | {f"head.{name}": value.detach().clone() for name, value in method.head.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"trajectories": 2, "hidden": 6}, {"outer": "adaptation", "lr": 0.0}])
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    check_strategy("oml", options={"meta_steps": 4, "lr": 0.01, **options})


# ------------------------------------------------------------------------------------------------- meta-training


def head_of(held: Tensors, x: Tensor) -> Tensor:
    if "head.first.weight" in held:
        x = torch.relu(x @ held["head.first.weight"].T + held["head.first.bias"])
    return x @ held["head.last.weight"].T + held["head.last.bias"]


def plain(
    start: Tensors, batches: Sequence[Batch], rows: Sequence[Tensor], *, k: int, classes: int = 1, outer: bool = True,
    order: int = 2, clip: float = 0.0, trajectories: int = 1,
) -> Tensors:  # fmt: skip
    """The meta steps by the paper: inner steps written out, then Adam on everything."""
    model = tiny_backbone().model
    held = {name: value.clone() for name, value in start.items()}
    first, second = ({name: torch.zeros_like(v) for name, v in held.items()} for _ in range(2))
    others, own = 2, classes * k
    for step, batch in enumerate(batches):
        y, count = batch.y, trajectories * classes
        after = count * (k + others)
        held["head.last.weight"][y[count * k : after : others]] = rows[step]
        leaves = {name: value.requires_grad_(True) for name, value in held.items()}
        net = {name.removeprefix("net."): v for name, v in leaves.items() if name.startswith("net.")}
        z = functional_call(model, net, (batch.x,))
        found = torch.zeros(())
        for number in range(trajectories):
            fast = {name: value for name, value in leaves.items() if name.startswith("head.")}
            for place in range(number * own, (number + 1) * own):
                inner = F.cross_entropy(head_of(fast, z[place : place + 1]), y[place : place + 1])
                slopes = torch.autograd.grad(inner, list(fast.values()), create_graph=order == 2, retain_graph=True)
                fast = {n: v - 0.1 * g for (n, v), g in zip(fast.items(), slopes, strict=True)}
            begin = count * k + number * classes * others
            used = [*range(begin, begin + classes * others), *(range(after, len(y)) if outer else ())]
            found = found + F.cross_entropy(head_of(fast, z[used]), y[used]) / trajectories
        outer_slopes = torch.autograd.grad(found, list(leaves.values()), allow_unused=True)
        whole = [torch.zeros_like(v) if g is None else g for v, g in zip(held.values(), outer_slopes, strict=True)]
        length = torch.stack([g.norm() for g in whole]).norm()
        scale = min(1.0, clip / float(length)) if clip else 1.0
        for (name, value), gradient in zip(leaves.items(), whole, strict=True):
            g = gradient * scale
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.999 * second[name] + 0.001 * g**2
            up, down = first[name] / (1 - 0.9 ** (step + 1)), second[name] / (1 - 0.999 ** (step + 1))
            held[name] = (value - 3e-3 * up / (down.sqrt() + 1e-8)).detach()
    return held


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, {"k": 3}),
        ({"order": 1}, {"k": 3, "order": 1}),
        ({"hidden": 5, "tasks": 2}, {"k": 3, "classes": 2}),
        ({"trajectories": 2}, {"k": 3, "trajectories": 2}),
        ({"outer": "adaptation"}, {"k": 3, "outer": False}),
        ({"inner_steps": 0}, {"k": 0}),
        ({"clip": 0.05}, {"k": 3, "clip": 0.05}),
    ],
)
def test_meta_steps_end_like_a_plain_loop(learn: Learn, options: dict[str, Any], arguments: dict[str, Any]) -> None:
    method = oml(**options)
    rows = noted(method)
    fits = watched(method)
    learned(learn, method)
    start, end = fits[0, "meta-training"]
    batches = batches_of(method, 0, "meta-training")
    assert len(batches) == len(rows) == 6
    held = plain(start, batches, rows, **arguments)
    compared = [name for name in held if not name.endswith("qkv.bias")]  # Adam makes rounding of no gradient large
    close({name: end[name] for name in compared}, {name: held[name] for name in compared}, atol=1e-4)
    assert max(float((value - start[name]).abs().max()) for name, value in held.items() if "net" in name) > 3e-3


def test_without_inner_steps_it_is_plain_multi_task_training(learn: Learn) -> None:
    method = oml(inner_steps=0, trajectories=2)
    learned(learn, method)
    batch = batches_of(method, 0, "meta-training")[0]
    z = torch.randn(len(batch), 16, generator=torch.Generator().manual_seed(0))
    logits, (_, others, rest) = method.head(z), method._layout.split(batch.y)
    each = [(torch.cat([logits[2 * n : 2 * n + 2], logits[4:]]), torch.cat([others[n], rest])) for n in (0, 1)]
    expected = torch.stack([F.cross_entropy(*one) for one in each]).mean()
    torch.testing.assert_close(method.outer_loss(z, batch.y), expected)


def test_the_control_sees_only_images_of_its_trajectory(learn: Learn) -> None:
    method = oml(outer="adaptation")
    learned(learn, method)
    for batch in batches_of(method, 0, "meta-training"):
        assert len(batch) == 3 + 2 and len(batch.y.unique()) == 1


# -------------------------------------------------------------------------------------------------- online pass


def test_the_network_is_frozen_bit_for_bit_after_meta_training(learn: Learn) -> None:
    method = oml()
    fits = watched(method)
    ends = learned(learn, method, 2)
    start, trained = fits[0, "meta-training"]
    for name, value in trained.items():
        if name.startswith("net."):
            assert all(torch.equal(each[name], value) for each in [*fits[0, "online"], *fits[1, "online"], *ends]), name
    assert any(not torch.equal(start[name], trained[name]) for name in start if name.startswith("net."))
    assert not torch.equal(ends[0]["head.last.weight"], ends[1]["head.last.weight"])


@pytest.mark.parametrize(("optimizer", "hidden"), [("adam", 0), ("adam", 5), ("sgd", 0)])
def test_one_optimiser_learns_the_whole_stream_image_by_image(learn: Learn, optimizer: str, hidden: int) -> None:
    method = oml(optimizer=optimizer, hidden=hidden)
    fits = watched(method)
    ends = learned(learn, method, 2)
    start = {name: value for name, value in fits[0, "online"][0].items() if name.startswith("head.")}
    leaves = [value.clone().requires_grad_(True) for value in start.values()]
    rule = torch.optim.Adam(leaves, lr=0.01) if optimizer == "adam" else torch.optim.SGD(leaves, lr=0.01)
    for task, end in enumerate(ends):
        batches = batches_of(method, task, "online")
        labels = [int(batch.y) for batch in batches]
        assert labels == sorted(labels) and len(labels) == len(set(labels)) * 12
        for batch in batches:
            rule.zero_grad()
            F.cross_entropy(head_of(dict(zip(start, leaves, strict=True)), batch.x), batch.y).backward()
            rule.step()
        close({name: end[name] for name in start}, dict(zip(start, (v.detach() for v in leaves), strict=True)))


@pytest.mark.parametrize(("reset", "kept"), [("all", False), ("last", True)])
def test_the_head_is_drawn_again_before_the_stream(learn: Learn, reset: str, kept: bool) -> None:
    method = oml(reset=reset, hidden=5)
    fits = watched(method)
    learned(learn, method)
    trained, drawn = fits[0, "meta-training"][1], fits[0, "online"][0]
    assert torch.equal(trained["head.first.weight"], drawn["head.first.weight"]) == kept
    assert not torch.equal(trained["head.last.weight"], drawn["head.last.weight"]) and not drawn["head.last.bias"].any()


def test_images_in_the_order_of_the_stream(learn: Learn) -> None:
    method = oml(sequence="given", meta_steps=0)
    order: list[list[int]] = []
    learned(learn, method, 1, lambda s, view: order.append(view.train.labels.tolist()))
    assert [int(batch.y) for batch in batches_of(method, 0, "online")] == order[0]


def test_the_rate_is_chosen_by_held_out_images_of_the_first_task(learn: Learn) -> None:
    rates, heads = (0.1, 0.01, 1e-5), []
    method = oml(lr=0.0, rates=rates)
    watched(method, lambda phase: heads.extend(state.clone([head.state_dict() for head in method.candidates])))
    right: list[int] = []

    def look(s: OML, view: Any) -> None:
        data, labels = s.encode(view.train), view.train.labels
        held = torch.cat([(labels == c).nonzero().flatten()[-4:] for c in view.classes])
        for head in heads:
            logits = data[held] @ head["last.weight"].T + head["last.bias"]
            right.append(int((logits.argmax(1) == labels[held]).sum()))

    learned(learn, method, 1, look)
    batches = batches_of(method, 0, "choice of the rate")
    assert len(batches) == 5 * 8, "two thirds of the images, each once"
    assert method.rate == rates[right.index(max(right))] and method.report() == {"lr": method.rate}
    assert len(set(right)) > 1 and not method.candidates


def test_predictions_are_of_all_classes_and_pure(learn: Learn) -> None:
    method = oml()
    learned(learn, method, 2)
    pixels = torch.randint(256, (5, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    scores = method.predict_images(pixels)
    assert scores.shape == (5, 10) and torch.equal(scores, method.predict_images(pixels))
    torch.testing.assert_close(scores[2:3], method.predict_images(pixels[2:3]))


# ------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"tasks": 2}, r"needs 3 or more classes in the first task for a meta step \(2 for its trajectories\), but"),
        (
            {"trajectories": 3},
            r"needs 4 or more .* \(3 for its trajectories\), but that of .* has 2; set stream.base for",
        ),
        ({"tasks": 3, "outer": "adaptation"}, r"needs 3 or more classes in the first task for a meta step \(3 for"),
        ({"tasks": 2, "halves": True}, r"needs 3 or more classes in the first task for a meta step \(2 for"),
    ],
)
def test_too_few_classes_are_refused_before_any_work(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(Incompatible, match=problem):
        refuse("oml", OML.Options(**options), tiny_stream())
    refuse("oml", OML.Options(**options, meta_steps=0), tiny_stream())


def test_as_many_classes_as_needed_are_enough() -> None:
    for options in ({"tasks": 2, "outer": "adaptation"}, {"tasks": 1}, {"halves": True}):
        refuse("oml", OML.Options(**options), tiny_stream())


def test_the_first_chunk_is_as_large_as_stream_chunk() -> None:
    stream = transform(tiny_stream(tasks=5), SettingOptions(setting=("online",), chunk=2), 0)
    with pytest.raises(
        Incompatible, match=r"classes in the first chunk for .*; raise stream\.chunk, or lower tasks or tr"
    ):
        refuse("oml", OML.Options(tasks=4), stream)


def test_too_few_images_are_refused_before_any_work(learn: Learn) -> None:
    method = oml(inner_steps=11)
    with pytest.raises(UsageError, match=r"need 1 or more classes with 13 images each, and the first task has 0 of"):
        learned(learn, method)
    assert isinstance(method.trainer, Keeping) and not method.trainer.batches


def test_a_rate_needs_images_to_hold_out(learn: Learn) -> None:
    with pytest.raises(UsageError, match="with three or more images, and the first task has none; set lr"):
        learn(oml(meta_steps=0, lr=0.0), tiny_stream(train_per_class=2), 1, lambda s, v: None)
    with pytest.raises(ValueError, match="name one, or set lr"):
        OML.Options(rates=(), lr=0.0)


def test_presets() -> None:
    def of(preset: str | None, backbone: str = "oml_cnn_28@random") -> OML.Options:
        found: OML.Options = make_plan("oml", "split-omniglot", backbone, preset=preset).options
        return found

    small, control, code = of(None), of("maml"), of("mrcl", "oml_cnn_84@random")
    assert (small.outer, control.outer) == ("interference", "adaptation")
    assert small.meta_steps == control.meta_steps == 1500
    assert (code.meta_steps, code.inner_steps, code.tasks, code.inner_lr, code.meta_lr) == (700_000, 5, 3, 0.03, 1e-4)
    assert code.halves and code.clip == 0 and (code.others, code.random, code.hidden) == (5, 15, 0)
