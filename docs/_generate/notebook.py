"""Notebooks as pages: nbconvert writes the Markdown, images become files of the site."""

from __future__ import annotations

from pathlib import Path


def convert(notebook: Path, uri: str) -> dict[str, str | bytes]:
    """The files of a notebook, {address in the site: content}: one page and its images."""
    from nbconvert import MarkdownExporter

    name = Path(uri).with_suffix("")
    exporter = MarkdownExporter()
    text, resources = exporter.from_filename(str(notebook), resources={"output_files_dir": f"{name.name}_files"})
    folder = name.parent.as_posix()
    files: dict[str, str | bytes] = {f"{folder}/{path}": data for path, data in resources.get("outputs", {}).items()}
    head, _, rest = text.lstrip().partition("\n")
    download = f"[Download this page as a notebook]({Path(uri).name}){{ download }}\n"
    return {**files, f"{name.as_posix()}.md": f"{head}\n\n{download}\n{rest}"}
