"""Settings that change how any stream arrives: long-tailed, blurry boundaries, online.

Each is a pure function Stream -> Stream; the dataset, its test images and the groups they are tested in stay. What they
draw, they draw from the data seed. Importing this module imports neither NumPy nor torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cl.errors import UsageError
from cl.options import DEFAULT, Layer, Value, option, options_of, resolve

if TYPE_CHECKING:
    from cl.stream import Stream

LONG_TAILED, I_BLURRY, SI_BLURRY, ONLINE = SETTINGS = ("long-tailed", "i-blurry", "si-blurry", "online")
"""The settings by name, in the order in which they are applied."""

NEEDS = {LONG_TAILED: "long-tailed", I_BLURRY: "blurry", SI_BLURRY: "blurry", ONLINE: "online"}
"""What of `cl.protocol.SETTINGS` a strategy has to be right on."""


@dataclass(frozen=True)
class SettingOptions:
    """Options that every stream has beside those of its family."""

    setting: tuple[str, ...] = option(
        (), "how the stream arrives: online, blurry or long-tailed, or several of them", choices=SETTINGS, unlisted=True
    )
    imbalance: float = option(
        100.0, "long-tailed: training images of the most frequent class over those of the rarest", ge=1, unlisted=True
    )
    tail: str = option(
        "ordered", "long-tailed: classes grow rarer in the order of learning, or in an order of their own",
        choices=("ordered", "shuffled"), unlisted=True,
    )  # fmt: skip
    disjoint: float = option(
        0.5, "blurry: share of the classes whose images come in one task only (N of i-Blurry-N-M)",
        ge=0, le=1, unlisted=True,
    )  # fmt: skip
    blur: float = option(
        0.1, "blurry: share of the images of the other classes that are dealt over all tasks (M of i-Blurry-N-M)",
        ge=0, le=1, unlisted=True,
    )  # fmt: skip
    chunk: int = option(10, "online: images that arrive at a time, each once", ge=1, unlisted=True)
    evaluate_every: int | None = option(
        None, "online: evaluate after so many images, beside the ends of tasks", ge=1, unlisted=True
    )


OPTIONS_OF: Mapping[str, tuple[str, ...]] = {
    LONG_TAILED: ("imbalance", "tail"),
    I_BLURRY: ("disjoint", "blur"),
    SI_BLURRY: ("disjoint", "blur"),
    ONLINE: ("chunk", "evaluate_every"),
}
"""The options that belong to a setting."""


def resolve_stream(
    family_options: type, layers: Iterable[Layer], prefix: str = "stream."
) -> tuple[Any, SettingOptions, dict[str, Value]]:
    """Options of a family and those of the settings, from layers that hold both; every value with its origin.

    Raises `UsageError` for an unknown key or a wrong value, for two kinds of blur, and for an option of a setting that
    was not chosen.
    """
    known, layers = set(options_of(SettingOptions)) - set(options_of(family_options)), list(layers)
    split = [_split(layer, known) for layer in layers]
    options: Any
    options, resolved = resolve(family_options, [theirs for theirs, _ in split], prefix=prefix)
    chosen, own = resolve(SettingOptions, [ours for _, ours in split], prefix=prefix)
    _check(chosen, {key for _, (_, given) in split for key in given}, prefix)
    values, in_force = asdict(chosen), _in_force(chosen)
    own |= {prefix + key: Value(values[key], DEFAULT) for key in in_force if prefix + key not in own}
    return options, chosen, {**resolved, **own}


def needed(options: SettingOptions) -> tuple[str, ...]:
    """What a strategy has to declare in its `settings` to learn in these."""
    return tuple(NEEDS[name] for name in SETTINGS if name in options.setting)


def usual(options: SettingOptions, method: Any) -> dict[str, Any]:
    """What a method's options are in these settings unless the user says otherwise.

    Online an epoch is a pass over one chunk, and it is the only one; a bound that may read the past keeps its own.
    """
    once = ONLINE in options.setting and "epochs" in options_of(method.Options) and method.access != "past"
    return {"epochs": 1} if once else {}


def transform(stream: Stream, options: SettingOptions, data_seed: int) -> Stream:
    """The stream in the chosen settings; itself where none is chosen.

    Raises `UsageError` where a setting does not fit the stream.
    """
    from cl.settings.blurry import i_blurry, si_blurry
    from cl.settings.long_tailed import long_tailed
    from cl.settings.online import online

    o = options
    if LONG_TAILED in o.setting:
        stream = long_tailed(stream, o.imbalance, shuffled=o.tail == "shuffled", seed=data_seed)
    if I_BLURRY in o.setting:
        stream = i_blurry(stream, o.disjoint, o.blur, seed=data_seed)
    if SI_BLURRY in o.setting:
        stream = si_blurry(stream, o.disjoint, o.blur, seed=data_seed)
    if ONLINE in o.setting:
        stream = online(stream, o.chunk, o.evaluate_every, seed=data_seed)
    return stream


def _split(layer: Layer, known: set[str]) -> tuple[Layer, Layer]:
    origin, values = layer
    theirs = {key: value for key, value in values.items() if key not in known}
    return (origin, theirs), (origin, {key: value for key, value in values.items() if key in known})


def _in_force(options: SettingOptions) -> list[str]:
    return list(dict.fromkeys(key for name in SETTINGS if name in options.setting for key in OPTIONS_OF[name]))


def _check(options: SettingOptions, given: set[str], prefix: str) -> None:
    if I_BLURRY in options.setting and SI_BLURRY in options.setting:
        raise UsageError("A stream is blurred once; choose either i-blurry or si-blurry.")
    for key in sorted(given - {"setting", *_in_force(options)}):
        owners = [name for name in SETTINGS if key in OPTIONS_OF[name]]
        raise UsageError(
            f"{prefix}{key} belongs to the setting {_or(owners)}; add --setting {owners[0]} or leave it out."
        )


def _or(names: Sequence[str]) -> str:
    return " or ".join(names)
