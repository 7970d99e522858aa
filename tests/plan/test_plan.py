"""Plans: the folder and the hash of a run, and what makes no plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cl.errors import UsageError
from cl.plan.plan import folder_name, load_plan, make_plan, safe_name, without_path
from cl.plan.resolution import _resolved, _with_origins_by_value
from cl.plan.run_options import DEFAULT_BACKBONE, resolve_run

pytestmark = pytest.mark.usefixtures("methods")


def test_folders_depend_on_everything_but_the_seeds() -> None:
    plan = make_plan("method", "split-digits", results="r")
    assert plan.folder == Path("r/split-digits/method", DEFAULT_BACKBONE) / plan.config_hash / "seed1993"
    assert make_plan("method", "split-digits", seed=7).config_hash == plan.config_hash
    separate = make_plan("method", "split-digits", seed=1, init_seed=2, results="r")
    assert separate.folder.name == "order1-init2-data1"
    changes: list[dict[str, Any]] = [
        {"options": {"lr": 0.2}},
        {"options": {"stream.tasks": 3}},
        {"options": {"backbone.image_size": 64}},
        {"precision": "bf16"},
        {"limit": 10},
        {"max_tasks": 2},
    ]
    hashes = {make_plan("method", "split-digits", **change).config_hash for change in changes}
    assert len(hashes) == len(changes)
    assert plan.config_hash not in hashes
    assert make_plan("method", "split-digits", device="cuda", checkpoint_every=1).config_hash == plan.config_hash
    origin_only = make_plan("method", "split-digits", options={"lr": 0.3})
    assert origin_only.config_hash == plan.config_hash


def test_names_are_safe_on_every_file_system(tmp_path: Path) -> None:
    assert safe_name('folder:/a b\\c*?"<>|') == "folder-a-b-c"
    assert safe_name("...") == "unnamed"
    assert len(safe_name("x" * 300)) == 80
    plan = make_plan("method", f"folder:{tmp_path}")
    assert plan.stream == f"folder:{tmp_path.resolve()}"
    assert ":" not in str(plan.folder.relative_to(plan.results))


def test_missing_names_files_and_runs_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Choose a strategy with --strategy"):
        make_plan(stream="split-digits")
    with pytest.raises(UsageError, match="Choose a stream with --stream"):
        make_plan("method")
    with pytest.raises(UsageError, match="There is no config file"):
        make_plan("method", "split-digits", config_file=tmp_path / "none.toml")
    with pytest.raises(UsageError, match="holds no run"):
        load_plan(tmp_path)
    with pytest.raises(UsageError, match="--precision must be one of fp32, bf16"):
        make_plan("method", "split-digits", precision="fp8")


def test_unknown_arguments_are_usage_errors() -> None:
    with pytest.raises(UsageError, match=r"no option 'sead' of a run.*Did you mean .*seed"):
        make_plan("method", "split-digits", sead=1)
    with pytest.raises(UsageError, match="options of a method go into `options`"):
        make_plan("method", "split-digits", lr=1)
    with pytest.raises(UsageError, match="a run takes one value, and `clbench run` makes a grid of several"):
        make_plan("method", "split-digits", options={"lr": [1, 2]})
    with pytest.raises(UsageError, match="--max-tasks must be at least 1, not 0"):
        make_plan("method", "split-digits", max_tasks=0)


def test_settings_is_the_old_name_of_options_and_warns_at_the_line_of_the_call() -> None:
    with pytest.warns(FutureWarning, match="`settings` is now called `options`") as warned:
        plan = make_plan("method", "split-digits", settings={"epochs": 4})
    assert [Path(each.filename) for each in warned] == [Path(__file__)]
    assert plan.config()["epochs"] == {"value": 4, "origin": "call"}
    with pytest.raises(UsageError, match="give `options` only"):
        make_plan("method", "split-digits", options={"lr": 0.2}, settings={"epochs": 4})


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("split-digits", "split-digits"),
        ("folder:/data/birds", "folder:"),
        ("/home/me/mine.toml", "*.toml"),
        ("vit@/home/me/own.pth", "vit@own.pth"),
        ("vit@own.pth", "vit@own.pth"),
        ("vit@random", "vit@random"),
    ],
)
def test_an_absolute_path_is_not_part_of_the_configuration(name: str, plain: str) -> None:
    assert without_path(name) == plain


def test_a_path_gives_a_folder_its_last_name_and_a_digest() -> None:
    one, two = folder_name("folder:/data/birds"), folder_name("folder:/more/birds")
    assert one != two and one.startswith("folder-birds-") and len(one) == len("folder-birds-") + 6
    assert folder_name("vit@own.pth") == safe_name("vit@own.pth")


@pytest.mark.parametrize("stream", ["folder:~nouser/x", "folder:" + "x" * 5000, "folder:a\0b"])
def test_a_stream_that_holds_no_path_is_refused(stream: str) -> None:
    with pytest.raises(UsageError, match=r"--stream .* (holds no path|NUL|zero)"):
        make_plan("method", stream)


def test_the_config_file_of_a_run_gives_the_origins_of_its_command(tmp_path: Path) -> None:
    """A value that equals the preset's is not shown as an option, wherever it was written."""
    first = make_plan("method", "split-digits", options={"lr": 0.123})
    (tmp_path / "config.toml").write_text(first.to_toml(run_id="x"))
    again = make_plan(config_file=tmp_path / "config.toml", seed=7)
    origins = {key: each["origin"] for key, each in again.config().items()}
    assert origins == {**{key: each["origin"] for key, each in first.config().items()}, "lr": "file config.toml"}
    back = make_plan(
        config_file=tmp_path / "config.toml", options={"lr": make_plan("method", "split-digits").options.lr}
    )
    assert back.config()["lr"]["origin"] == make_plan("method", "split-digits").config()["lr"]["origin"]


def test_one_image_is_not_told_apart_from_all_by_its_origin_alone(tmp_path: Path) -> None:
    """1 == 1.0, but as a limit 1 is one image and 1.0 is all of them: the recorded value is the one in force."""
    plan = make_plan("method", "split-digits", options={"stream.train_per_class": 1})
    whole = make_plan("method", "split-digits", options={"stream.train_per_class": 1.0})
    assert repr(plan.values["stream.train_per_class"].value) == "1" == repr(plan.stream_options.train_per_class)
    assert repr(whole.values["stream.train_per_class"].value) == "1.0" and plan.config_hash != whole.config_hash
    layers: list[Any] = [("preset x", {"stream.train_per_class": 1.0}), ("call", {"stream.train_per_class": 1})]
    run = resolve_run({"strategy": "method", "stream": "split-digits"}, {})
    resolved = _with_origins_by_value(_resolved(run, layers, fresh=1, untuned=False), run, layers[:1])
    assert repr(resolved.values["stream.train_per_class"].value) == "1"
    assert resolved.values["stream.train_per_class"].origin == "call"


def test_a_compiled_run_has_a_folder_of_its_own_and_keeps_the_choice(tmp_path: Path) -> None:
    plan, other = (make_plan("method", "split-digits", compile=each) for each in (True, False))
    assert plan.config_hash != other.config_hash
    (tmp_path / "config.toml").write_text(plan.to_toml(run_id="x", command=["clbench", "run"]))
    assert load_plan(tmp_path).compile and load_plan(tmp_path).config_hash == plan.config_hash
