"""A sealed store: nothing of it can be read."""

from __future__ import annotations

import pytest

from cl.data.sealed import FINGERPRINT, SealedStore
from cl.errors import ContractError


@pytest.mark.parametrize("name", ["pixels", "labels", "hashes"])
def test_any_access_raises(name: str) -> None:
    with pytest.raises(ContractError, match="The test images are sealed"):
        getattr(SealedStore((8, 8, 1)), name)


def test_it_says_what_the_training_images_say() -> None:
    store = SealedStore((8, 8, 3), classes=4)
    assert (len(store), store.image_shape, store.fingerprint) == (0, (8, 8, 3), FINGERPRINT)
    assert store.tags is not None and store.tags.shape == (0, 4) and SealedStore((8, 8, 1)).tags is None
