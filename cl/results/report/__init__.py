"""The report: one HTML file with the leaderboard, every run and comparisons. It needs no network and no server."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from cl.files import write_text
from cl.records.record import Record
from cl.registry import own_version
from cl.results.plots.style import THEMES, Theme
from cl.results.report.data import payload

_SCRIPTS = ("table.js", "charts.js", "views.js", "compare.js", "app.js")


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
    boards, data = payload(records, folders=folders, metric=metric, rule=rule)
    return environment.get_template("report.html").render(
        title=title,
        version=own_version(),
        boards=boards,
        runs=len(data["runs"]),
        left_out=left_out,
        newest=max((run["created"] for run in data["runs"]), default="")[:10],
        data=htmlsafe_json_dumps(data, separators=(",", ":"), allow_nan=False),
        style=Markup(_asset("report.css")),
        light=_variables(THEMES["light"]),
        dark=_variables(THEMES["dark"]),
        script=Markup("\n".join(map(_asset, _SCRIPTS))),
    )


def write_report(records: Iterable[Record], path: Path, **options: Any) -> int:
    """Write the report atomically; returns its size in bytes. Options and errors as for `render`."""
    text = render(records, **options)
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
