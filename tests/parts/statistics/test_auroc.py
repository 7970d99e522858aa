"""The area under the ROC curve against all pairs and scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score

from cl.parts.statistics.auroc import auroc


@pytest.mark.parametrize("levels", [4, 10_000])
def test_it_is_the_share_of_ordered_pairs_with_ties_counted_half(levels: int) -> None:
    rng = torch.Generator().manual_seed(0)
    high = torch.randint(levels, (40,), generator=rng) + levels // 4
    low = torch.randint(levels, (30,), generator=rng)
    pairs = [(a > b) + 0.5 * (a == b) for a in high.tolist() for b in low.tolist()]
    found = auroc(high.float(), low.float())
    assert found == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)
    truth = [1] * 40 + [0] * 30
    assert found == pytest.approx(roc_auc_score(truth, torch.cat([high, low]).numpy()), abs=1e-12)


def test_ends() -> None:
    assert auroc(torch.tensor([2.0, 3.0]), torch.tensor([1.0])) == 1
    assert auroc(torch.tensor([0.0]), torch.tensor([1.0, 2.0])) == 0
    assert auroc(torch.tensor([1.0]), torch.tensor([1.0])) == 0.5
