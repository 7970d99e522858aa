"""Exemplar methods against Mammoth and PyCIL: one step of each loss, herding, means, alignment, rates and CutMix.

The files hold a linear network on features, so a step of ours is a step of the head alone.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from cl.parts.exemplars import Exemplars, exemplar_means, nearest_mean
from cl.parts.heads import GrowingHead
from cl.parts.memory import herded
from cl.parts.mixing import cutmix
from cl.strategies.a_gem import AGem
from cl.strategies.bic import BiC
from cl.strategies.der_pp import DerPP
from cl.strategies.er_ace import ErAce
from cl.strategies.gdumb import GDumb
from cl.strategies.icarl import ICaRL
from cl.strategies.wa import WA
from cl.stream import ImageSet, StreamInfo, View
from cl.training.batches import Batch, Source, TensorBatches
from cl.training.optim import WarmRestarts
from tests.conftest import make
from tests.help.oracles import Oracle

INFO = StreamInfo("oracle", 3, 6, (2, 2, 2), tuple("abcdef"), (1, 8, 8))
NEW = (4, 5)


@pytest.fixture
def mammoth() -> Oracle:
    return Oracle("exemplars-mammoth-a")


@pytest.fixture
def pycil() -> Oracle:
    return Oracle("exemplars-pycil-a")


def head_of(oracle: Oracle, weight: str, bias: str, widths: list[int]) -> GrowingHead:
    head = GrowingHead(6)
    weights, biases = (oracle.tensor(key).split(widths) for key in (weight, bias))
    head.set_state({"weights": list(weights), "biases": list(biases)})
    return head


def learner(cls: type[Any], oracle: Oracle, **options: Any) -> Any:
    """A learner in the third task of two classes each, whose backbone is the identity."""
    method: Any = make(cls, trains="head", augment="none", **options)
    method.info = INFO
    method.setup(INFO)
    method.head = head_of(oracle, "weight", "bias", [2, 2, 2])
    if hasattr(method, "teacher"):
        method.teacher.head = head_of(oracle, "old_weight", "old_bias", [2, 2])
    method._width, method._replays = 0, True
    return method


def stepped(method: Any, oracle: Oracle, name: str, batch: Batch, classes: tuple[int, ...] = NEW) -> None:
    """Compare the loss, and the head after a step of plain SGD."""
    parameters = [parameter.requires_grad_(True) for parameter in method.head.parameters()]
    loss = method.objective(batch, classes)
    loss.backward()
    if hasattr(method, "before_step"):
        method.before_step(None)
    with torch.no_grad():
        for parameter in parameters:
            parameter -= oracle.meta["lr"] * parameter.grad
    oracle.compare("loss", loss, oracle.tensor(f"{name}/loss"))
    compare_heads(method.head, oracle, name)


def compare_heads(head: GrowingHead, oracle: Oracle, name: str) -> None:
    for key, values in zip(("weight", "bias"), head.get_state().values(), strict=True):
        oracle.compare("training", torch.cat(cast(list[Tensor], values)), oracle.tensor(f"{name}/{key}"))


def batch_of(oracle: Oracle) -> Batch:
    x, y = oracle.tensor("x"), oracle.tensor("y")
    return Batch(x, y, torch.arange(len(y)))


def replayed(method: Any, oracle: Oracle, draws: list[tuple[Tensor, Tensor]], kept: list[Tensor]) -> Batch:
    """The batch, followed by samples of a memory that holds just these images."""
    new = batch_of(oracle)
    method.memory.labels = torch.cat([y for _, y in draws])
    method.memory.pixels = torch.zeros(len(method.memory.labels), 1, 1, 1, dtype=torch.uint8)
    method.memory.values = torch.cat(kept) if kept else torch.empty(len(method.memory.labels), 0)
    rows = torch.arange(-len(method.memory.labels), 0)
    x, y = (torch.cat([first, *rest]) for first, *rest in zip((new.x, new.y), *draws, strict=True))
    return Batch(x, y, torch.cat([torch.arange(len(new)), rows]))


def sample(oracle: Oracle, number: int) -> tuple[Tensor, Tensor]:
    return oracle.tensor(f"memory_x{number}"), oracle.tensor(f"memory_y{number}")


def test_der_and_der_pp(mammoth: Oracle) -> None:
    kept = [mammoth.tensor(f"memory_logits{number}") for number in range(2)]
    for name, beta in (("der", 0.0), ("derpp", mammoth.meta["beta"])):
        method = learner(DerPP, mammoth, alpha=mammoth.meta["alpha"][name], beta=beta)
        draws = [sample(mammoth, number) for number in range(method.samples)]
        stepped(method, mammoth, name, replayed(method, mammoth, draws, kept[: method.samples]))
        if not beta:
            mammoth.compare("forward", method._offered[1], mammoth.tensor("der/kept_logits"))


@pytest.mark.parametrize(("name", "replays"), [("er-ace", True), ("er-ace-free", True), ("er-ace-first", False)])
def test_er_ace(mammoth: Oracle, name: str, replays: bool) -> None:
    method = learner(ErAce, mammoth, task_free=name == "er-ace-free")
    view = cast(View, SimpleNamespace(task=int(name == "er-ace")))
    method._replays = method.replays(view)
    assert method._replays == replays
    batch = replayed(method, mammoth, [sample(mammoth, 0)], []) if replays else batch_of(mammoth)
    stepped(method, mammoth, name, batch)


@pytest.mark.parametrize("name", ["a-gem-conflict", "a-gem-agree"])
def test_a_gem(mammoth: Oracle, name: str) -> None:
    method = learner(AGem, mammoth)
    remembered = mammoth.tensor(f"{name}/memory_x"), mammoth.tensor(f"{name}/memory_y")
    stepped(method, mammoth, name, replayed(method, mammoth, [remembered], []))


def test_icarl_with_sigmoids(mammoth: Oracle) -> None:
    stepped(learner(ICaRL, mammoth), mammoth, "icarl", batch_of(mammoth))
    first = learner(ICaRL, mammoth)
    first.teacher.head = GrowingHead(6)
    stepped(first, mammoth, "icarl-first", batch_of(mammoth), tuple(range(6)))


def test_losses_of_pycil(pycil: Oracle) -> None:
    for name, cls, options in (("icarl", ICaRL, {"loss": "global"}), ("wa", WA, {}), ("bic", BiC, {})):
        stepped(learner(cls, pycil, **options), pycil, name, batch_of(pycil))


def test_weight_alignment(pycil: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WA.__mro__[1], "remember", lambda self, view: None)
    method = learner(WA, pycil)
    method._old = pycil.meta["old_classes"]
    method.remember(None)
    compare_heads(method.head, pycil, "align")


def test_bic_in_mammoth(mammoth: Oracle) -> None:
    """Its distillation has a factor T^2, so the loss is put together from its parts; the line has the same steps."""
    factor = mammoth.meta["temperature"] ** 2
    for name, line in (("bic", (1.0, 0.0)), ("bic-corrected", (0.7, 0.2))):
        method = learner(BiC, mammoth)
        method.lines[1] = torch.tensor(line)
        logits, labels = method.head(mammoth.tensor("x")), mammoth.tensor("y")
        taught = method.corrected(method.teacher.head(mammoth.tensor("x")))
        parts = [method.shared_out(logits, labels, given) for given in (None, taught)]
        share = 4 / 6  # parts: the cross-entropy, and (1 - r) of it plus r of the distillation
        loss = (1 - share) * parts[0] + factor * (parts[1] - (1 - share) * parts[0])
        mammoth.compare("loss", loss, mammoth.tensor(f"{name}/loss"))
    method = learner(BiC, mammoth, bias_epochs=int(mammoth.arrays["bic-stage2/epochs"]), batch_size=8)
    x, y = sample(mammoth, 1)
    nothing = cast(ImageSet, SimpleNamespace(labels=y[:0]))
    method.encode, method.features_of = lambda images: x[:0], lambda images: x
    method.trainer.journal.begin(2)
    method._fit_line(nothing, SimpleNamespace(labels=y), 2)
    mammoth.compare("training", method.lines[2].flip(0), mammoth.tensor("bic-stage2/factors"))


def test_herding(mammoth: Oracle, pycil: Oracle) -> None:
    features, labels = mammoth.tensor("herding/features"), mammoth.tensor("herding/labels")
    each = int(mammoth.arrays["herding/size"]) // 2
    chosen = [
        rows[herded(features[rows], each)] for rows in ((labels == label).nonzero().flatten() for label in (0, 1))
    ]
    assert torch.cat(chosen).tolist() == mammoth.tensor("herding/chosen").tolist()
    memory, generator = Exemplars(int(pycil.arrays["memory_size"])), torch.Generator()
    labels = pycil.tensor("labels")
    for task in range(2):
        table, own = pycil.tensor(f"features/{task}"), ((labels // 2) == task).nonzero().flatten()
        memory.add(numbered(own, labels), generator, table[own])
        places = memory.pixels[:, 0, 0, 0].long()
        assert places.tolist() == pycil.tensor(f"memory/{task}").tolist()
        assert memory.labels.tolist() == pycil.tensor(f"memory_labels/{task}").tolist()
        means = exemplar_means(table[places], memory.labels, 2 * (task + 1))
        pycil.compare("forward", means, pycil.tensor(f"means/{task}").float())
    order = nearest_mean(pycil.tensor("queries"), means).argsort(1, descending=True)
    assert order.tolist() == pycil.tensor("nme_order").tolist()


def numbered(rows: Tensor, labels: Tensor) -> ImageSet:
    """Images whose pixels are their numbers."""
    pixels = rows.to(torch.uint8)[:, None, None, None]

    class Images(SimpleNamespace):
        def __len__(self) -> int:
            return len(rows)

    return cast(ImageSet, Images(labels=labels[rows], pixels=lambda index: pixels[index]))


def test_gdumb_s_rates_and_weights(mammoth: Oracle) -> None:
    rates = mammoth.arrays["gdumb/rates"]
    ours = [0.05 * WarmRestarts(0.01)(cast(Any, SimpleNamespace(epoch=epoch))) for epoch in range(len(rates))]
    assert np.allclose(ours, rates, atol=1e-9)
    x, y = sample(mammoth, 0)

    class Given(GDumb):
        def remember(self, view: View) -> None:
            self.head = GrowingHead(6)

        def _data(self, images: list[ImageSet]) -> Source:
            self.head.set_state(head_of(mammoth, "weight", "bias", [6]).get_state())
            return TensorBatches(x, y, len(y))

    method = make(
        Given, trains="head", augment="none", epochs=len(rates), cutmix=0.0, momentum=0.0, weight_decay=0.0, clip=0.0
    )
    method.info = INFO
    method.setup(INFO)
    method.trainer.journal.begin(0)
    method.learn(cast(View, SimpleNamespace(seen=range(6), classes=range(6), task=0)))
    compare_heads(method.head, mammoth, "gdumb")


def test_cutmix(mammoth: Oracle) -> None:
    images, order = mammoth.tensor("cutmix/images"), mammoth.tensor("cutmix/order")
    for case in range(3):
        given = {key: mammoth.arrays[f"cutmix/{case}/{key}"] for key in ("mixed", "share", "lam", "centre")}
        centre = int(given["centre"][0]), int(given["centre"][1])
        mixed, share = cutmix(images, order, float(given["lam"]), centre)
        mammoth.compare("forward", mixed, given["mixed"])
        assert share == pytest.approx(float(given["share"]))
