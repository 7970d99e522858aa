"""Images without labels."""

from __future__ import annotations

import pytest
import torch

from cl.errors import ContractError, UsageError


def test_photos_are_unlabelled_and_the_same_every_time() -> None:
    from cl.parts.unlabelled import unlabelled

    images = unlabelled("photos", 100)
    assert len(images) == 100
    assert images.pixels([0]).shape == (1, 3, 64, 64)
    with pytest.raises(ContractError, match="no labels"):
        _ = images.labels
    assert len(unlabelled("photos")) == 3120
    assert unlabelled("photos").rows[:100].tolist() == images.rows.tolist()


def test_photos_are_the_half_overlapping_crops_and_their_mirror_images() -> None:
    from sklearn.datasets import load_sample_images

    from cl.parts.unlabelled import unlabelled

    images = unlabelled("photos")
    found = {image.tobytes() for image in images.pixels(slice(None)).permute(0, 2, 3, 1).numpy()}
    for photo in load_sample_images().images:
        height, width, _ = photo.shape
        for top in range(0, height - 63, 32):
            for left in range(0, width - 63, 32):
                crop = photo[top : top + 64, left : left + 64]  # the scale that is not resized
                assert {crop.tobytes(), crop[:, ::-1].tobytes()} <= found


def test_a_stream_gives_its_training_images_without_labels_or_their_order() -> None:
    from cl.parts.unlabelled import unlabelled
    from cl.streams.digits import digits

    images = unlabelled("split-digits")
    train = digits().train
    assert images.origin == train.fingerprint != images.store.fingerprint
    assert set(images.store.labels.tolist()) == {0}
    here = {image.tobytes(): label for image, label in zip(train.pixels, train.labels.tolist(), strict=True)}
    labels = torch.tensor([here[image.tobytes()] for image in images.store.pixels])
    assert len(labels) == len(train)
    assert int((labels.diff() != 0).sum()) > len(train) // 2  # mixed


def test_a_pack_gives_its_training_images(tmp_path) -> None:  # type: ignore[no-untyped-def]
    import numpy as np

    from cl.parts.unlabelled import unlabelled

    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    path = tmp_path / "some.npz"
    np.savez(
        path, images=pixels, labels=np.arange(6, dtype=np.int16) % 2, split=np.array([0, 0, 0, 0, 1, 1], np.uint8),
        classes=np.array(["a", "b"]), meta="{}",
    )  # fmt: skip
    found = {image.tobytes() for image in unlabelled(str(path)).store.pixels}
    assert found == {image.tobytes() for image in pixels[:4]}


def test_unknown_images_are_refused_in_one_sentence() -> None:
    from cl.parts.unlabelled import unlabelled

    with pytest.raises(UsageError, match=r"no set of images 'photo'.*Did you mean photos"):
        unlabelled("photo")
