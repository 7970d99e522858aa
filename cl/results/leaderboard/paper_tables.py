"""The leaderboard as a paper shows it, in LaTeX and Markdown: names of methods in print, mean and spread, best in bold.

Bold are the rows of rank 1, which the paired interval does not tell from the best row; in columns of other metrics the
best value among ranked rows, and what equals it as printed. Remarks that a reader must know are footnotes; the others
are comments in the source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from cl.errors import UsageError, printable
from cl.plan.references import bibtex, citation, display_name, stream_display_name
from cl.records.metrics import METRICS
from cl.results.leaderboard.continued import EARLIER
from cl.results.leaderboard.layout import (
    COSTS,
    EVERY,
    USUAL,
    WORDS,
    Layout,
    Notes,
    boards_of,
    cell_of,
    head_of,
    is_untuned,
    kind_of,
    measured_with,
    metrics_shown,
    remarks,
    spread_of,
    title_of,
    usual_columns,
)
from cl.results.leaderboard.ranking import Row
from cl.results.leaderboard.short_labels import short_labels
from cl.results.tables import aligned, in_unit, percent

RULE = (
    "Bold: rank 1, which is the best row and rows from which the 95 % interval of the paired difference does not tell "
    "it; in other columns the best value of a ranked row and values equal to it as printed."
)

HEADS = {
    "A_last_sample": "Last accuracy",
    "A_last_task": "Last accuracy (tasks)",
    "A_inc_sample": "Average accuracy",
    "A_auc": "Accuracy (AUC)",
    "A_base": "Base",
    "A_novel": "Novel",
    "A_harmonic": "Harmonic mean",
    "E_own": "Error when learned",
    "F_chaudhry": "Forgetting",
    "LA": "Learning accuracy",
    "PD": "Drop",
    "strategy": "Method",
    "n_seeds": "Seeds",
    "rank": "Rank",
    "options": "Options",
    "preset": "Preset",
}
"""Heads in print; other metrics and columns keep their names."""

_ASIDES = ("tested against", " left out", "(usual here", "differs between its runs", "stale:")
"""Parts of remarks that are comments, not footnotes."""

Bold = Callable[[str, str, str], str]
"""The text of a cell in bold: mean, spread, and the mark of the cell's footnotes."""


def to_markdown(rows: Sequence[Row], layout: Layout = USUAL) -> str:
    """The rows as Markdown: one heading and table per board, in percent, with footnotes as a numbered list."""
    texts = []
    for board in boards_of(rows):
        table = _Table(board, layout)
        heads = [_escaped_bar(table.head(name, "↑", "↓")) for name in table.columns]
        cells = [[_escaped_bar(_markdown_cell(table, row, name)) for name in table.columns] for row in board]
        left = [head for head, name in zip(heads, table.columns, strict=True) if name in WORDS]
        lines = [f"## {title_of(board[0])}", "", *aligned(heads, cells, left=left, colon=":")]
        lines += ["", f"{table.caption('±')} {RULE} {table.costs}".rstrip()]
        if table.notes.found:
            lines += ["", *(f"{number}. {note}" for number, note in table.notes.items())]
        lines += ["", *(f"<!-- {printable(text).replace('--', '- -')} -->" for text in table.comments)]
        texts.append("\n".join(lines).rstrip("\n") + "\n")
    return "\n".join(texts)


def to_latex(rows: Sequence[Row], layout: Layout = USUAL) -> str:
    r"""One `table` per board for `\usepackage{booktabs}`; unranked rows are below a rule, footnotes below the table."""
    texts = [r"% \usepackage{booktabs}; clbench leaderboard --bibtex FILE writes the entries of \cite." + "\n"]
    labels: Counter[str] = Counter()
    for board in boards_of(rows):
        table = _Table(board, layout)
        labels[label := _label(board[0])] += 1
        heads = [_head_in_latex(table.head(name, "UP", "DOWN")) for name in table.columns]
        lines = [f"% {printable(text)}" for text in (title_of(board[0]), RULE, *table.comments)]
        lines += [
            r"\begin{table}",
            r"\centering\small\setlength{\belowcaptionskip}{6pt}",
            rf"\caption{{{_in_latex(table.caption('PLUSMINUS')).replace('PLUSMINUS', _PLUS_MINUS)}}}",
            rf"\label{{tab:{label}{f'-{labels[label]}' if labels[label] > 1 else ''}}}",
            rf"\begin{{tabular}}{{@{{}}{''.join('l' if name in WORDS else 'r' for name in table.columns)}@{{}}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
        ]
        for index, row in enumerate(board):
            if index and row["rank"] is None and board[index - 1]["rank"] is not None:
                lines.append(r"\midrule")
            lines.append(" & ".join(_latex_cell(table, row, name) for name in table.columns) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines += [rf"\par\footnotesize {_in_latex(table.costs)}"] if table.costs else []
        lines += [rf"\par\footnotesize\textsuperscript{{{n}}} {_in_latex(note)}" for n, note in table.notes.items()]
        texts.append("\n".join([*lines, r"\end{table}"]) + "\n")
    return "\n".join(texts)


def bibtex_of(rows: Sequence[Row]) -> tuple[str, list[str]]:
    """The BibTeX entries of the methods of the rows, each once, and the strategies that have none."""
    names = list(dict.fromkeys(str(row["strategy"]) for row in rows))
    found = {name: _bibtex(name) for name in names}
    return "\n\n".join(filter(None, found.values())) + "\n", [name for name in names if not found[name]]


def _bibtex(strategy: str) -> str:
    try:
        return bibtex(strategy)
    except UsageError:  # it is not installed
        return ""


class _Table:
    """One board: its columns, names, footnotes and comments, and what is bold."""

    def __init__(self, board: Sequence[Row], layout: Layout) -> None:
        first = board[0]
        seeds = {row["n_seeds"] for row in board}
        usual = ("strategy", *(["n_seeds"] if len(seeds) > 1 else []), "mean", *metrics_shown(first), "tflops")
        asked = layout.columns
        self.columns = usual_columns(first) if asked == (EVERY,) else asked or usual
        self.spread = layout.spread or "std"
        self.board, self.notes = board, Notes()
        self.names, self.comments = _names(board, with_options="options" not in self.columns)
        costs = [name for name in self.columns if name in COSTS]
        self.costs = measured_with(board, counted=costs == ["tflops"]) if costs else ""
        left = layout.left_out.get(first["board"], 0)
        self.comments += [f"{left} more row{'s' * (left > 1)} of the board not shown"] if left else []
        self.marks = {id(row): self._mark(row) for row in board}
        self._best = {name: self._best_of(name) for name in self.columns if name in METRICS}

    def _mark(self, row: Row) -> str:
        """The numbers of a row's footnotes; its other remarks become comments."""
        few = "n_seeds" not in self.columns and row["n_seeds"] < max(each["n_seeds"] for each in self.board)
        said = [f"{row['n_seeds']} seed{'s' * (row['n_seeds'] > 1)}"] if few else []
        said += [each for each in remarks(row) if "its interval covers" not in each or self.spread == "ci"]
        asides = [each for each in said if any(part in each for part in _ASIDES) and not each.startswith("do not")]
        self.comments += [f"{self.names[id(row)]}: {each}" for each in asides]
        return ",".join(self.notes.number(each) for each in said if each not in asides)

    def head(self, column: str, up: str, down: str) -> str:
        metric = self.board[0]["metric"] if column == "mean" else column
        text = HEADS.get(metric, head_of(column, self.board[0]))
        return f"{text} {up if METRICS[metric].higher_is_better else down}" if metric in METRICS else text

    def caption(self, sign: str) -> str:
        row = self.board[0]
        seeds = sorted({each["n_seeds"] for each in self.board})
        number = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
        runs = f"{number} seed{'' if seeds == [1] else 's'}"
        spread = {"std": f"mean {sign} standard deviation", "ci": "mean [95 % interval]", "none": "mean"}[self.spread]
        over = runs if seeds == [1] and self.spread != "ci" else f"{spread} over {runs}"
        stream = stream_display_name(row["stream"].partition("@")[0])
        stream += f" ({row['stream_options'].replace(' ', ', ')})" if row["stream_options"] else ""
        unit = METRICS[row["metric"]].unit
        units = f"percent ({row['metric']} in {unit})" if unit else "percent"
        text = f"{stream}{kind_of(row)} with {row['backbone']}, rule {row['rule']}: {over}, {units}"
        return printable(text + (f", {EARLIER}." if row.get("continued") else "."))

    def is_bold(self, row: Row, column: str) -> bool:
        """See `RULE`."""
        if column == "mean":
            return bool(row["rank"] == 1)
        best = self._best.get(column)
        return best is not None and row["rank"] is not None and percent(row[column]) == best

    def _best_of(self, column: str) -> str | None:
        known = [row[column] for row in self.board if row["rank"] is not None and row[column] is not None]
        if not known:
            return None
        return percent(max(known) if METRICS[column].higher_is_better else min(known))

    def number(self, row: Row, column: str, sign: str) -> tuple[str, str]:
        """Mean and spread of a metric as text."""
        text = in_unit(row["metric"] if column == "mean" else column, row[column])
        return text, spread_of(row, column, self.spread, sign) if column == "mean" or self.spread == "std" else ""


def _names(board: Sequence[Row], *, with_options: bool) -> tuple[dict[int, str], list[str]]:
    """The name in print of each row by its `id`, and comments on what names leave out.

    A name has the options in which rows of one method differ; rows that differ otherwise have a preset, or a number.
    """
    labels = {id(row): f"{row['strategy']} {row['options']}".rstrip() for row in board}
    short = short_labels(labels.values(), named=True)
    names, comments = {}, []
    for row in board:
        plain = display_name(row["strategy"])
        options = short[labels[id(row)]].removeprefix(plain).strip()
        names[id(row)] = f"{plain} ({options.replace(' ', ', ')})" if options and with_options else plain
    plainly = dict(names)
    for row in board:
        others = [each for each in board if each is not row and plainly[id(each)] == plainly[id(row)]]
        if with_options and others and all(each["preset"] != row["preset"] for each in others):
            names[id(row)] += f" (preset {row['preset']})" if row["preset"] else ""
    taken: Counter[str] = Counter()
    for row in board:
        taken[name := names[id(row)]] += 1
        if taken[name] > 1:
            names[id(row)] = f"{name} ({taken[name]})"
        given = f", preset {row['preset']}" if row["preset"] else ""
        comments.append(f"{names[id(row)]}: {labels[id(row)]}{given}, config {row['config_hash']}")
    return names, comments


def _markdown_cell(table: _Table, row: Row, column: str) -> str:
    mark = table.marks[id(row)]
    if column == "strategy":
        cited, name = citation(row["strategy"]), table.names[id(row)]
        words = "" if cited is None else f" ([{cited.words}]({cited.url}))" if cited.url else f" ({cited.words})"
        return name + words + (f" [{mark}]" if mark else "") + (" untuned" if is_untuned(row) else "")
    if column == "mean" or column in METRICS:
        mean, spread = table.number(row, column, "±")
        return (f"**{mean}**" if table.is_bold(row, column) else mean) + spread
    return cell_of(row, column, table.notes, table.spread)


def _latex_cell(table: _Table, row: Row, column: str) -> str:
    mark = table.marks[id(row)]
    if column == "strategy":
        name = _in_latex(table.names[id(row)])
        name += rf"~\cite{{{row['strategy']}}}" if citation(row["strategy"]) else ""
        return name + (rf"\textsuperscript{{{mark}}}" if mark else "")
    if column == "mean" or column in METRICS:
        mean, spread = table.number(row, column, "PLUSMINUS")
        mean = "--" if mean == "-" else mean.replace("-", "$-$")
        mean = rf"\textbf{{{mean}}}" if table.is_bold(row, column) else mean
        return (mean + spread.replace("-", "$-$")).replace(" PLUSMINUS ", rf" {_PLUS_MINUS} ")
    return _in_latex(cell_of(row, column, table.notes, table.spread))


_PLUS_MINUS = r"$\pm$"
_ARROWS = {"UP": r"$\uparrow$", "DOWN": r"$\downarrow$"}

_LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def _in_latex(text: str) -> str:
    escaped = "".join(_LATEX.get(letter, letter) for letter in printable(text))
    return f"{{{escaped}}}" if escaped.startswith("[") else escaped  # a bracket after \\ would be read as an option


def _head_in_latex(head: str) -> str:
    words, _, arrow = head.rpartition(" ")
    return f"{_in_latex(words)} {_ARROWS[arrow]}" if arrow in _ARROWS else _in_latex(head)


def _label(row: Row) -> str:
    """The stream's name as a label that LaTeX accepts; boards of one stream are numbered."""
    return "".join(letter if letter.isalnum() else "-" for letter in str(row["stream"]).partition("@")[0])


def _escaped_bar(text: str) -> str:
    return printable(text).replace("|", r"\|")
