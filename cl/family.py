"""Families, which build streams. A family has one registered name, which may cover many streams (`folder:PATH`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from cl import registry
from cl.errors import ContractError
from cl.protocol import CLASS, FEW_SHOT

if TYPE_CHECKING:
    from cl.data.store import Progress
    from cl.stream import Stream


@dataclass(frozen=True)
class NoOptions:
    """The options of a family without options."""


class Family:
    """Base class of stream builders: a subclass defines `build`, its options, and what differs from these defaults.

    `dataset` is the name of its images in `cl.data.catalog`, or empty if they are not in the catalog. Raise `version`
    when images, labels or splits change. All except `build` are read from the class, before any data is touched.
    """

    Options: ClassVar[Any] = NoOptions
    name: ClassVar[str] = ""
    version: ClassVar[str] = "1"
    dataset: ClassVar[str] = ""
    sized_by_network: ClassVar[bool] = False
    """Whether images are decoded at the size that the network of a run sees where the option `size` is none."""

    @classmethod
    def side_of(cls, argument: str, edge: int) -> int:
        """The size of the images if the network sees images of `edge` pixels, for families with `sized_by_network`."""
        return edge

    @classmethod
    def setting_of(cls, options: Any, argument: str = "") -> str:
        """The setting of the stream with these options: class-incremental, or few-shot if the option `shots` is set."""
        return CLASS if getattr(options, "shots", None) is None else FEW_SHOT

    @classmethod
    def version_of(cls, argument: str = "") -> str:
        """The version of one stream's definition; part of the configuration hash."""
        return str(cls.version)

    @classmethod
    def multi_label_of(cls, options: Any, argument: str = "") -> tuple[str, ...]:
        """The names of the tasks whose images may have several classes, as far as the stream will learn them."""
        return ()

    @classmethod
    def declaration(cls, argument: str = "") -> Any:
        """The `cl.declared.declaration.Declaration` of a stream, or None."""
        return None

    def build(
        self, options: Any, *, order_seed: int, data_seed: int, argument: str = "", progress: Progress | None = None
    ) -> Stream:
        """Build the stream; `argument` is the user's text after the name of a prefix family.

        Raises `UsageError` for options that do not fit, `DataError` for missing or damaged data.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how its streams are built; add `build`.")


def family_of(name: str) -> type[Family]:
    """The family of a stream, by its registered name or by the full name of one of its streams.

    Raises `UsageError` for an unknown name, `ClbenchError` if a plugin cannot be imported.
    """
    found = registry.streams.get(name)
    return found if isinstance(found, type) and issubclass(found, Family) else _adapted(found, name)


def argument_of(stream: str) -> str:
    """The argument in a stream's name: the text after a prefix family's name, the whole name for a suffix family, else
    empty. Raises `UsageError` for an unknown stream, or a prefix family without an argument."""
    return registry.streams.split(stream)[1] or ""


def make_stream(
    stream: str,
    options: Any = None,
    *,
    order_seed: int = 0,
    data_seed: int = 0,
    progress: Progress | None = None,
) -> Stream:
    """Build a stream by its full name; `options` default to those of its family. Raises the errors of `Family.build`
    and `family_of`."""
    argument, family = argument_of(stream), family_of(stream)
    chosen = family.Options() if options is None else options
    return family().build(chosen, order_seed=order_seed, data_seed=data_seed, argument=argument, progress=progress)


def _adapted(plain: Any, name: str) -> type[Family]:
    """A plugin's class with `Options` and `build`, completed by the defaults of `Family`.

    Its `build` need not accept `argument`, which is passed only if it is not empty.
    """
    if not isinstance(plain, type):
        raise ContractError(f"stream '{name}' is registered as {plain!r}; register a class, see cl.Family.")

    def build(self: Any, options: Any, *, argument: str = "", **given: Any) -> Any:
        return plain.build(self, options, **given, **({"argument": argument} if argument else {}))  # type: ignore[attr-defined]

    body = {"build": build, "__doc__": plain.__doc__, "__module__": plain.__module__}
    return cast("type[Family]", type(plain)(plain.__name__, (plain, Family), body))
