"""The page that a figure is drawn for: its width, the size of its type, and what both mean for lengths and lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from textwrap import wrap

_SIDE_LABELS = 4.5
"""Least width of a page with labels beside the axes, in inches; on a narrower one they are below."""


@dataclass(frozen=True)
class Page:
    """What a page asks of a figure: its width in inches, the size of its type in points, and its title.

    `width` None keeps the figure's own; `title` None keeps its own, "" leaves out title and subtitle.
    """

    width: float | None = None
    font_size: float = 10.0
    title: str | None = None


_USUAL = Page()
_PAGE: ContextVar[Page] = ContextVar("page", default=_USUAL)


def current() -> Page:
    """The page of the figure that is drawn."""
    return _PAGE.get()


def is_narrow() -> bool:
    """Whether the page has no space for labels beside the axes."""
    width = _PAGE.get().width
    return width is not None and width < _SIDE_LABELS


def scaled(length: float) -> float:
    """A length that grows and shrinks with the type of the page."""
    return length * _PAGE.get().font_size / 10


@contextmanager
def on(asked: Page) -> Iterator[None]:
    """Context in which figures are drawn for this page."""
    token = _PAGE.set(asked)
    try:
        yield
    finally:
        _PAGE.reset(token)


def wrapped(text: str, size: float, share: float = 1.0, *, bold: bool = False) -> str:
    """A text in lines that fit a share of the page's width; as it is on a page without one. `size` as in `in_lines`."""
    width = _PAGE.get().width
    return text if width is None else in_lines(text, size, max(width * share - 0.4, 0.5), bold=bold)


def in_lines(text: str, size: float, width: float, *, bold: bool = False) -> str:
    """A text in lines of so many inches; words are not broken. `size` in points, scaled with the type of the page."""
    letters = width * 72 / (scaled(size) * (0.68 if bold else 0.58))
    return "\n".join(wrap(text, max(int(letters), 12), break_long_words=False, break_on_hyphens=False)) or text


def panels_across(width: float, most: int) -> int:
    """How many panels that are `width` inches wide at the usual size of type stand side by side on the page."""
    width_of_page = _PAGE.get().width
    return most if width_of_page is None else min(max(int((width_of_page - 0.4) / scaled(width)), 1), most)
