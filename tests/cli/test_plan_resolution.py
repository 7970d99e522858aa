from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cl import registry
from cl.errors import UsageError
from cl.options import Value, nested, option
from cl.plan import presets
from cl.plan.grids import grid
from cl.plan.plan import Plan, load_plan, make_plan, safe_name
from cl.plan.run_options import DEFAULT_BACKBONE, RunOptions, declared

PRESETS = """
[[preset]]
stream = ["split-digits", "split-cifar*"]
source = "paper, table 3"
[preset.options]
lr = 0.3
epochs = 7
stream.tasks = 2
backbone.normalize = "half"

[[preset]]
backbone = "vit_base*"
source = "paper, appendix"
options = { lr = 0.4 }

[[preset]]
name = "other"
source = "somebody else"
options = { lr = 0.5 }
"""


class Method:
    """A method."""

    rules = ("cil_seen",)
    access = "present"
    val_fraction = 0.0
    version = "1"

    @dataclass(frozen=True)
    class Options:
        lr: float = option(0.1, "rate", gt=0)
        epochs: int = option(1, "epochs")
        note: str | None = option(None, "a note")
        steps: tuple[int, ...] = option((1, 2), "steps")


class Validating(Method):
    val_fraction = 0.25


class Wrapper(Method):
    @dataclass(frozen=True)
    class Options:
        base: str = option("method", "what to wrap")
        weight: float = option(0.5, "weight")
        base_options: Mapping[str, Any] = nested("base", "its options")


@pytest.fixture(autouse=True)
def methods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    path = tmp_path / "method.toml"
    path.write_text(PRESETS)
    nowhere = tmp_path / "none.toml"
    monkeypatch.setattr(presets, "presets_path", lambda name: path if name == "method" else nowhere)
    known = {"method": Method, "validating": Validating, "wrapper": Wrapper}
    for name, value in known.items():
        registry.strategies.register(name, value)
    yield
    for name in known:
        registry.strategies.unregister(name)


def test_precedence_from_default_to_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "my.toml"
    config.write_text('[run]\nmax_tasks = 3\n[options]\nnote = "file"\nstream.base = 2\nsteps = [9]\n')
    monkeypatch.setenv("CLBENCH_SET", "note=environment 'steps=3, 4'")
    plan = make_plan("method", "split-digits", config_file=config, options={"note": "called"}, origin="command line")
    assert plan.values["epochs"] == Value(7, "preset method#1")
    assert plan.values["stream.base"] == Value(2, "file my.toml")
    assert plan.values["steps"] == Value((3, 4), "environment")
    assert plan.values["note"] == Value("called", "command line")
    assert plan.values["backbone.normalize"] == Value("half", "preset method#1")
    assert plan.values["stream.order"].origin == "default"
    assert (plan.options.lr, plan.stream_options.tasks, plan.max_tasks, plan.untuned) == (0.3, 2, 3, False)
    assert plan.config()["steps"] == {"value": [3, 4], "origin": "environment"}


def test_presets_match_stream_and_backbone() -> None:
    assert make_plan("method", "split-digits", "vit_base_patch16_224").options.lr == 0.4
    assert make_plan("method", "split-digits", preset="other").options.lr == 0.5
    assert make_plan("method", "split-digits", preset="other").preset == "other"
    assert make_plan("validating", "split-digits").untuned
    with pytest.raises(UsageError, match=r"no preset 'othr' for split-digits .*Did you mean other"):
        make_plan("method", "split-digits", preset="othr")
    with pytest.raises(UsageError, match="It has none; leave --preset out"):
        make_plan("validating", "split-digits", preset="x")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lr = 1", "unknown key 'lr'. Known: preset."),
        ('[[preset]]\nsource = "x"\nstreem = "a"', "unknown key 'streem'. Did you mean stream"),
        ("[[preset]]\n[preset.options]\nlr = 1", "preset 1 lacks 'source'; add it"),
        ('[[preset]]\nsource = "x"\nstream = 3', "preset 1: stream must be text or a list of text, not 3"),
        ('[[preset]]\nsource = "x"\nstream = []', "take a pattern or a list of patterns"),
        ('[[preset]]\nsource = ""', "say where the values come from"),
        ('[[preset]]\nsource = "x"\noptions = { lrr = 3 }', "no option 'lrr' (set by preset method#1)"),
    ],
)
def test_malformed_presets_are_usage_errors(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "method.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        make_plan("method", "split-digits")
    assert says in str(caught.value)


def test_a_method_that_needs_validation_gets_it() -> None:
    plan = make_plan("validating", "split-digits")
    assert plan.values["stream.val_fraction"] == Value(0.25, "strategy validating")
    other = make_plan("validating", "split-digits", options={"stream.val_fraction": 0.1})
    assert other.stream_options.val_fraction == 0.1


def test_wrappers_receive_their_base_completely_resolved() -> None:
    plan = make_plan("wrapper", "split-digits", options={"base.lr": "0.7", "weight": 1})
    assert plan.options.base_options == {"lr": 0.7, "epochs": 7, "note": None, "steps": (1, 2)}
    assert plan.values["base.lr"] == Value(0.7, "call")
    assert plan.values["base.epochs"] == Value(7, "preset method#1")
    assert plan.values["base.note"].origin == "default"
    with pytest.raises(UsageError, match=r"no option 'base\.lrr'.*Did you mean base\.lr"):
        make_plan("wrapper", "split-digits", options={"base.lrr": 1})


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


def test_limit_becomes_stream_options_and_marks_the_run() -> None:
    plan = make_plan("method", "split-digits", limit="5")
    assert plan.values["stream.train_per_class"] == Value(5, "--limit")
    assert plan.values["stream.test_per_class"] == Value(5, "--limit")
    assert plan.limited
    assert make_plan("method", "split-digits", limit="0.5").stream_options.test_per_class == 0.5
    assert make_plan("method", "split-digits", max_tasks=1).limited
    for wrong in ("0", "-1", "1.5", "all"):
        with pytest.raises(UsageError, match="--limit must be"):
            make_plan("method", "split-digits", limit=wrong)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"seed": 3, "data_seed": 4, "limit": 0.5, "precision": "bf16", "max_tasks": 2, "preset": "other"},
        {"options": {"note": "a 'b' \"c\"", "steps": "", "stream.tasks": "3", "stream.order": "natural"}},
    ],
)
def test_config_toml_gives_the_plan_back(arguments: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    plan = make_plan("method", "split-digits", **arguments)
    (tmp_path / "config.toml").write_text(plan.to_toml(run_id="x", command=["clbench", "run"]))
    (tmp_path / "method.toml").write_text("")  # presets may change afterwards: the run does not
    monkeypatch.setenv("CLBENCH_SET", "lr=9")
    again = load_plan(tmp_path)
    assert again == plan
    assert again.folder == tmp_path


def test_config_toml_of_a_wrapper_gives_the_plan_back(tmp_path: Path) -> None:
    plan = make_plan("wrapper", "split-digits", options={"base.lr": "0.7"})
    (tmp_path / "config.toml").write_text(plan.to_toml())
    assert load_plan(tmp_path) == plan


def test_config_toml_repeats_a_run_with_another_seed(tmp_path: Path) -> None:
    plan = make_plan("method", "split-digits", seed=1, data_seed=2, options={"lr": 0.9})
    (tmp_path / "config.toml").write_text(plan.to_toml())
    again = make_plan(config_file=tmp_path / "config.toml", seed=5)
    assert again.config_hash == plan.config_hash
    assert set(again.seeds.values()) == {5}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lr = 1", "unknown key 'lr'. Known: run, options, origins, invocation"),
        ("[option]\nlr = 1", "Did you mean options"),
        ("[run]\nsedd = 1", "c.toml, [run]: unknown key 'sedd'. Did you mean seed"),
        ("[options]\nlrr = 1", "no option 'lrr' (set by file c.toml). Did you mean lr"),
        ("[run]\nseed = 'a'", "--seed must be a whole number"),
    ],
)
def test_wrong_config_files_are_usage_errors(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        make_plan("method", "split-digits", config_file=tmp_path / "c.toml")
    assert says in str(caught.value)


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


def test_results_folder_from_argument_environment_and_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[run]\nresults = "file"\n')

    def where(**arguments: Any) -> str:
        return str(make_plan("method", "split-digits", config_file=config, **arguments).results)

    monkeypatch.setenv("CLBENCH_RESULTS", "environment")
    assert where(results="argument") == "argument"
    assert where() == "environment"
    monkeypatch.delenv("CLBENCH_RESULTS")
    assert where() == "file"


def test_grids_hold_every_combination_once() -> None:
    plans = grid(["method", "validating"], ["split-digits", "split-cifar10"], [1, 2, 1]).plans
    assert [(plan.strategy, plan.stream, plan.seeds["data"]) for plan in plans] == [
        (strategy, stream, seed)
        for strategy in ("method", "validating")
        for stream in ("split-digits", "split-cifar10")
        for seed in (1, 2)
    ]
    assert isinstance(plans[0], Plan)


def test_options_of_a_run_are_declared_once_for_command_line_file_and_call() -> None:
    from cl import api
    from cl.cli.commands.run import command

    flags = {parameter.name: parameter for parameter in command.params}
    for name, info in declared().items():
        assert str(getattr(flags[name], "help", "")).startswith(info.help), name
        assert getattr(flags[name], "envvar", None) in (info.env or None, None), name
        for function in (make_plan, api.run):
            words = str(function.__doc__) + str(inspect.signature(function))
            assert re.search(rf"\b{name}\b", words), f"{function.__name__} does not mention {name}"
    assert set(make_plan("method", "split-digits").table()) <= set(declared())


def test_unknown_arguments_are_usage_errors() -> None:
    with pytest.raises(UsageError, match=r"no option 'sead' of a run.*Did you mean seed"):
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


def test_environment_lies_between_call_and_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[run]\nprecision = "bf16"\ndevice = "cuda"\nfew_shot = true\n')
    monkeypatch.setenv("CLBENCH_DEVICE", "cpu")
    plan = make_plan("method", "split-digits", config_file=config, few_shot=False)
    assert (plan.precision, plan.device) == ("bf16", "cpu") and "stream.shots" not in plan.values
    monkeypatch.setenv("CLBENCH_PRECISION", "fp32")
    assert make_plan("method", "split-digits", config_file=config).precision == "fp32"
    assert make_plan("method", "split-digits", config_file=config, precision="bf16").precision == "bf16"


def test_a_run_is_said_in_one_way() -> None:
    same = RunOptions(order_seed=4, init_seed=4, data_seed=4, few_shot=True, setting=("online",)).settled()
    assert same == RunOptions(seed=4) and same.seeds == {"order": 4, "init": 4, "data": 4}
    other = RunOptions(seed=4, init_seed=5).settled()
    assert other.table()["init_seed"] == 5 and "seed" not in other.table()
    assert RunOptions(seed=0, checkpoint_every=0.0).table()["checkpoint_every"] == 0.0
