"""Encodings: computed once, and independent of the order of requests."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from cl.backbone import Backbone
from cl.data.store import ImageStore
from cl.strategy import Inputs, StoredImages
from cl.training.cost import FlopCounter
from cl.training.encodings import BLOCK, Encodings, Table
from cl.training.shared_tables import SharedTables
from tests.conftest import tiny_backbone, tiny_stream

CPU = torch.device("cpu")


class Counting(Encodings):
    """Counts the images that are computed, not read from the cache."""

    images = 0

    def _compute(self, extractor: Any, store: Any, table: Any, blocks: Any, device: Any) -> Any:
        self.images += len(table.rows_of(blocks))
        return super()._compute(extractor, store, table, blocks, device)


@pytest.fixture
def store() -> ImageStore:
    return tiny_stream(train_per_class=None).dataset.train


def test_features_do_not_depend_on_the_order_of_requests(store: ImageStore) -> None:
    rng = np.random.default_rng(0)
    rows = np.arange(len(store))
    whole = Encodings().get(tiny_backbone(), store, rows, CPU)
    pieces = Encodings()
    backbone = tiny_backbone()
    for part in np.array_split(rng.permutation(rows), 37):
        assert torch.equal(pieces.get(backbone, store, part, CPU), whole[torch.as_tensor(part)])


def test_each_image_is_encoded_once(store: ImageStore) -> None:
    encodings, backbone = Counting(), tiny_backbone()
    for _ in range(3):
        encodings.get(backbone, store, np.arange(len(store)), CPU)
    assert encodings.images == len(store)
    once = encodings.flops_per_image(backbone, store, CPU)
    # executed: every image once, and the one on which the FLOPs were counted
    assert encodings.cost.flops == {"executed": (len(store) + 1) * once, "uncached": 3 * len(store) * once}


def test_a_block_contains_images_of_one_class(store: ImageStore) -> None:
    encodings, backbone = Counting(), tiny_backbone()
    row = int(np.flatnonzero(store.labels == 4)[3])
    encodings.get(backbone, store, np.array([row]), CPU)
    assert encodings.images <= BLOCK


def test_blocks_of_a_class_are_small_at_first_and_keep_the_order_of_the_images() -> None:
    labels = np.repeat([0, 3, 7], [200, 5, 64])
    table = Table(ImageStore(np.zeros((len(labels), 1, 1, 3), np.uint8), labels, "x"), dim=1)
    sizes = np.bincount(table.block_of)
    assert sizes.tolist() == [16, 16, 16, 16, 64, 64, 8, 5, 16, 16, 16, 16]
    assert np.array_equal(table.rows_of(np.arange(len(sizes))), np.arange(len(labels)))
    assert np.array_equal(table.rows_of(np.array([7, 1])), [*range(200, 205), *range(16, 32)])
    assert len(table.rows_of(np.array([], np.int64))) == 0


def test_blocks_of_a_changed_backbone_mix_the_classes_of_a_unit() -> None:
    labels, units = np.repeat(np.arange(4), 30), np.tile([5, 2, 9], 40)
    store = ImageStore(np.zeros((120, 1, 1, 3), np.uint8), labels, "x")
    table = Table(store, 1, "recent", units)
    assert np.bincount(table.block_of).tolist() == [40, 40, 40]
    for block, unit in enumerate((2, 5, 9)):
        assert np.array_equal(table.rows_of(np.array([block])), np.flatnonzero(units == unit))
    large = Table(store, 1, "recent", np.zeros(120, np.int64))
    assert np.bincount(large.block_of).tolist() == [64, 56]


def test_a_task_with_few_test_images_is_encoded_in_one_pass() -> None:
    stream = tiny_stream(test_per_class=2)
    backbone, passes = tiny_backbone(), []
    backbone.register_forward_pre_hook(lambda _, inputs: passes.append(len(inputs[0])))
    with torch.no_grad():
        next(backbone.parameters()).add_(1)
    encodings = Encodings()
    encodings.expect(stream)
    rows = stream.groups[0].rows["test"]
    encodings.get(backbone, stream.store("test"), rows, CPU)
    assert len(stream.groups[0].classes) > 1
    assert passes == [1, len(rows)]  # the first counts the FLOPs of one image


def test_flops_of_a_changed_backbone_are_counted_once_per_layout(store: ImageStore) -> None:
    encodings, backbone, other = Encodings(), tiny_backbone(), tiny_backbone(depth=3)

    def executed(extractor: Backbone) -> float:
        before = encodings.cost.flops["executed"]
        encodings.get(extractor, store, np.arange(16), CPU)
        return encodings.cost.flops["executed"] - before

    first = executed(backbone)
    with torch.no_grad():
        next(backbone.parameters()).add_(1)
    once = encodings.flops_per_image(backbone, store, CPU)
    assert once == 0  # not known for the changed backbone yet
    assert executed(backbone) * 17 == first * 16
    assert encodings.flops_per_image(backbone, store, CPU) * 17 == first
    with torch.no_grad():
        next(other.parameters()).add_(2)
    assert executed(other) % 17 == 0 and encodings.flops_per_image(other, store, CPU) * 17 > first
    with torch.no_grad():
        next(backbone.parameters()).add_(1)
    backbone.model.register_forward_hook(lambda *_: None)
    assert executed(backbone) == first


def test_features_are_not_computed_under_a_counter_in_progress(store: ImageStore) -> None:
    backbone, encodings, under = tiny_backbone(), Encodings(), []
    backbone.register_forward_pre_hook(lambda *_: under.append(isinstance(_get_current_dispatch_mode(), FlopCounter)))
    rows = np.arange(40)

    def head() -> Tensor:
        return encodings.get(backbone, store, rows, CPU) @ torch.ones(backbone.dim, 3)

    _, own = encodings.cost.own_flops(head)
    assert under[0] and not any(under[1:]) and len(under) > 1  # the first is the count of one image
    assert own == 2 * 40 * backbone.dim * 3
    assert encodings.cost.flops["uncached"] == 40 * encodings.flops_per_image(backbone, store, CPU)


def test_features_of_later_batches_are_computed_together_if_they_go_to_the_disk(
    store: ImageStore, tmp_path: Path
) -> None:
    rows = np.random.default_rng(0).permutation(len(store))[:200]
    whole = Counting().get(tiny_backbone(), store, rows, CPU)
    disk, memory, backbone = Counting(tmp_path), Counting(), tiny_backbone()
    for encodings in (disk, memory):
        first = encodings.get(backbone, store, rows[:7], CPU, ahead=rows)
        assert torch.equal(first, whole[:7])
    files = list(tmp_path.rglob("*.safetensors"))
    assert memory.images < disk.images and files
    assert torch.equal(disk.get(backbone, store, rows[7:], CPU), whole[7:])
    assert list(tmp_path.rglob("*.safetensors")) == files
    once = disk.flops_per_image(backbone, store, CPU)
    assert disk.cost.flops == {"executed": (disk.images + 1) * once, "uncached": 200 * once}
    part = Inputs(None, CPU, StoredImages(disk, store, rows, ahead=rows)).rows(torch.tensor([3]))
    assert part._source is not None and part._source.ahead is None


def test_features_are_shared_on_disk_until_the_backbone_changes(store: ImageStore, tmp_path: Path) -> None:
    rows = np.arange(100)
    first = Counting(tmp_path)
    expected = first.get(tiny_backbone(), store, rows, CPU)
    first.flush()
    second = Counting(tmp_path)
    assert torch.equal(second.get(tiny_backbone(), store, rows, CPU), expected) and second.images == 0
    changed = tiny_backbone()
    with torch.no_grad():
        next(changed.parameters()).add_(0.1)
    third = Counting(tmp_path)
    assert not torch.equal(third.get(changed, store, rows, CPU), expected) and third.images > 0
    files = len(list(tmp_path.rglob("*.safetensors")))
    third.flush()
    assert len(list(tmp_path.rglob("*.safetensors"))) == files, "features of changed backbones are not shared"


def test_runs_of_a_process_share_tables_and_count_as_if_read_from_disk(store: ImageStore, tmp_path: Path) -> None:
    rows, tables = np.arange(100), SharedTables()
    first = Counting(tmp_path, shared=tables)
    expected = first.get(tiny_backbone(), store, rows, CPU)
    first.flush()
    from_disk = Counting(tmp_path)
    from_disk.get(tiny_backbone(), store, rows, CPU)
    for path in tmp_path.rglob("*.safetensors"):
        path.unlink()
    second = Counting(tmp_path, shared=tables)
    assert torch.equal(second.get(tiny_backbone(), store, rows, CPU), expected) and second.images == 0
    assert second.cost.flops == from_disk.cost.flops and second.cost.flops["executed"] == 0
    elsewhere = Counting(tmp_path / "other", shared=tables)
    elsewhere.get(tiny_backbone(), store, rows, CPU)
    assert elsewhere.images > 0, "another cache folder has tables of its own"


def test_features_of_changed_backbones_are_never_shared(store: ImageStore, tmp_path: Path) -> None:
    changed, tables = tiny_backbone(), SharedTables()
    with torch.no_grad():
        next(changed.parameters()).add_(0.1)
    for _ in range(2):
        run = Counting(tmp_path, shared=tables)
        run.get(changed, store, np.arange(3), CPU)
        assert run.images > 0


def test_features_of_an_interrupted_run_reach_the_disk_by_a_later_run(store: ImageStore, tmp_path: Path) -> None:
    tables, backbone = SharedTables(), tiny_backbone()
    blocks: list[int] = []

    class Interrupted(Counting):
        def _compute(self, extractor: Any, store: Any, table: Any, blocks_: Any, device: Any) -> Any:
            blocks.extend(blocks_.tolist())
            super()._compute(extractor, store, table, blocks_[:1], device)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Interrupted(tmp_path, shared=tables).get(backbone, store, np.arange(len(store)), CPU)
    assert len(blocks) > 1
    later = Counting(tmp_path, shared=tables)
    later.get(backbone, store, np.arange(len(store)), CPU)
    later.flush()
    assert 0 < later.images < len(store)
    alone = Counting(tmp_path)
    alone.get(backbone, store, np.arange(len(store)), CPU)
    assert alone.images == 0


def test_flops_of_shared_features_by_another_counter_are_counted_again(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.arange(100)
    first = Encodings(tmp_path)
    monkeypatch.setattr("cl.training.encodings.COUNTED_BY", "an older clbench")
    first.get(tiny_backbone(), store, rows, CPU)
    once = first.flops_per_image(tiny_backbone(), store, CPU)
    monkeypatch.undo()
    second = Counting(tmp_path)
    second.get(tiny_backbone(), store, rows, CPU)
    assert second.images == 0, "the features are still valid"
    assert second.cost.flops == {"executed": once, "uncached": len(rows) * once}
    second.get(tiny_backbone(), store, rows, CPU)
    assert second.cost.flops == {"executed": once, "uncached": 2 * len(rows) * once}


def test_a_damaged_cache_is_ignored(store: ImageStore, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Encodings(tmp_path)
    expected = first.get(tiny_backbone(), store, np.arange(100), CPU)
    first.flush()
    for path in tmp_path.rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:200])
    second = Counting(tmp_path)
    assert torch.equal(second.get(tiny_backbone(), store, np.arange(100), CPU), expected) and second.images > 0
    assert "is damaged; its features are computed again" in caplog.text
    caplog.clear()
    third = Counting(tmp_path)
    assert torch.equal(third.get(tiny_backbone(), store, np.arange(100), CPU), expected) and third.images == 0
    assert not caplog.text, "the damaged file is gone, and a whole one in its place"


def test_no_flipped_bit_of_a_feature_file_reaches_a_result(store: ImageStore, tmp_path: Path) -> None:
    first = Encodings(tmp_path)
    expected = first.get(tiny_backbone(), store, np.arange(100), CPU)
    path = max(tmp_path.rglob("*.safetensors"), key=lambda path: path.stat().st_size)
    whole = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(whole), 25).tolist():
        data = bytearray(whole)
        data[place] ^= 1 << (place % 8)
        path.write_bytes(data)
        assert torch.equal(Encodings(tmp_path).get(tiny_backbone(), store, np.arange(100), CPU), expected), place
        for extra in tmp_path.rglob("*.safetensors"):
            extra.unlink() if extra != path else None


def test_features_of_other_images_are_not_taken(
    store: ImageStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = ImageStore.from_arrays(255 - np.asarray(store.pixels), store.labels)
    expected = Encodings().get(tiny_backbone(), store, np.arange(len(store)), CPU)
    for each in (store, other):
        Encodings(tmp_path).get(tiny_backbone(), each, np.arange(len(store)), CPU)
    one, two = (folder for folder in tmp_path.iterdir())
    for path in [*two.glob("*.safetensors")]:
        path.rename(one / f"9{path.name}")
    for path in [*one.glob("*.safetensors")]:
        path.rename(two / path.name)
    assert torch.equal(Encodings(tmp_path).get(tiny_backbone(), store, np.arange(len(store)), CPU), expected)
    assert "is damaged" in caplog.text


def test_processes_that_need_the_same_features_compute_each_block_once(store: ImageStore, tmp_path: Path) -> None:
    class Slow(Counting):
        def _compute(self, *arguments: Any) -> Any:
            time.sleep(0.05)
            return super()._compute(*arguments)

    runs = [Slow(tmp_path) for _ in range(3)]
    backbones = [tiny_backbone() for _ in runs]
    rows = np.arange(len(store))
    with ThreadPoolExecutor(len(runs)) as pool:  # leases exclude threads as they exclude processes
        found = list(pool.map(lambda each: each[0].get(each[1], store, rows, CPU), zip(runs, backbones, strict=True)))
    assert sum(each.images for each in runs) == len(store)
    assert all(torch.equal(each, found[0]) for each in found)


def test_without_leases_on_the_disk_features_are_computed_all_the_same(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError("no leases here")

    expected = Encodings().get(tiny_backbone(), store, np.arange(100), CPU)
    monkeypatch.setattr("cl.training.encodings.acquire", refuse)
    assert torch.equal(Encodings(tmp_path).get(tiny_backbone(), store, np.arange(100), CPU), expected)


def test_features_of_recent_changed_backbones_only_stay_in_memory(store: ImageStore) -> None:
    encodings = Encodings(recent=2)
    for step in range(5):
        backbone = tiny_backbone()
        with torch.no_grad():
            next(backbone.parameters()).add_(step + 1)
        encodings.get(backbone, store, np.arange(10), CPU)
    assert len(encodings._tables) == 2


def test_a_changed_backbone_encodes_the_images_of_the_stream_only() -> None:
    stream = tiny_stream(train_per_class=5)
    store, rows = stream.dataset.train, np.concatenate([e.train for e in stream.experiences])
    backbone = tiny_backbone()
    with torch.no_grad():
        next(backbone.parameters()).add_(1)
    encodings, whole = Counting(), Encodings()
    encodings.expect(stream)
    assert len(rows) < len(store)
    features = encodings.get(backbone, store, rows, CPU)
    assert encodings.images == len(rows)
    assert torch.allclose(features, whole.get(backbone, store, rows, CPU), atol=1e-5)
    others = np.setdiff1d(np.arange(len(store)), rows)
    assert torch.allclose(
        encodings.get(backbone, store, others, CPU), whole.get(backbone, store, others, CPU), atol=1e-5
    )
    assert encodings.images == len(store)


def test_an_unchanged_backbone_encodes_blocks_that_other_streams_share() -> None:
    stream = tiny_stream(train_per_class=5)
    store, rows = stream.dataset.train, stream.experiences[0].train
    encodings, whole = Counting(), Counting()
    encodings.expect(stream)
    assert torch.equal(encodings.get(tiny_backbone(), store, rows, CPU), whole.get(tiny_backbone(), store, rows, CPU))
    assert encodings.images == whole.images > len(rows)


def test_cached_and_exact_features_agree(store: ImageStore) -> None:
    backbone: Backbone = tiny_backbone().double()

    def features(exact: bool) -> Tensor:
        source = StoredImages(Encodings(exact=exact), store, np.arange(50))
        return Inputs(None, CPU, source).encode(backbone).float()

    # images reach the model as float32; float64 weights would refuse them, so compare in float32
    backbone.float()
    assert torch.allclose(features(True), features(False), atol=1e-5)


def test_features_aside_cost_nothing_and_evict_nothing(store: ImageStore) -> None:
    encodings, backbone, other = Counting(), tiny_backbone(), tiny_stream(train_per_class=None).dataset.test
    with torch.no_grad():
        next(backbone.parameters()).add_(1)
    rows = np.arange(20)
    for each in (store, ImageStore.from_arrays(255 - other.pixels, other.labels)):
        encodings.get(backbone, each, rows, CPU)
    before, computed = dict(encodings.cost.flops), encodings.images
    with encodings.aside():
        negatives = ImageStore.from_arrays(255 - store.pixels, store.labels)
        encodings.expect_rows(negatives, rows)
        aside = encodings.get(backbone, negatives, rows, CPU, charge=False)
        assert encodings.images == computed + len(rows), "only the images that are used"
        encodings.get(backbone, other, rows, CPU)
    assert encodings.cost.flops == before and encodings.images > computed + len(rows)
    computed = encodings.images
    encodings.get(backbone, store, rows, CPU)
    assert encodings.images == computed, "the run's own features are still there"
    assert torch.equal(encodings.get(backbone, negatives, rows, CPU), aside) and encodings.images == computed + len(
        rows
    )


def test_the_blocks_of_a_stream_are_not_changed_by_another_use_of_its_images() -> None:
    stream, backbone = tiny_stream(), tiny_backbone()
    with torch.no_grad():
        next(backbone.parameters()).add_(1)
    plain, also = Counting(), Counting()
    for encodings in (plain, also):
        encodings.expect(stream)
    also.expect_rows(stream.dataset.train, np.arange(40))
    rows = stream.experiences[0].train
    one, two = (each.get(backbone, stream.dataset.train, rows, CPU) for each in (plain, also))
    assert torch.equal(one, two) and plain.images == also.images == len(rows)
