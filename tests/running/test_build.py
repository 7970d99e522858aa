"""The objects of a run: a stream, a backbone, a device and a saved learner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.records.record import save
from cl.running.build import build_backbone, build_stream, load_learner, pick_device, sized
from tests.help.image_folders import tree
from tests.help.records import build_record


def test_auto_takes_an_accelerator_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for here, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda here=here: here)
        assert pick_device("auto") == device
    assert pick_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["cuda:99", "gpu"])
def test_a_device_that_is_not_here_is_one_sentence(name: str) -> None:
    with pytest.raises(UsageError, match=rf"^--device {name} is not available here \(.+\); try auto\.$") as caught:
        pick_device(name)
    assert "\n" not in str(caught.value)


def test_the_stream_of_a_plan_has_its_seeds_options_and_setting() -> None:
    options = {"stream.tasks": 5, "stream.train_per_class": 4, "stream.chunk": 5}
    stream = build_stream(make_plan("simplecil", "split-digits", order_seed=3, setting=["online"], options=options))
    assert stream.setting == "online class-incremental"
    assert [len(experience.train) for experience in stream.experiences] == [5, 3] * 5, "chunks of 8 images per task"
    same, other = (build_stream(make_plan("simplecil", "split-digits", order_seed=seed)) for seed in (3, 4))
    assert list(stream.class_order) == list(same.class_order) != list(other.class_order)


def test_a_folder_is_decoded_at_the_size_that_the_network_sees(cache: Path, tmp_path: Path) -> None:
    name = f"folder:{tree(tmp_path / 'pets', {'ant': 5, 'bee': 5})}"

    def side(**options: Any) -> Any:
        stream = build_stream(
            make_plan("simplecil", name, options={key.replace("_", ".", 1): options[key] for key in options})
        )
        assert stream.options["size"] == stream.identity["options"]["size"] == stream.info.image_shape[1]
        return stream.info.image_shape[1]

    assert side() == 32 and side(backbone_image_size=40) == 40 and side(backbone_crop_pct=0.5) == 64
    assert side(stream_size=9) == 9, "an explicit size stays"
    assert sized("split-digits", options := object()) is options, "streams of one size stay as they are"


def test_a_random_backbone_is_drawn_from_the_seed_of_new_parameters() -> None:
    def weights(**seeds: Any) -> Any:
        options = {"backbone.image_size": 32}
        plan = make_plan("simplecil", "split-digits", "test_vit@random", options=options, **seeds)
        return next(build_backbone(plan).parameters())

    assert torch.equal(weights(init_seed=1), weights(init_seed=1, data_seed=5))
    assert not torch.equal(weights(init_seed=1), weights(init_seed=2))


def test_a_folder_without_a_learner_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run; give the folder of one"):
        load_learner(tmp_path)
    (tmp_path / "config.toml").touch()
    save(build_record(), tmp_path / "record.json")
    with pytest.raises(UsageError, match="keeps no learner; run again with --save-learner --existing always"):
        load_learner(tmp_path)


@pytest.mark.parametrize("status", ["partial", "failed", None])
def test_an_unfinished_run_is_not_advised_to_start_over(status: str | None, tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    if status is not None:  # without a record it was stopped before its first
        save(build_record(status=status), tmp_path / "record.json")
    with pytest.raises(UsageError, match=r"not complete; finish it with `clbench resume .* --save-learner`") as caught:
        load_learner(tmp_path)
    assert "always" not in str(caught.value)
