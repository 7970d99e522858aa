"""Plans: what a run will do, completely resolved, before anything heavy is imported or any data is touched."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cl import registry
from cl.errors import ClbenchError, UsageError, did_you_mean
from cl.files import toml_load
from cl.loggers import check as check_loggers
from cl.options import (
    Layer,
    Setting,
    config_hash,
    flatten,
    jsonable,
    options_of,
    parse_assignments,
    parse_value,
    resolve,
    split_keys,
)
from cl.plan import compatibility
from cl.plan.presets import choose
from cl.settings import SettingOptions, needed, resolve_stream, usual

DEFAULT_BACKBONE = "vit_micro_patch4_32.tinyimagenet_distill"
DEFAULT_SEED = 1993
PRECISIONS = ("fp32", "bf16")
RUN_KEYS: dict[str, Any] = {
    "strategy": str,
    "stream": str,
    "backbone": str,
    "preset": str | None,
    "seed": int,
    "order_seed": int | None,
    "init_seed": int | None,
    "data_seed": int | None,
    "limit": int | float | None,
    "max_tasks": int | None,
    "device": str,
    "precision": str,
    "results": str,
    "checkpoint_every": float,
    "save_learner": bool,
    "loggers": tuple[str, ...],
}
"""Keys of the [run] table of a config file, the arguments of `make_plan` and, with dashes, options of `clbench run`."""


@dataclass(frozen=True)
class Plan:
    """One run, resolved: names, options with their origins, seeds, and the folder its record goes to."""

    strategy: str
    stream: str
    backbone: str
    options: Any
    stream_options: Any
    backbone_options: Any
    settings: Mapping[str, Setting]
    seeds: Mapping[str, int]  # order, init, data
    transforms: SettingOptions = SettingOptions()  # noqa: RUF009 - an immutable value
    preset: str | None = None
    untuned: bool = False
    precision: str = "fp32"
    device: str = "auto"
    limit: int | float | None = None
    max_tasks: int | None = None
    checkpoint_every: float = 30.0
    save_learner: bool = False
    loggers: tuple[str, ...] = ()
    results: Path = Path("results")
    at: Path | None = field(default=None, compare=False)  # the folder of a run that is resumed where it lies

    @property
    def limited(self) -> bool:
        """Whether the run uses a part of the images or tasks only; such a run is never ranked."""
        return self.limit is not None or self.max_tasks is not None

    @property
    def config_hash(self) -> str:
        """Eight hex digits over everything that changes the result, seeds apart; the record keeps them."""
        return config_hash(
            (self.strategy, _version_of(registry.strategies.get(self.strategy))),
            (self.stream, compatibility.version_of(self.stream)),
            self.backbone,
            {key: jsonable(setting.value) for key, setting in self.settings.items()},
            precision=self.precision,
            limited=self.limited,
            max_tasks=self.max_tasks,
        )

    @property
    def folder(self) -> Path:
        """results/stream/strategy/backbone/config-hash/seed; the same run always has the same folder."""
        if self.at is not None:
            return self.at
        order, init, data = (self.seeds[name] for name in ("order", "init", "data"))
        seed = f"seed{order}" if order == init == data else f"order{order}-init{init}-data{data}"
        stream = Path(self.stream).name if self.stream.endswith(".toml") else self.stream
        names = [safe_name(name) for name in (stream, self.strategy, self.backbone)]
        return self.results.joinpath(*names, self.config_hash, seed)

    @property
    def title(self) -> str:
        """One line for people."""
        seeds = sorted(set(self.seeds.values()))
        return f"{self.strategy} on {self.stream}, {self.backbone}, seed {'/'.join(map(str, seeds))}"

    def config(self) -> dict[str, dict[str, Any]]:
        """Every option with its value and origin, as it stands in the record."""
        return {
            key: {"value": jsonable(setting.value), "origin": setting.origin} for key, setting in self.settings.items()
        }

    def to_toml(self, *, run_id: str = "", command: Sequence[str] = ()) -> str:
        """The text of config.toml: a config file that repeats this run, with the origin of every value."""
        import tomli_w

        separate = {f"{name}_seed": seed for name, seed in self.seeds.items()}
        run: dict[str, Any] = {
            "strategy": self.strategy,
            "stream": self.stream,
            "backbone": self.backbone,
            "preset": self.preset,
            **(separate if len(set(separate.values())) > 1 else {"seed": self.seeds["order"]}),
            "limit": self.limit,
            "max_tasks": self.max_tasks,
            "device": self.device,
            "precision": self.precision,
            "results": str(self.results),
            "checkpoint_every": self.checkpoint_every,
            "save_learner": self.save_learner or None,
            "loggers": list(self.loggers) or None,
        }
        content = {
            "run": {key: value for key, value in run.items() if value is not None},
            "options": {key: _tomlable(setting.value) for key, setting in self.settings.items()},
            "origins": {key: setting.origin for key, setting in self.settings.items()},
            "invocation": {
                "command": shlex.join(command),
                "clbench": registry.own_version(),
                "run_id": run_id,
                "untuned": self.untuned,
            },
        }
        return tomli_w.dumps(content)


def make_plan(
    strategy: str | None = None,
    stream: str | None = None,
    backbone: str | None = None,
    *,
    seed: int | None = None,
    order_seed: int | None = None,
    init_seed: int | None = None,
    data_seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    config_file: str | os.PathLike[str] | None = None,
    preset: str | None = None,
    few_shot: bool = False,
    setting: str | Sequence[str] | None = None,
    limit: int | float | str | None = None,
    max_tasks: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    results: str | os.PathLike[str] | None = None,
    checkpoint_every: float | None = None,
    save_learner: bool | None = None,
    loggers: str | Sequence[str] | None = None,
    origin: str = "call",
) -> Plan:
    """Resolve a run; what is not given comes from the config file's [run] table, then from the defaults.

    `settings` maps option keys (`lr`, `stream.tasks`, `backbone.normalize`) to values and wins over the environment
    (`CLBENCH_SET`), the config file, presets and defaults; `origin` names it in the record. `few_shot` is short for
    `stream.shots` = 5, `setting` ("online", ...; see `cl.settings`) for `stream.setting`. Imports the strategy but
    touches no data. Raises `UsageError` for an unknown name, key or value.
    """
    run_table, file_layer = read_config(Path(config_file)) if config_file is not None else ({}, None)
    given: dict[str, Any] = {
        "strategy": strategy, "stream": stream, "backbone": backbone, "preset": preset, "seed": seed,
        "order_seed": order_seed, "init_seed": init_seed, "data_seed": data_seed, "limit": limit,
        "max_tasks": max_tasks, "device": device, "precision": precision, "checkpoint_every": checkpoint_every,
        "save_learner": save_learner, "loggers": loggers,
        "results": os.fspath(results) if results is not None else None,
    }  # fmt: skip
    defaults = {
        "backbone": DEFAULT_BACKBONE, "seed": DEFAULT_SEED, "device": "auto", "precision": "fp32",
        "results": "results", "checkpoint_every": 30.0,
    }  # fmt: skip
    if seed is not None:  # --seed sets all three, whatever the file says of each
        run_table = {key: value for key, value in run_table.items() if not key.endswith("_seed")}
    if os.environ.get("CLBENCH_RESULTS"):
        run_table = {**run_table, "results": os.environ["CLBENCH_RESULTS"]}
    if os.environ.get("CLBENCH_LOGGER"):
        run_table = {**run_table, "loggers": os.environ["CLBENCH_LOGGER"]}
    chosen = {**defaults, **run_table, **{key: value for key, value in given.items() if value is not None}}
    for key in ("strategy", "stream"):
        if not chosen.get(key):
            raise UsageError(f"Choose a {key} with --{key}; `clbench list` shows what there is.")
    chosen = {key: parse_value(RUN_KEYS[key], value, f"--{key.replace('_', '-')}") for key, value in chosen.items()}
    chosen["loggers"] = check_loggers(chosen.get("loggers", ()))

    environment = parse_assignments(shlex.split(os.environ.get("CLBENCH_SET", "")))
    layers = [file_layer] if file_layer is not None else []
    layers.append(("environment", environment))
    if few_shot:
        layers.append(("--few-shot", _few_shot(_checked_stream(chosen["stream"]))))
    if setting:
        layers.append(("--setting", {"stream.setting": setting}))
    if chosen.get("limit") is not None:
        layers.append(("--limit", _limit(chosen["limit"], _checked_stream(chosen["stream"]))))
    layers.append((origin, settings or {}))
    return _assemble(chosen, layers)


def load_plan(folder: Path) -> Plan:
    """The plan of an existing run, exactly as it was resolved then: presets and environment are not consulted again.

    Raises `UsageError` where `folder` holds no run or its config.toml was edited into something unknown.
    """
    path = folder / "config.toml"
    if not path.is_file():
        raise UsageError(f"{folder} holds no run (no config.toml); give the folder that `clbench run` printed.")
    content = toml_load(path)
    run_table, _ = _sections(content, path)
    options, origins = flatten(content.get("options", {})), content.get("origins", {})
    layers: dict[str, dict[str, Any]] = {}
    for key, value in options.items():
        layers.setdefault(origins.get(key, f"file {path.name}"), {})[key] = value
    defaults = {"backbone": DEFAULT_BACKBONE, "seed": DEFAULT_SEED, "precision": "fp32", "results": "results"}
    chosen = {key: parse_value(RUN_KEYS[key], value, key) for key, value in {**defaults, **run_table}.items()}
    untuned = bool(content.get("invocation", {}).get("untuned", False))
    return _assemble(chosen, list(layers.items()), at=folder, untuned=untuned)


def _assemble(
    chosen: Mapping[str, Any], layers: Sequence[Layer], *, at: Path | None = None, untuned: bool | None = None
) -> Plan:
    """Layers to options; presets are consulted unless the run exists already (`untuned` is known)."""
    strategy, stream, backbone = chosen["strategy"], _checked_stream(chosen["stream"]), chosen["backbone"]
    preset = chosen.get("preset")
    if chosen["precision"] not in PRECISIONS:
        raise UsageError(f"--precision must be one of {', '.join(PRECISIONS)}, not '{chosen['precision']}'.")
    if (chosen.get("max_tasks") or 1) < 1:
        raise UsageError(f"--max-tasks must be at least 1, not {chosen['max_tasks']}.")
    method = registry.strategies.get(strategy)
    presets: list[Layer] = []
    if untuned is None:
        found = choose(strategy, stream, backbone, preset)
        presets, untuned = [(each.origin, each.options) for each in found], not found
    if getattr(method, "val_fraction", 0.0) and at is None:
        presets.insert(0, (f"strategy {strategy}", {"stream.val_fraction": method.val_fraction}))
    sections: dict[str, list[Layer]] = {"": [], "stream": [], "backbone": []}
    for origin, mapping in [*presets, *layers]:
        for section, values in split_keys(mapping).items():
            sections[section].append((origin, values))
    stream_options, transforms, stream_settings = resolve_stream(_family(stream).Options, sections["stream"])
    if at is None:
        sections[""].insert(len(presets), ("setting online", usual(transforms, method)))
    options, settings = _resolve_strategy(method, sections[""], stream, backbone, fresh=at is None)
    compatibility.check(strategy, options, stream, stream_options, needed(transforms))
    from cl.backbone.options import BackboneOptions

    backbone_options, backbone_settings = resolve(BackboneOptions, sections["backbone"], prefix="backbone.")
    seed = chosen["seed"]
    seeds = {name: _first(chosen.get(f"{name}_seed"), seed) for name in ("order", "init", "data")}
    return Plan(
        strategy=strategy, stream=stream, backbone=backbone, options=options, stream_options=stream_options,
        backbone_options=backbone_options, settings={**settings, **stream_settings, **backbone_settings},
        seeds=seeds, preset=preset, untuned=untuned, precision=chosen["precision"], device=chosen.get("device", "auto"),
        limit=chosen.get("limit"), max_tasks=chosen.get("max_tasks"),
        checkpoint_every=chosen.get("checkpoint_every", 30.0), save_learner=chosen.get("save_learner", False),
        loggers=chosen.get("loggers", ()), results=Path(chosen["results"]), transforms=transforms, at=at,
    )  # fmt: skip


def _resolve_strategy(
    method: Any, layers: Sequence[Layer], stream: str, backbone: str, *, fresh: bool, prefix: str = ""
) -> tuple[Any, dict[str, Setting]]:
    """Options of a strategy; those of a wrapper hold its base's, resolved with the base's own presets."""
    options, settings = resolve(method.Options, layers, prefix=prefix)
    wrapped = [key for key, info in options_of(method.Options).items() if info.nested == "base"]
    if not wrapped:
        return options, settings
    base, inside = registry.strategies.get(options.base), f"{prefix}base."
    if check := getattr(method, "check_base", None):
        check(options.base, base)
    base_layers: list[Layer] = []
    if fresh:
        base_layers = [(each.origin, split_keys(each.options)[""]) for each in choose(options.base, stream, backbone)]
    base_layers += [(origin, split_keys(mapping, ("base",))["base"]) for origin, mapping in layers]
    inner, inner_settings = _resolve_strategy(base, base_layers, stream, backbone, fresh=fresh, prefix=inside)
    settings = {key: setting for key, setting in settings.items() if not key.startswith(inside)}
    return dataclasses.replace(options, **{wrapped[0]: dataclasses.asdict(inner)}), {**settings, **inner_settings}


def read_config(path: Path) -> tuple[dict[str, Any], Layer]:
    """The [run] table and the [options] layer of a config file; raises `UsageError` for anything else in it."""
    if not path.is_file():
        raise UsageError(f"There is no config file {path}.")
    return _sections(toml_load(path), path)


def _sections(content: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], Layer]:
    known = ["run", "options", "origins", "invocation"]
    for section in content:
        if section not in known:
            raise UsageError(
                f"{path}: unknown table or key '{section}'; a config file has [run] and [options]."
                f"{did_you_mean(section, known)}"
            )
    run = dict(content.get("run", {}))
    for key in run:
        if key not in RUN_KEYS:
            raise UsageError(f"{path}: unknown key '{key}' in [run].{did_you_mean(key, list(RUN_KEYS))}")
    return run, (f"file {path.name}", flatten(content.get("options", {})))


def _limit(limit: int | float, stream: str) -> dict[str, int | float]:
    """--limit as stream options: whole numbers are images per class, fractions a share of them."""
    known = options_of(_family(stream).Options)
    keys = [key for key in ("train_per_class", "test_per_class") if key in known]
    if not keys:
        raise UsageError(f"Stream {stream} cannot be limited; leave --limit out.")
    if limit <= 0 or (isinstance(limit, float) and limit > 1):
        raise UsageError(f"--limit must be a whole number of images per class or a fraction up to 1.0, not {limit}.")
    return {f"stream.{key}": limit for key in keys}


def _few_shot(stream: str) -> dict[str, int]:
    """--few-shot as a stream option."""
    if "shots" not in options_of(_family(stream).Options):
        raise UsageError(f"Stream {stream} has no option shots; leave --few-shot out.")
    return {"stream.shots": 5}


def _checked_stream(stream: str) -> str:
    """The stream's name, a path in it made absolute so that the run can be resumed from anywhere."""
    family, argument = registry.streams.split(stream)
    if argument is not None and family.endswith(":") and Path(argument).expanduser().exists():
        return family + str(Path(argument).expanduser().resolve())
    return str(Path(stream).expanduser().resolve()) if argument == stream else stream


def _family(stream: str) -> Any:
    return registry.streams.get(stream)


def _version_of(thing: Any) -> str:
    return str(getattr(thing, "version", "1"))


def _first(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _tomlable(value: Any) -> Any:
    return "none" if value is None else jsonable(value)


def safe_name(name: str) -> str:
    """A name as one folder on every file system; the hash in the path keeps different names apart."""
    return re.sub(r"[^A-Za-z0-9._@+-]+", "-", name).strip("-. ")[:80] or "unnamed"


def invocation() -> list[str]:
    """The command line of this process, for config.toml."""
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    return ["clbench" if program == "__main__.py" else program, *sys.argv[1:]]


def grid(
    strategies: Iterable[str | None], streams: Iterable[str | None], seeds: Iterable[int | None], **arguments: Any
) -> list[Plan]:
    """A plan for every combination, seeds innermost; raises before anything runs when one of them is wrong."""
    streams, seeds = list(streams), list(seeds)
    plans = [
        make_plan(strategy, stream, seed=seed, **arguments)
        for strategy in strategies
        for stream in streams
        for seed in seeds
    ]
    folders: dict[Path, Plan] = {}
    for plan in plans:
        folders.setdefault(plan.folder, plan)
    if not folders:
        raise ClbenchError("There is nothing to run.")
    return list(folders.values())
