"""Short file names of figures: the kind, the stream, and what tells it from the others, no more than 60 characters."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from cl.results.plots.rows import Board, Row, slug

LONGEST = 60
"""Characters of a name without its suffix; what would be longer is cut, and equal names are counted."""


def names_of_boards(found: Sequence[Board]) -> list[str]:
    """The name of each board: its stream, and as much of rule, backbone and options as tells it from other boards of
    the stream. Boards may have one name."""
    alike: dict[str, list[Board]] = defaultdict(list)
    for board in found:
        alike[_stream(board)].append(board)
    names = []
    for board in found:
        words, others = [_stream(board)], alike[_stream(board)]
        for facts in (_rule, _architecture, _options):
            same = [other for other in others if facts(other) == facts(board)]
            if len(same) < len(others):
                shared = set.intersection(*(set(facts(other)) for other in others))
                words += [word for word in facts(board) if word not in shared]
            others = same
        names.append(slug(" ".join(words)))
    return names


def name_of_row(row: Row, board: Board) -> str:
    """The name of a row: its strategy, and its options if the board has another row of it."""
    strategy = row.label.split(" ")[0]
    single = sum(other.label.split(" ")[0] == strategy for other in board.rows) == 1
    return slug(strategy if single else row.label)


def short(*names: str, limited: bool = False) -> str:
    """Names joined by hyphens, and cut after a word to at most `LONGEST`; `-limited` is kept."""
    ending = "-limited" if limited else ""
    whole, most = "-".join(names), LONGEST - len(ending)
    return (whole if len(whole) <= most else whole[: most + 1].rpartition("-")[0] or whole[:most]) + ending


def numbered(names: Sequence[str]) -> list[str]:
    """The names, equal ones with -2, -3, ... at their end."""
    taken: set[str] = set()
    found = []
    for name in names:
        number, unique = 1, name
        while unique in taken:
            number += 1
            unique = f"{name}-{number}"
        taken.add(unique)
        found.append(unique)
    return found


def _stream(board: Board) -> str:
    return board.stream.split(" ")[0]


def _options(board: Board) -> list[str]:
    return board.stream.split(" ")[1:]


def _rule(board: Board) -> list[str]:
    return [board.rule]


def _architecture(board: Board) -> list[str]:
    """The backbone without the name of its weights."""
    return [re.split(r"[.@]", board.backbone)[0]]
