"""The inputs of `predict`: images and their encodings."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cl.data.store import ImageStore
from cl.strategy import Inputs, StoredImages
from cl.training.encodings import Encodings
from tests.conftest import tiny_backbone, tiny_stream

CPU = torch.device("cpu")


@pytest.fixture
def store() -> ImageStore:
    return tiny_stream(train_per_class=None).dataset.train


def test_inputs_give_access_to_images_and_encodings_only(store: ImageStore) -> None:
    inputs = Inputs(None, CPU, StoredImages(Encodings(), store, np.arange(6)))
    assert sorted(name for name in dir(inputs) if not name.startswith("_")) == ["encode", "images", "rows"]
    images = inputs.images(tiny_backbone().transform)
    assert images.shape == (6, 3, 8, 8)
    some = inputs.rows(torch.tensor([4, 1]))  # indices into these inputs, not into the data set
    assert len(some) == 2 and torch.equal(some.images(tiny_backbone().transform), images[[4, 1]])
