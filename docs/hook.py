"""Hooks that mkdocs calls while it builds the site (mkdocs.yml, `hooks`): they add the generated pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from _generate import notebook, pages
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: Any) -> Files:
    """Add generated pages and notebooks; generated pages replace `folder/*` in the navigation."""
    content: dict[str, str | bytes] = {uri: make() for uri, make in pages.generated().items()}
    for path in sorted(Path(config.docs_dir).rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            content |= notebook.convert(path, path.relative_to(config.docs_dir).as_posix())
    for uri, text in content.items():
        files.append(File.generated(config, uri, content=text))
    config.nav = _expand(config.nav, sorted(content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill placeholders, and rewrite links that lead out of docs/."""
    uri = page.file.src_uri
    text = pages.fill(markdown)
    return text if page.file.generated_by else pages.relink(text, f"docs/{uri}", uri)


def _expand(nav: Any, uris: list[str]) -> Any:
    if isinstance(nav, list):
        return [each for item in nav for each in _items(item, uris)]
    return {title: _expand(item, uris) for title, item in nav.items()} if isinstance(nav, dict) else nav


def _items(item: Any, uris: list[str]) -> list[Any]:
    if isinstance(item, str) and item.endswith("/*"):
        return [uri for uri in uris if uri.startswith(item[:-1])]
    return [_expand(item, uris)]
