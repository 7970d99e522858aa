"""Datasets on this machine: compared with their declaration, and removed from the cache only."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cl.cli import call
from tests.help.leases import held
from tests.help.tiny_dataset import Shown, Tiny, write_pack


def test_verify_compares_archive_and_content(tiny: Tiny, capsys: Shown, tmp_path: Path) -> None:
    assert call(["data", "get", "cifar100"]) == 0
    capsys.readouterr()
    assert call(["data", "verify", "cifar100", "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)
    assert [(check["what"], check["state"]) for check in checks] == [(w, "ok") for w in ("archive", "train", "test")]
    assert all(check["found"] == check["expected"] for check in checks)

    write_pack(tmp_path / "home" / "data" / "tiny_pack.npz", seed=1)  # the form of the dataset, another content
    assert call(["data", "verify", "cifar100"]) == 3
    shown = capsys.readouterr()
    assert "does not hold the train images of CIFAR-100" in shown.err and "| wrong |" in shown.out
    (tmp_path / "home" / "data" / "tiny_pack.npz").unlink()

    raw = bytearray(tiny.cached.read_bytes())
    raw[-1000] ^= 1
    tiny.cached.write_bytes(raw)
    assert call(["data", "verify", "cifar100"]) == 3
    shown = capsys.readouterr()
    assert shown.err.count("Error:") == 1 and "its SHA-256 is" in shown.err and "| archive | wrong |" in shown.out


def test_verify_reads_cached_pixels_and_decodes_damaged_ones_again(
    tmp_path: Path, tiny: Tiny, caplog: pytest.LogCaptureFixture
) -> None:
    write_pack(tiny.cached)
    with np.load(tiny.cached) as pack:
        arrays = {name: pack[name] for name in pack.files}
    files = []
    for image in arrays.pop("images"):
        Image.fromarray(image).save(buffer := io.BytesIO(), "png")
        files.append(buffer.getvalue())
    offsets = np.cumsum([0, *map(len, files)])
    data = np.frombuffer(b"".join(files), np.uint8)
    np.savez(tmp_path / "home" / "data" / "tiny_pack.npz", data=data, offsets=offsets, **arrays)
    tiny.cached.unlink()
    assert call(["data", "verify", "cifar100"]) == 0
    pixels = next(
        path for path in (tmp_path / "home" / "decoded").rglob("pixels.npy") if path.stat().st_size > 100 * 192 + 999
    )
    raw = bytearray(pixels.read_bytes())
    raw[-1] ^= 1
    pixels.write_bytes(raw)
    assert call(["data", "verify", "cifar100"]) == 0
    assert "is damaged (its content is not what was written); the images are decoded again" in caplog.text
    caplog.clear()
    assert call(["data", "verify", "cifar100"]) == 0
    assert not caplog.text and pixels.read_bytes()[-1] == raw[-1] ^ 1


def test_remove_takes_from_the_cache_only(
    tiny: Tiny, capsys: Shown, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    theirs = write_pack(tmp_path / "theirs" / "tiny_pack.npz")
    foreign = tiny.cached.with_name("foreign.txt")
    write_pack(tiny.cached)
    foreign.write_text("mine")
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(theirs.parent))
    assert call(["data", "remove", "cifar100", "--dry-run"]) == 0
    assert "Would free" in capsys.readouterr().out and tiny.cached.exists()
    assert call(["data", "remove", "cifar100"]) == 2  # nobody to ask
    assert "give --yes" in capsys.readouterr().err and tiny.cached.exists()
    assert call(["data", "remove", "cifar100", "--yes"]) == 0
    shown = capsys.readouterr().out
    assert "Freed 6" in shown and f"Kept, because it is not in the cache: {theirs}" in shown
    assert not tiny.cached.exists() and theirs.exists() and foreign.exists()
    assert call(["data", "remove", "cifar100", "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_remove_never_touches_a_data_folder_even_if_the_cache_is_in_it(
    tiny: Tiny, capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pack(tiny.cached)
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tiny.cached.parent.parent))
    assert call(["data", "remove", "cifar100", "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().out and tiny.cached.exists()


def test_remove_waits_for_nobody(tiny: Tiny, capsys: Shown) -> None:
    write_pack(tiny.cached)
    with held(Path(f"{tiny.cached}.lock")):
        assert call(["data", "remove", "cifar100", "--yes"]) == 1
    assert "Another process holds" in capsys.readouterr().err and tiny.cached.exists()
