"""Run the notebooks in this folder, each in an empty working folder, and save them with their outputs.

python docs/notebooks/execute.py
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def main() -> None:
    """Execute every notebook offline; an error in a cell ends the program and leaves the file unchanged."""
    for name in [name for name in os.environ if name.startswith("CLBENCH_")]:
        del os.environ[name]
    os.environ["CLBENCH_OFFLINE"] = "1"
    for path in sorted(Path(__file__).parent.glob("*.ipynb")):
        book = nbformat.read(path, 4)
        with tempfile.TemporaryDirectory() as folder:
            os.environ["CLBENCH_HOME"] = str(Path(folder, "home"))
            client = NotebookClient(book, timeout=600, resources={"metadata": {"path": folder}}, record_timing=False)
            client.execute()
        book.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
        for cell in book.cells:
            cell.metadata = {}
        nbformat.write(book, path)
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
