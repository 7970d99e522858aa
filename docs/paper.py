"""The table and the figure of docs/paper.md, made by the commands on that page.

`python docs/paper.py` runs them and writes the page and its figure again.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import figures

from cl.cli.app import call

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "paper.md"
FIGURE = ROOT / "docs" / "assets" / "paper.svg"
TABLE = ("<!-- table: python docs/paper.py -->", "<!-- end of table -->")
LATEX = ("<!-- latex: python docs/paper.py -->", "<!-- end of latex -->")


def commands(text: str) -> list[list[str]]:
    """The words of the commands on the page, after `clbench`."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [shlex.split(block.replace("\\\n", " "))[1:] for block in blocks]


def run(text: str, folder: Path) -> Path:
    """Run the commands of the page in a folder, which is returned; the table as Markdown too, as table.md."""
    (folder / "results").symlink_to(ROOT / "results")
    table, figure = commands(text)
    markdown = [{"latex": "markdown", "table.tex": "table.md"}.get(word, word) for word in table]
    before = Path.cwd()
    os.chdir(folder)
    try:
        for words in (table, markdown, figure):
            if code := call(words):
                raise SystemExit(f"clbench {shlex.join(words)} exits with {code}.")
    finally:
        os.chdir(before)
    return folder


def page(text: str, folder: Path) -> str:
    """The page with the tables that the commands wrote, without their comments."""
    markdown = re.sub(r"<!--.*?-->\n?", "", (folder / "table.md").read_text(encoding="utf-8"))
    markdown = markdown.partition("\n\n")[2].rstrip("\n") + "\n"  # without the heading, which names the board
    lines = (folder / "table.tex").read_text(encoding="utf-8").splitlines()
    latex = "\n".join(line for line in lines if line and not line.startswith("%"))
    text = figures.with_table(text, markdown, TABLE)
    return figures.with_table(text, f"```latex\n{latex}\n```\n", LATEX)


def drawn(folder: Path) -> Path:
    """The figure that the page shows."""
    return folder / "figures" / "curves-split-cifar100-transparent.svg"


def main() -> None:
    os.environ.setdefault("CLBENCH_OFFLINE", "1")
    text = PAGE.read_text(encoding="utf-8")
    with TemporaryDirectory() as name:
        folder = run(text, Path(name))
        shutil.copyfile(drawn(folder), FIGURE)
        PAGE.write_text(page(text, folder), encoding="utf-8")


if __name__ == "__main__":
    main()
