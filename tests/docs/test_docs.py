"""What README and documentation say holds: links, commands, figures, and pages made from the code."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import figures
import pytest
import yaml
from _generate import api, commands, markdown, pages, strategies, tables

import cl.testing
from cl import registry
from cl.cli.app import COMMANDS, cli
from cl.errors import ClbenchError
from cl.registry import own_version
from cl.results import METRICS, load_results

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "results/reference/README.md", "benchmarks/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
EXAMPLES = {"NAME", "around", "gaussian-head", "my-images", "my-method", "streaming-lda"}
"""Names that a reader is told to make."""

_MADE = ("NAME", "streaming_lda", "results/")
"""Files of a reader's own."""

_FENCED = re.compile(r"^(?:```|~~~)(\w*)\n(.*?)^(?:```|~~~)$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^ {4}(\S.*)$", re.MULTILINE)
_SPAN = re.compile(r"`(clbench [^`]+)`")


def texts(function: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))(function)


def slugs(text: str) -> set[str]:
    """Anchors of headings, as git hosts and mkdocs make them."""
    titles = re.findall(r"^#+ (.+)$", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip()) for title in titles}


@texts
def test_relative_links_resolve(path: Path) -> None:
    text = _FENCED.sub("", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^()\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name) if name else path
        assert linked.exists(), f"{path.name} links to {target}"
        if anchor and linked.suffix == ".md":
            assert anchor in slugs(linked.read_text(encoding="utf-8")), f"{path.name} links to {target}"


@texts
def test_files_of_the_repository_that_a_text_names_are_there(path: Path) -> None:
    named = re.findall(
        r"\b(?:tests|benchmarks|tools|results)/[\w/.-]*\.(?:py|toml|md)\b", path.read_text(encoding="utf-8")
    )
    missing = {name for name in named if not (ROOT / name).exists() and not any(part in name for part in _MADE)}
    assert not missing


def test_every_page_of_the_navigation_is_there() -> None:
    def named(nav: Any) -> Iterator[str]:
        for item in nav if isinstance(nav, list) else nav.values():
            yield from [item] if isinstance(item, str) else named(item)

    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    in_navigation = [uri for uri in named(config["nav"]) if not uri.endswith("/*")]
    notebooks = {
        path.relative_to(ROOT / "docs").with_suffix(".md").as_posix() for path in (ROOT / "docs").rglob("*.ipynb")
    }
    written = {path.name for path in (ROOT / "docs").glob("*.md")}
    made = {uri for uri in pages.generated() if "/" not in uri}
    assert set(in_navigation) == written | made | notebooks


def command_lines(text: str) -> Iterator[list[str]]:
    """The words of every `clbench ...` line in code blocks, without prompts, variables before it and comments."""
    blocks = [body for language, body in _FENCED.findall(text) if language in ("", "bash", "sh", "console", "shell")]
    lines = [line for body in blocks for line in body.replace("\\\n", " ").split("\n")]
    for line in [*lines, *_INDENTED.findall(_FENCED.sub("", text))]:
        inner = re.search(r"\$\((clbench .*?)\)", line)
        line = inner[1] if inner else re.sub(r"^\s*(\$ )?([A-Z_]+=\S+ +)*", "", line)
        if line.startswith("clbench "):
            yield shlex.split(line, comments=True)[1:]


def parse(words: list[str]) -> click.Context:
    """Parse a command line down to its last subcommand; raises `click.UsageError`."""
    context = click.Context(cli, info_name="clbench")
    command: click.Command = cli
    name: str | None = "clbench"
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        context = click.Context(command, info_name=name, parent=context)
        name, command, words = command.resolve_command(context, words)  # type: ignore[assignment]
    return command.make_context(name, list(words), parent=context)


@texts
def test_commands_in_code_blocks_parse(path: Path) -> None:
    for words in command_lines(path.read_text(encoding="utf-8")):
        try:
            context = parse(words)
        except click.exceptions.Exit:  # --help, --version
            continue
        except click.UsageError as error:
            pytest.fail(f"{path.name}: clbench {shlex.join(words)}: {error.format_message()}")
        for kind, names in (("strategy", registry.strategies), ("stream", registry.streams)):
            given = context.params.get(kind) or ()
            for name in [name for text in ([given] if isinstance(given, str) else given) for name in text.split(",")]:
                assert name in EXAMPLES or name in names, f"{path.name}: clbench {shlex.join(words)}"


@texts
def test_commands_in_sentences_exist(path: Path) -> None:
    for span in _SPAN.findall(_FENCED.sub("", path.read_text(encoding="utf-8"))):
        words = span.split()[1:]
        if words[0] in ("...", "COMMAND", "--help"):
            continue
        assert words[0] in COMMANDS, f"{path.name}: `{span}`"
        command = cli.get_command(click.Context(cli), words[0])
        assert command is not None
        if isinstance(command, click.Group) and words[1:]:
            inner = command.get_command(click.Context(command), words[1])
            assert inner is not None or words[1].startswith("-"), f"{path.name}: `{span}`"
            command = inner or command
        known = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
        used = {word.partition("=")[0] for word in words[1:] if word.startswith("-")}
        assert used <= known, f"{path.name}: `{span}`"


def test_a_wrong_command_would_be_noticed() -> None:
    text = "```bash\nX=1 clbench run --strem a  # comment\n```\n\n    clbench leaderboard --csv\n"
    lines = list(command_lines(text))
    assert lines == [["run", "--strem", "a"], ["leaderboard", "--csv"]]
    for words in (*lines, ["rnu"], ["run", "--existing", "perhaps"], ["data", "get"], ["data", "gte", "x"]):
        with pytest.raises(click.UsageError):
            parse(words)


@pytest.mark.parametrize("path", figures.TABLES, ids=lambda path: path.parent.name)
def test_readmes_show_what_the_records_say(path: Path) -> None:
    readme, table = path.read_text(encoding="utf-8"), figures.table(figures.TABLES[path])
    assert readme == figures.with_table(readme, table), "run `python docs/figures.py`"
    assert len(table.splitlines()) >= 4, "two rows"


@pytest.mark.parametrize("path", figures.FIGURES, ids=lambda path: path.name)
def test_figures_are_drawn_from_the_records(path: Path, tmp_path: Path) -> None:
    folder, kind = figures.FIGURES[path]
    records = load_results(folder).records
    digest = figures.plot(records, kind).digest
    assert digest in path.read_text(encoding="utf-8"), "run `python docs/figures.py`"
    assert path.stat().st_size < 120_000
    for name in ("a.svg", "b.svg"):
        figures.figure(records, kind, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    drawn = [run for runs in figures.groups(records) for run in runs]
    assert figures.plot(drawn, kind).digest == digest != figures.plot(drawn[1:], kind).digest


def test_every_strategy_and_stream_has_a_page() -> None:
    made = pages.generated()
    for name in strategies.own(registry.strategies):
        text = made[f"strategies/{strategies.page_of(name)}.md"]()
        doc = markdown.parse_docstring(registry.strategies.docstring(name))
        assert text.startswith(f"# {name}\n") and markdown.text(doc.summary) in text
        assert set(doc.sections) >= {"Paper", "Trains", "Stores", "Cost"}, f"{name} lacks a section in its docstring"
        assert ("## BibTeX" in text) == (not doc.sections["Paper"].startswith(("none", "folklore"))), name
    for name in strategies.own(registry.streams):
        assert "## Options" in made[f"streams/{strategies.page_of(name)}.md"]()


def test_a_page_of_a_strategy_holds_options_presets_and_figures() -> None:
    text = strategies.page("slca")
    assert "| `lr` | `0.01` | float, above 0 | learning rate of the head (eta) |" in text
    assert "| 5 |" in text and "all four benchmarks" in text
    assert "56.84" in text and "91.53" in text  # measured by us, published by the authors
    assert "@inproceedings{slca," in text and "[arXiv 2303.05118](https://arxiv.org/abs/2303.05118)" in text


def test_a_strategy_that_cannot_be_read_still_has_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> Any:
        raise ClbenchError("its package is broken")

    monkeypatch.setattr(registry.strategies, "get", fail)
    text = strategies.page("slca")
    assert "| Paper |" in text and "## Options" not in text


def test_reference_tables_are_complete() -> None:
    reference = commands.reference()
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None and f"## clbench {name} " in reference
        for option in (option for option in command.params if isinstance(option, click.Option) and not option.hidden):
            assert option.opts[-1] in reference, f"{name} {option.opts}"
    assert all(f"### `{name}`" in tables.metrics() for name in METRICS)
    fields = tables.record()
    assert "| `accuracy.KEY.correct[]` |" not in fields and "| `accuracy.KEY.correct` | array |" in fields


@pytest.mark.parametrize("name", api.PAGES)
def test_every_name_of_the_api_reference_is_documented(name: str) -> None:
    listed = api.names(api.PAGES[name].targets)
    assert pages.generated()[f"api/{name}.md"]().count("\n::: ") == len(listed) > 0
    for each in listed:
        module, _, attribute = each.rpartition(".")
        found = getattr(importlib.import_module(module), attribute)
        if isinstance(found, type) or inspect.isfunction(found):  # the text of a constant is in the source only
            assert inspect.getdoc(found), f"{each} has no docstring"


def test_the_api_reference_has_every_public_name_of_the_package() -> None:
    named = {each.rpartition(".")[2] for page in api.PAGES.values() for each in api.names(page.targets)}
    modules = {"registry", "__version__"}
    assert set(cl.__all__) - modules - {"to_avalanche"} <= named, "docs/avalanche.md has to_avalanche"
    assert set(cl.testing.__all__) - {"CHECKS", "STREAM_CHECKS", "METRIC_CHECKS", "LOGGER_CHECKS"} <= named


def test_docstrings_of_any_form_are_parsed() -> None:
    doc = markdown.parse_docstring(
        "First: line.\n\n    Free text.\n\n    Paper: A.\n        B, arXiv 1.\n    Cost: 2*x\n"
        "\n    More: or less\n    and free."
    )
    assert doc.summary == "First: line." and doc.body == ("Free text.", "and free.")
    assert doc.sections == {"Paper": "A. B, arXiv 1.", "Cost": "2*x", "More": "or less"}
    assert markdown.parse_docstring("") == markdown.Docstring("", (), {})
    assert markdown.text("a_b | *c* `d_e`") == r"a\_b \| \*c\* `d_e`"


def test_links_hold_in_the_site() -> None:
    text = "[a](docs/metrics.md#x) [b](strategies/slca.py) [c](#here) [d](https://e.org) ![f](docs/assets/f.svg)"
    assert pages.relink(text, "README.md", "index.md") == (
        "[a](metrics.md#x) b [c](#here) [d](https://e.org) ![f](assets/f.svg)"
    )
    assert pages.relink("[m](../../README.md)", "docs/x/y.md", "x/y.md") == "[m](../index.md)"
    assert pages.relink("[n](n/a.ipynb)", "docs/x.md", "x.md") == "[n](n/a.md)"
    assert pages.relink("```\n[a](b.py)\n```", "README.md", "index.md") == "```\n[a](b.py)\n```"


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == own_version() and citation["license"] == "MIT"
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without warnings."""
    pytest.importorskip("material")
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "CLBENCH_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.mark.slow
def test_the_site_loads_nothing_from_the_network(site: Path) -> None:
    built = list(site.rglob("*.html"))
    assert len(built) > 30
    for path in built:
        html = path.read_text(encoding="utf-8")
        assert "<!-- generated:" not in html, path
        assert not re.search(r"<(script|img|iframe)[^>]+src=\"https?:|<link[^>]+stylesheet[^>]+https?:", html), path


@pytest.mark.slow
def test_the_search_works_from_files(site: Path) -> None:
    api: Any = pytest.importorskip("playwright.sync_api")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if browser is None:
        pytest.skip("no browser on PATH")
    asked: list[str] = []
    with api.sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "strategies" / "slca.html").as_uri(), wait_until="load")
        page.keyboard.press("/")
        page.keyboard.type("herding")
        page.wait_for_selector(".md-search-result__item", timeout=120_000)
        assert "icarl" in page.locator(".md-search-result__list").inner_text()
    assert not [url for url in asked if url.startswith("http")]
