"""The report: one HTML file with the leaderboard, every run and comparisons. It needs no network and no server."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from cl.files import write_text
from cl.records.record import Record
from cl.registry import own_version
from cl.results.leaderboard.entries import Run
from cl.results.plots.style import THEMES, Theme
from cl.results.report.data import payload

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_CONTROL_IN_JSON = re.compile(r"(?<!\\)\\u(00[019][0-9a-f]|008[0-9a-f]|202[a-e]|206[6-9])")
_SCRIPTS = ("table.js", "charts.js", "views.js", "compare.js", "app.js")


PACKED_FROM = 4_000_000
"""Characters of data from which a page holds them compressed, so that ten thousand runs take 5 MB instead of 23."""


def render(
    records: Iterable[Record],
    *,
    folders: Iterable[Path | None] | None = None,
    metric: str = "A_last_sample",
    rule: str | None = None,
    title: str = "clbench report",
    left_out: int = 0,
) -> str:
    """The report as HTML; the same text for the same records.

    `folders`, one per record, hold the predictions that the leaderboard's intervals use. `metric`, `rule` and errors
    as for `cl.results.leaderboard.ranking.board_rows`. `left_out` is the number of records that could not be read.
    """
    given = list(records)
    places: list[Path | None] = [None] * len(given) if folders is None else list(folders)
    runs = [Run(record, place) for record, place in zip(given, places, strict=True)]
    return page_of(runs, metric=metric, rule=rule, title=title, left_out=left_out)


def page_of(
    runs: Iterable[Run],
    *,
    metric: str = "A_last_sample",
    rule: str | None = None,
    title: str = "clbench report",
    left_out: int = 0,
    jobs: int = 1,
) -> str:
    """As `render`, of runs; `jobs`: processes for many runs that are not in the cache."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from jinja2.utils import htmlsafe_json_dumps
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("cl.results.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    boards, data = payload(runs, metric=metric, rule=rule, jobs=jobs)
    text = _without_controls(htmlsafe_json_dumps(data, separators=(",", ":"), allow_nan=False))
    packed = len(text) >= PACKED_FROM
    page = environment.get_template("report.html").render(
        title=title,
        version=own_version(),
        boards=boards,
        runs=len(data["runs"]),
        left_out=left_out,
        newest=max((run["created"] for run in data["runs"]), default="")[:10],
        data=_packed(str(text)) if packed else text,
        packed=packed,
        style=Markup(_asset("report.css")),
        light=_variables(THEMES["light"]),
        dark=_variables(THEMES["dark"]),
        script=Markup("\n".join(map(_asset, _SCRIPTS))),
    )
    return _CONTROL.sub("\ufffd", page)


def _packed(text: str) -> str:
    """Text as base64 of gzip, the same for the same text."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _without_controls(text: Any) -> Any:
    """JSON in a script element with U+FFFD instead of escaped control characters."""
    return type(text)(_CONTROL_IN_JSON.sub(lambda _: "\\ufffd", str(text)))


def write_report(records: Iterable[Record], path: Path, **options: Any) -> int:
    """Write the report atomically; returns its size in bytes. Options and errors as for `render`."""
    return _written(path, render(records, **options))


def write_report_of(runs: Iterable[Run], path: Path, **options: Any) -> int:
    """As `write_report`, of runs; options as for `page_of`."""
    return _written(path, page_of(runs, **options))


def _written(path: Path, text: str) -> int:
    write_text(path, text)
    return len(text.encode())


def _asset(name: str) -> str:
    return resources.files("cl.results.report").joinpath("assets", name).read_text(encoding="utf-8")


def _variables(theme: Theme) -> str:
    """A theme of the figures as CSS custom properties."""
    named = {"paper": theme.paper, "ink": theme.ink, "faint": theme.faint, "muted": theme.bound, "low": theme.low}
    named |= {"high": theme.high} | {f"s{index}": colour for index, colour in enumerate(theme.series)}
    named["middle"] = theme.paper if theme.name == "dark" else theme.ink  # text on the middle of the scale
    return " ".join(f"--{name}: {colour};" for name, colour in named.items())
