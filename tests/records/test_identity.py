"""The config hash: equal for equal configurations, different for every single difference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cl.records.identity import RunIdentity, config_hash

SAME: dict[str, Any] = {
    "strategy": ("slca", "1"), "stream": ("split-digits", "1"), "backbone": "vit", "values": {"lr": 0.1, "epochs": 2},
    "precision": "fp32", "limited": False, "max_tasks": None,
}  # fmt: skip
OTHER: dict[str, Any] = {
    "strategy": ("slca", "2"), "stream": ("split-digits", "2"), "backbone": "vit@random",
    "values": {"lr": 0.1, "epochs": 3}, "precision": "bf16", "limited": True, "max_tasks": 2, "probe": ("other", False),
}  # fmt: skip


def test_every_difference_changes_the_hash() -> None:
    hashes = [config_hash(**SAME), *(config_hash(**{**SAME, key: value}) for key, value in OTHER.items())]
    assert len(set(hashes)) == 1 + len(OTHER) and all(len(each) == 8 and int(each, 16) >= 0 for each in hashes)


def test_when_a_probe_is_measured_changes_the_hash() -> None:
    assert config_hash(**SAME, probe=("other", True)) != config_hash(**SAME, probe=("other", False))
    assert config_hash(**SAME, probe=None) == config_hash(**SAME)


def test_the_order_of_options_does_not_matter_and_folders_of_old_runs_stay() -> None:
    assert config_hash(**{**SAME, "values": {"epochs": 2, "lr": 0.1}}) == config_hash(**SAME) == "6ac52bfd"


THEN = RunIdentity("c", "1993", "old", "w" * 64, "{}", "a" * 64, "b" * 64, "s" * 64)


def test_a_change_is_named_with_what_it_was_and_is() -> None:
    assert THEN.changed_since(THEN) == ""
    now = replace(THEN, weights="x" * 64)
    assert now.changed_since(THEN) == "the weights of the backbone (wwwwwwww, now xxxxxxxx) have changed"
    assert replace(THEN, code="new").changed_since(vars(THEN)) == "the code of the strategy (old, now new) has changed"
    assert replace(THEN, code="new").changed_since(THEN, ignoring=("code",)) == ""
    assert (
        replace(THEN, probe="p" * 64).changed_since(THEN)
        == "the images of the probe (unknown, now pppppppp) have changed"
    )
    images = replace(THEN, training_images="c" * 64, stream="t" * 64)
    assert images.changed_since(THEN) == "the training images (aaaaaaaa, now cccccccc) have changed"
    assert "definition of the stream" in replace(THEN, stream="t" * 64).changed_since(THEN)
    assert replace(THEN, weights="x" * 64).changed_since({"config": "c"}) == "", "unknown parts are not compared"
