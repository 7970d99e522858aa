"""The package of results: names that load on first use, nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, cl.results, cl.records.record, cl.results.store, cl.results.leaderboard.ranking\n"
        "import cl.results.tables, cl.records.predictions, cl.results.leaderboard.board_tables\n"
        "import cl.results.leaderboard.compare, cl.results.export\n"
        "heavy = {'torch', 'pandas', 'scipy', 'rich', 'jsonschema', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert all(getattr(cl.results, name) is not None for name in cl.results.__all__)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
