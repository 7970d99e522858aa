"""Plugins that are broken in every way that an installed package may be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

SOURCES = {
    "syntax": ("class M(:\n", "bad_syntax.py, line 1: "),
    "nul": ("x = 1\0\n", "bad_nul.py"),
    "missing": ("import no_such_module\n", None),
    "exits": ("raise SystemExit('bye')\n", None),
    "base": ("raise BaseException('odd')\n", None),
    "empty": ("", None),
    "function": ("def M(): pass\n", None),
    "other": ("class M: pass\n", None),
}
"""Source of module `bad_NAME` with the plugin `bad/NAME`, and what is wrong as far as its source tells."""

ENCODING = b'class M:\n    """\xff"""\n'


def install(plugin: Callable[..., Path]) -> list[str]:
    """Install them all as strategies of distribution "bad", and two with broken metadata; returns the names."""
    points = {f"bad/{name}": f"bad_{name}:M" for name in SOURCES}
    points |= {"bad/absent": "bad_absent:M", "bad/encoding": "bad_encoding:M", "bad/form": "bad_other"}
    modules = {f"bad_{name}": source for name, (source, _) in SOURCES.items()}
    root = plugin("bad", modules, {"clbench.strategies": points})
    (root / "bad_encoding.py").write_bytes(ENCODING)
    garbage = root / "garbage-1.0.dist-info"
    garbage.mkdir()
    (garbage / "METADATA").write_bytes(b"\xff\xfe\x00")
    (garbage / "entry_points.txt").write_bytes(b"[clbench.strategies]\n\xff = x:Y\n")
    nameless = root / "nameless-1.0.dist-info"
    nameless.mkdir()
    (nameless / "METADATA").write_text("")
    (nameless / "entry_points.txt").write_text("[clbench.streams]\nbad-stream = bad_other:M\n")
    return sorted(points)
