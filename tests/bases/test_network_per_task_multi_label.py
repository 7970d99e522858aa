"""One network per task on images with several classes: the loss, the choice of trials, the search for a source."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

from cl.bases.network_per_task import FINAL_LR, NetworkPerTask
from cl.strategies.finetune_dynamic import FinetuneDynamic
from cl.strategies.finetune_previous import FinetunePrevious
from cl.strategies.independent import Independent
from cl.strategies.pretrained import Pretrained
from cl.stream import Stream
from cl.testing.multi_label import with_several_classes
from tests.conftest import run, tiny_backbone
from tests.help.network_per_task import FAST, learner, stream
from tests.help.plain_loops import Keeping, close, descend, logits, weights

Learn = Callable[..., list[Any]]


def several() -> Stream:
    return with_several_classes(stream(), 2)


def test_a_task_of_independent_equals_a_plain_loop(learn: Learn) -> None:
    """Warm-up and cosine, Nesterov, decay of matrices, and binary cross-entropies of smoothed labels."""
    backbone = tiny_backbone()
    for module in backbone.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    options = {**FAST, "trials": 1, "steps": 6, "validate_every": 6, "lr_min": 0.05, "lr_max": 0.05}
    options |= {"smoothing_max": 0.3, "warmup_epochs": 1.0, "warmup_share": 0.5, "weight_decay": 0.01}
    strategy = Independent(Independent.Options(**options), backbone, Keeping())
    end = learn(strategy, several(), 1, lambda held, view: weights(held))[0]
    trainer: Any = strategy.trainer
    smoothing = strategy.history[0]["trials"][0]["label_smoothing"]
    assert smoothing > 0.01
    batches, start = trainer.batches[0, "trial 0"], trainer.starts[0, "trial 0"]
    assert len(batches) == 6 and all(batch.tags is not None for batch in batches)
    assert any(bool((batch.tags.sum(1) == 2).any()) for batch in batches)
    model = tiny_backbone().model

    def loss(held: dict[str, Tensor], batch: Any) -> Tensor:
        chance, target = torch.sigmoid(logits(model, held, batch.x)), batch.tags.float()
        target = target * (1 - smoothing) + smoothing / 2
        return -(target * chance.log() + (1 - target) * (1 - chance).log()).mean()

    def lr(step: int) -> float:
        warmup = 3
        if step < warmup:
            return 0.05 * step / warmup
        share, least = (step - warmup) / (6 - warmup), FINAL_LR / 0.05
        return 0.05 * (least + (1 - least) * (1 + math.cos(math.pi * share)) / 2)

    exempt = {"pos_embed", "cls_token"}

    def decay(name: str) -> float:
        return 0.01 if start[name].ndim >= 2 and name not in exempt else 0.0

    close(end, descend(start, batches, loss, lr, momentum=0.9, decay=decay, nesterov=True))


def test_a_trial_is_scored_by_the_mean_average_precision_of_validation_images(learn: Learn) -> None:
    strategy = learner(Independent, trials=1)

    def score(held: NetworkPerTask, view: Any) -> tuple[float, float]:
        held.backbone.eval()
        with torch.no_grad():
            found = torch.cat([held.head.blocks[-1](held.backbone(x)) for x, _ in held.chunks(view.val)])
        again = average_precision_score(view.val.tags.numpy(), found.numpy())
        return held.history[-1]["trials"][0]["score"], float(again)

    for told, again in learn(strategy, several(), 1, score):
        assert told == pytest.approx(again, abs=1e-9) and 0 < told < 1


def test_tasks_with_one_class_per_image_still_have_the_accuracy(learn: Learn) -> None:
    strategy = learner(Independent, trials=1)
    counts = learn(strategy, several(), 2, lambda held, view: len(view.val))
    score = strategy.history[1]["trials"][0]["score"]
    assert score * counts[1] == pytest.approx(round(score * counts[1]))


@pytest.mark.parametrize("cls", [Independent, FinetunePrevious, FinetuneDynamic, Pretrained])
def test_all_learn_and_are_measured(cls: type[NetworkPerTask], tmp_path: Path) -> None:
    assert cls.multi_label
    result = run(learner(cls), several(), tmp_path)["result"]
    first, last = result["mean_precision"]["til_oracle"]
    assert 0 < first[0] <= 1 and first[1] is None and last == [first[0], None]
    assert [row[0] for row in result["accuracy"]["til_oracle"]["correct"]] == [None, None]


def test_the_search_ranks_by_the_share_of_neighbours_with_a_class() -> None:
    """As the classifier per class of the authors' code, also for a class that all training images have or none has."""
    rng = np.random.default_rng(0)
    train, val = (torch.from_numpy(rng.normal(size=(n, 4)).astype(np.float32)) for n in (40, 25))
    y, z = torch.from_numpy(rng.random((40, 5)) < 0.4), torch.from_numpy(rng.random((25, 5)) < 0.4)
    y[:, 1], y[:, 3] = True, False
    voters = KNeighborsClassifier(5).fit(train.numpy(), y.numpy().astype(np.int32))
    shares = []
    for column, found in enumerate(voters.predict_proba(val.numpy())):
        constant = np.full(len(val), float(y[0, column]))
        shares.append(found[:, 1] if found.shape[1] == 2 else constant)
    strategy = learner(FinetuneDynamic)
    assert isinstance(strategy, FinetuneDynamic)
    expected = average_precision_score(z.numpy(), np.stack(shares, 1))
    assert strategy._precision(train, y, val, z) == pytest.approx(expected, abs=1e-12)


def test_the_search_of_a_task_uses_its_tags(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task with several classes comes second, after a network to search."""
    made = with_several_classes(stream(), 2)
    one = made.experiences[0]
    strategy = learner(FinetuneDynamic, trials=1)
    assert isinstance(strategy, FinetuneDynamic)
    calls: list[tuple[int, ...]] = []
    precision = strategy._precision

    def look(*given: Tensor) -> float:
        calls.append(tuple(given[1].shape))
        return precision(*given)

    monkeypatch.setattr(strategy, "_precision", look)
    strategy.info = made.info
    strategy.setup(made.info)
    for task in (1, 0):
        strategy.trainer.journal.begin(1 - task)
        strategy.learn(made.view(task))
    assert calls == [(len(one.train), len(one.classes))] * 2, "a kept network and the untrained one"
    assert len(strategy.ranking[1]) == 2
