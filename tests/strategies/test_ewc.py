"""EWC: the invariants of the paper, the codes that the presets follow, and avalanche-lib's EWC on the same weights."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from cl.avalanche import lib
from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.plan.presets import load_presets
from cl.strategies.ewc import EWC
from cl.strategies.finetune import Finetune
from cl.strategies.l2 import L2
from cl.stream import View
from cl.training import state
from tests.conftest import make, tiny_stream
from tests.help.backbones import conv_backbone
from tests.help.compare import same

with lib.quiet():
    from avalanche.training.plugins import EWCPlugin


Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"}
CHOICES = (
    *("fisher", "fisher_label", "fisher_loss", "accumulate", "hold_head", "fisher_mode", "fisher_clip"),
    *("reg_factor", "fisher_loss_scale", "fisher_by_probability", "decay"),
)
"""What the codes that are called EWC disagree on."""
CODES: dict[str, dict[str, Any]] = {
    preset.name: {name: value for name, value in preset.options.items() if name in CHOICES}
    for preset in load_presets("ewc")
    if preset.name not in (None, "small")
}


def tensors(learner: Any) -> dict[str, Tensor]:
    """A copy of everything that is trained, by name."""
    head = {f"head.{name}": value for name, value in learner.head.named_parameters()}
    return state.clone(dict(learner.backbone.model.state_dict()) | head)


class Recorded(EWC):
    """Keeps the Fisher of each task and the weights it was taken at."""

    _NOT_STATE = EWC._NOT_STATE | {"seen"}

    def fisher(self, view: View) -> dict[str, Tensor]:
        found = super().fisher(view)
        self.seen = [*getattr(self, "seen", []), (state.clone(dict(self.held())), state.clone(found))]
        return found


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_finetune_until_it_has_weight_and_a_second_task(learn: Learn, code: str) -> None:
    learner, off = make(Recorded, **FAST, **CODES[code], reg=1e4), make(EWC, **FAST, **CODES[code], reg=0.0)
    baseline = make(Finetune, **FAST)
    first, second = learn(learner, tiny_stream(), 2, lambda s, v: tensors(s))
    expected = learn(baseline, tiny_stream(), 2, lambda s, v: tensors(s))
    assert same(first, expected[0]) and not same(second, expected[1])
    learn(off, tiny_stream(), 2)
    assert same(tensors(off), expected[1])
    for _, fisher in learner.seen:
        assert all(bool((value >= 0).all()) for value in fisher.values()), "F >= 0"
        assert max(float(value.max()) for value in fisher.values()) > 0
    head = [name for name in learner.seen[0][1] if name.startswith("head.")]
    assert bool(head) is CODES[code]["hold_head"]


def test_presets_follow_their_reference_codes() -> None:
    """The table of the codes, written down once more: Fisher, its labels and loss, terms, head, mode, clip, factors."""
    table = {
        "smith": ("scaled", "truth", "bce-local", "online", False, "eval", 0.0, 0.5, 5.0, False),
        "smith-table": ("scaled", "truth", "bce-local", "online", False, "eval", 0.0, 0.5, 5.0, False),
        "smith-head": ("scaled", "truth", "bce-local", "online", False, "eval", 0.0, 1.0, 1.0, False),
        "clb": ("scaled", "argmax", "global", "separate", True, "eval", 0.0, 1.0, 1.0, False),
        "mammoth": ("padded", "truth", "global", "online", True, "eval", 0.0, 1.0, 1.0, True),
        "pycil": ("batches", "truth", "global", "convex", True, "train", 1e-4, 0.5, 1.0, False),
        "avalanche": ("batches", "truth", "global", "separate", True, "eval", 0.0, 1.0, 1.0, False),
        "paper": ("images", "sampled", "global", "separate", True, "eval", 0.0, 0.5, 1.0, False),
    }
    made = {name: EWC.Options(**choices) for name, choices in CODES.items()}
    assert {name: tuple(getattr(o, choice) for choice in CHOICES[:-1]) for name, o in made.items()} == table
    assert {options.decay for options in made.values()} == {1.0}
    assert made["smith"] == EWC.Options(), "the defaults"


@pytest.mark.parametrize(("loss", "columns"), [("local", (2, 3)), ("bce-local", (2, 3)), ("global", (0, 1, 2, 3))])
def test_predicted_labels_are_among_the_columns_of_the_loss(learn: Learn, loss: str, columns: tuple[int, ...]) -> None:
    learner = make(EWC, **FAST, fisher_label="argmax", fisher_loss=loss)
    learn(learner, tiny_stream(), 2)
    with torch.no_grad():
        learner.head.blocks[0].bias[0] = 100.0  # what is predicted wherever it may be
    model = nn.Sequential(learner.backbone, learner.head)
    found = torch.cat([batch.y for batch in learner._labelled(tiny_stream().view(1), model)])
    assert len(found) == 24 and set(found.tolist()) <= set(columns) and (0 in found.tolist()) is (0 in columns)


def test_an_importance_of_one_is_l2_from_the_second_task_on(learn: Learn) -> None:
    class Ones(EWC):
        def fisher(self, view: View) -> dict[str, Tensor]:
            return {name: torch.ones_like(value) for name, value in self.held().items()}

    learner = make(Ones, **FAST, **CODES["smith-head"], decay=0.0, reg=0.3)
    l2, others = make(L2, **FAST, anchor="learned", reg=0.3), make(L2, **FAST, reg=0.3)
    for each in (learner, l2, others):
        learn(each, tiny_stream(), 3)
    assert same(tensors(learner), tensors(l2)) and not same(tensors(learner), tensors(others))


@pytest.mark.parametrize("code", ["smith", "pycil", "avalanche"])
def test_the_penalty_is_zero_right_after_a_task(learn: Learn, code: str) -> None:
    """Of the latest anchor: a term of its own for each task still pulls to the older ones."""
    learner = make(EWC, **FAST, **CODES[code])
    values = learn(learner, tiny_stream(), 2, lambda s, v: float(s.penalty()))
    assert values[0] == 0.0 and (values[1] == 0.0) is (code != "avalanche")


def test_no_decay_memory_is_the_last_task_only(learn: Learn) -> None:
    learner, summed = (make(Recorded, **FAST, decay=decay) for decay in (0.0, 1.0))
    for each in (learner, summed):
        learn(each, tiny_stream(), 3)
    (term,) = learner.anchors.terms
    assert same(term["weights"], learner.seen[-1][1]) and same(term["centres"], learner.seen[-1][0])
    (term,) = summed.anchors.terms
    for name, value in term["weights"].items():
        torch.testing.assert_close(value, sum(fisher[name] for _, fisher in summed.seen))


def test_separate_and_online_coincide_for_two_tasks_only(learn: Learn) -> None:
    options: dict[str, Any] = {**FAST, "reg": 100.0, "decay": 0.5}
    separate, online = (make(EWC, **options, accumulate=kind) for kind in ("separate", "online"))
    one = learn(separate, tiny_stream(), 3, lambda s, v: tensors(s))
    two = learn(online, tiny_stream(), 3, lambda s, v: tensors(s))
    assert same(one[0], two[0]) and same(one[1], two[1]) and not same(one[2], two[2])


def test_merged_terms_train_as_all_terms_do_in_constant_memory(learn: Learn) -> None:
    options: dict[str, Any] = {**FAST, **CODES["avalanche"], "reg": 50.0, "trains": "qkv"}
    merged, exact = make(EWC, **options), make(EWC, **options, merged=False)
    sizes = learn(merged, tiny_stream(), 4, lambda s, v: s.stored()["statistics"])
    terms = learn(exact, tiny_stream(), 4, lambda s, v: len(s.anchors))
    assert terms == [1, 2, 3, 4] and len(merged.anchors) == 1
    assert sizes[3] - sizes[2] == sizes[1] - sizes[0] == 2 * 4 * 2 * (16 + 1), "the new rows of the head, twice"
    one, two = tensors(merged), tensors(exact)
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], rtol=1e-4, atol=1e-6)


def test_old_rows_of_the_head_are_held_and_new_ones_are_free(learn: Learn) -> None:
    learner = make(Recorded, **FAST, **CODES["pycil"], loss="global", reg=1e3)
    view = tiny_stream().view(2)
    learn(learner, tiny_stream(), 1)
    learner.head.grow_to(6, torch.Generator())
    names = set(learner.held())
    held = set(learner.anchors.terms[0]["centres"])
    assert names - held == {"head.blocks.1.weight", "head.blocks.1.bias"}
    with torch.no_grad():
        learner.head.blocks[1].weight.add_(100.0)
    assert float(cast(Tensor, learner.penalty())) == 0.0
    before = state.clone(learner.anchors.terms[0]["weights"])
    learner.remember(view)  # two of the six classes seen are its
    after, new = learner.anchors.terms[0]["weights"], learner.seen[-1][1]
    assert max(float(value.max()) for value in new.values()) <= 1e-4 + 1e-9
    for name, value in after.items():  # alpha = known / total on what is old, all of it on what is new
        torch.testing.assert_close(value, 2 / 3 * before[name] + 1 / 3 * new[name] if name in before else new[name])


def test_smiths_fisher_is_batch_gradients_of_the_scaled_bce_on_the_columns_of_the_task(learn: Learn) -> None:
    learner = make(EWC, **{**FAST, "batch_size": 24})
    learn(learner, tiny_stream(), 2)
    view = tiny_stream().view(1)
    found = learner.fisher(view)
    images = learner.backbone.transform(view.train.pixels(slice(None)))
    for parameter in learner.held().values():
        parameter.requires_grad_(True)
    target = nn.functional.one_hot(view.train.labels, 4)[:, 2:].float()
    logits = learner.head(learner.backbone(images))[:, 2:]
    loss = 5 * nn.functional.binary_cross_entropy_with_logits(logits, target)
    gradients = torch.autograd.grad(loss, list(learner.held().values()))
    for (name, value), gradient in zip(found.items(), gradients, strict=True):  # one batch of all 24 images
        torch.testing.assert_close(value, 24 * gradient.square(), rtol=1e-3, atol=1e-8)
        assert not name.startswith("head.")


def test_the_mode_of_the_fisher_pass(learn: Learn) -> None:
    """`fisher_mode` switches dropout on for the pass; afterwards it is off again."""
    view = tiny_stream().view(0)
    for code, changes in (("pycil", True), ("avalanche", False)):
        learner = make(EWC, **FAST, **CODES[code])
        learn(learner, tiny_stream(), 1)
        found = []
        for layer in (nn.Identity(), nn.Dropout(0.5)):
            cast(nn.Sequential, learner.backbone.model.blocks).append(layer)
            learner.trainer.journal.begin(0)  # the same mini-batches again
            found.append(learner.fisher(view))
        assert same(*found) is not changes, code
        assert not learner.backbone.training and not learner.head.training


@pytest.mark.parametrize("accumulate", ["separate", "online"])
def test_fisher_and_penalty_are_avalanches(learn: Learn, accumulate: str) -> None:
    """The plugin of avalanche-lib next to our learner: the same model and images, one batch per task."""
    decay = 0.7 if accumulate == "online" else None
    plugin = EWCPlugin(20.0, mode=accumulate, decay_factor=decay)
    options = {**FAST, **CODES["avalanche"], "batch_size": 64, "accumulate": accumulate, "reg": 20.0}
    learner = make(Recorded, **options, decay=decay or 1.0)

    def model() -> nn.Module:
        whole = nn.ModuleDict({"backbone": learner.backbone, "head": learner.head}).requires_grad_(True)
        whole.forward = lambda x: learner.head(learner.backbone(x))
        return whole

    def beside(strategy: Recorded, view: View) -> None:
        x, y = strategy.backbone.transform(view.train.pixels(slice(None))), view.train.labels
        data = TensorDataset(x, y, torch.zeros(len(y), dtype=torch.long))
        whole = model()
        optimizer = torch.optim.SGD(whole.parameters(), lr=0.1)
        theirs = plugin.compute_importances(whole, nn.CrossEntropyLoss(), optimizer, data, torch.device("cpu"), 64)
        ours = strategy.seen[-1][1]
        assert theirs.keys() == ours.keys()
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value.data, rtol=1e-3, atol=1e-8)
        plugin.update_importances(theirs, view.task)
        plugin.saved_params[view.task] = {
            name: lib.ParamData(name, init_tensor=value.detach().clone()) for name, value in whole.named_parameters()
        }
        whole.eval().requires_grad_(False)

    learn(learner, tiny_stream(), 3, beside)
    with torch.no_grad():
        for parameter in learner.held().values():
            parameter.add_(
                0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            )
    clock = SimpleNamespace(train_exp_counter=3)
    strategy = SimpleNamespace(clock=clock, device="cpu", model=model(), loss=torch.zeros(()))
    plugin.before_backward(strategy)
    penalty = learner.penalty()
    assert penalty is not None and float(penalty.detach()) > 1e-3
    torch.testing.assert_close(penalty, strategy.loss, rtol=1e-4, atol=0.0)


def test_contradictory_options_raise_one_clear_sentence() -> None:
    info = tiny_stream().info
    cases: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("smith", {"fisher_label": "sampled"}, "set fisher_loss=local or global"),
        ("pycil", {"fisher": "images"}, "set fisher_mode=eval"),
    )
    for preset, settings, match in cases:
        with pytest.raises(UsageError, match=match):
            make_plan("ewc", "split-digits", preset=preset, options=settings)
    with pytest.raises(UsageError, match="set trains=all or hold_head=true"):
        make(EWC, trains="head").setup(info)
    make(EWC, trains="head", hold_head=True).setup(info)


def test_presets_take_further_options(learn: Learn) -> None:
    changes = {"decay": 0.5, "fisher": "images", "hold_head": False}
    found = make_plan("ewc", "split-digits", preset="mammoth", options=changes).options
    assert (found.decay, found.fisher, found.hold_head, found.fisher_by_probability) == (0.5, "images", False, True)
    assert make_plan("ewc", "split-cifar100", preset="pycil").options.reg == 1000
    assert not make_plan("ewc", "split-digits").untuned


def test_labels_are_drawn_from_a_named_stream(learn: Learn) -> None:
    paper, again = (make(EWC, **FAST, **CODES["paper"], fisher_chunk=5) for _ in range(2))
    for each in (paper, again):
        learn(each, tiny_stream(), 2)
    assert same(tensors(paper), tensors(again))


def test_a_fisher_pass_in_training_mode_needs_no_batch_of_one_image(learn: Learn) -> None:
    """Its batch norms could not normalise one image."""
    stream = tiny_stream(tasks=5)  # 24 images in a task
    options: dict[str, Any] = {**FAST, "batch_size": 23, "fisher": "batches", "fisher_mode": "train"}
    learner = EWC(EWC.Options(**options), conv_backbone(), make(EWC).trainer)
    assert learner.backbone.least_batch == 2
    learn(learner, stream, 2)
    assert all(bool(torch.isfinite(value).all()) for value in learner.anchors.terms[0]["weights"].values())
