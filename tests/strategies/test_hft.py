"""Half fine-tuning: a random half trains in every task, and nothing else moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.errors import UsageError
from cl.parts.weights.halves import Unit, drawn, units_of
from cl.plan.plan import make_plan
from cl.strategies.finetune import Finetune
from cl.strategies.hft import HFT
from cl.testing import check_strategy
from cl.training.batches import Batch
from tests.conftest import equal, make, run, tiny_stream
from tests.help.exemplars import DECAY, FAST, MOMENTUM, Learn, learner, stepped
from tests.help.plain_loops import Tensors, close, descend, logits, weights


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"select": "layer"}, {"select": "model", "optimizer": "adamw"}])
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    check_strategy("hft", options=options)


def test_a_share_of_one_is_sequential_fine_tuning(learn: Learn) -> None:
    for select in ("category", "layer", "model"):
        half, full = make(HFT, **FAST, share=1.0, select=select), make(Finetune, **FAST)
        learn(half, tiny_stream(), 2)
        learn(full, tiny_stream(), 2)
        ours, theirs = weights(half), weights(full)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs), select


def test_three_tasks_end_like_a_plain_loop_that_moves_only_the_drawn_half(learn: Learn) -> None:
    method = learner(HFT)
    chosen: list[set[Unit]] = []

    def after(learned: HFT, view: Any) -> Tensors:
        return weights(learned)

    model, found = method.backbone.model, learn(method, tiny_stream(), 3, after)
    units = units_of(method.backbone)
    for task, ours in enumerate(found):
        batches, start = method.trainer.batches[task, "train"], method.trainer.starts[task, "train"]
        classes = (2 * task, 2 * task + 1)
        moved = {unit for unit in units if not all(_same(start, ours, unit))}
        chosen.append(moved)

        def loss(held: Tensors, batch: Batch, classes: tuple[int, int] = classes) -> Tensor:
            z = logits(model, held, batch.x)[:, list(classes)]
            return F.cross_entropy(z, batch.y - classes[0])

        def rest(step: int, held: Tensors, start: Tensors = start, moved: set[Unit] = moved) -> None:
            for unit in units:
                if unit not in moved:
                    rows = slice(None) if unit.rows is None else slice(*unit.rows)
                    for name in unit.names:
                        held[name][rows] = start[name][rows]

        plain = descend(start, batches, loss, stepped(batches), momentum=MOMENTUM, decay=lambda name: DECAY, after=rest)
        close(ours, plain)
    for moved in chosen:
        matrices = [unit for unit in moved if unit.kind != "norm"]
        assert len(matrices) == 6 and len(moved) - 6 == 3, "3 of 6 matrices in two blocks, 3 of 5 norms"
    assert chosen[0] != chosen[1] or chosen[1] != chosen[2], "every task draws anew"


def _same(before: Tensors, after: Tensors, unit: Unit) -> list[bool]:
    rows = slice(None) if unit.rows is None else slice(*unit.rows)
    return [torch.equal(before[name][rows], after[name][rows]) for name in unit.names]


def test_the_optimiser_gets_only_tensors_of_the_half(learn: Learn, fits: list[dict[str, Any]]) -> None:
    method = make(HFT, **FAST, select="layer")
    learn(method, tiny_stream(), 1)
    half = fits[0]["params"][0]
    names = {id(p): name for name, p in method.backbone.model.named_parameters()}
    units = units_of(method.backbone)
    picked = drawn(units, "layer", 0.5, method.trainer.journal.rng("again"))
    assert len(picked) < len(units)
    given = {names[id(p)] for p in half["params"]}
    resting = {name for unit in units for name in unit.names} - given
    assert resting and {"cls_token", "pos_embed"} < given


def test_the_same_seed_draws_the_same_halves(learn: Learn) -> None:
    one, two = make(HFT, **FAST), make(HFT, **FAST)
    learn(one, tiny_stream(), 2)
    learn(two, tiny_stream(), 2)
    assert equal(one, two)


@pytest.mark.usefixtures("isolated")
def test_a_network_without_categories_is_refused_before_training(tmp_path: Path) -> None:
    import cl

    with pytest.raises(UsageError, match="select=category draws within attention blocks"):
        cl.run("hft", "split-digits", "cnn_x1_32@random", options={"epochs": 1})
    assert make_plan("hft", "split-digits").strategy == "hft"


def test_its_record_has_the_answers_of_fine_tuning(tmp_path: Path) -> None:
    result = run(make(HFT, **FAST), tiny_stream(), tmp_path)["result"]
    assert [*result["accuracy"]] == ["cil_seen", "til_masked"]
