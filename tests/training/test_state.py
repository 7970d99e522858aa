"""State: nested tensors and scalars are saved and loaded; other values are refused by name."""

from __future__ import annotations

import resource
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from cl.errors import ContractError, DataError, StorageError
from cl.parts.heads.growing import GrowingHead
from cl.training import state


def test_every_kind_of_value_is_restored(tmp_path: Path) -> None:
    base = torch.arange(12.0).view(3, 4)
    value: dict[str, Any] = {
        "tensor": base, "view": base[1:, :2], "transposed": base.T, "empty": torch.empty(0, 3), "half": base.half(),
        "bool": torch.tensor([True, False]), "list": [1, 2.5, "x", None, True, [torch.ones(2)]],
        "nested": {"a": {"b": torch.tensor(3)}}, "inf": float("-inf"), "keys": {0: base, 1: "one"},
    }  # fmt: skip
    state.save(tmp_path / "s.safetensors", value)
    back = state.load(tmp_path / "s.safetensors")
    assert list(back) == list(value)
    for name in ("tensor", "view", "transposed", "empty", "half", "bool"):
        assert back[name].dtype == value[name].dtype and torch.equal(back[name], value[name])
    assert back["list"][:5] == value["list"][:5] and torch.equal(back["list"][5][0], torch.ones(2))
    assert back["inf"] == float("-inf") and set(back["keys"]) == {0, 1}
    assert torch.equal(back["nested"]["a"]["b"], torch.tensor(3))


def test_only_tensors_that_share_memory_are_copied_to_be_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A learner with a network for each of a hundred tasks would need its memory twice at every checkpoint."""
    given: dict[str, torch.Tensor] = {}
    write = state.save_file

    def save_file(tensors: dict[str, torch.Tensor], path: str, **more: Any) -> None:
        given.update(tensors)
        write(tensors, path, **more)

    monkeypatch.setattr(state, "save_file", save_file)
    alone, shared = torch.arange(4.0), torch.arange(6.0)
    value = [alone, shared[:3], shared[3:], shared, nn.Parameter(torch.ones(2))]
    state.save(tmp_path / "s.safetensors", value)
    same = [tensor.data_ptr() == saved.data_ptr() for tensor, saved in zip(value, given.values(), strict=True)]
    assert same == [True, True, False, False, True]
    back = state.load(tmp_path / "s.safetensors")
    assert all(torch.equal(one, other) for one, other in zip(back, value, strict=True))


def test_an_attribute_without_a_state_is_named() -> None:
    class Owner:
        def __init__(self) -> None:
            self.fine, self.callback = 1, print

    with pytest.raises(ContractError, match=r"Owner\.callback is a builtin_function"):
        state.collect(Owner())


def test_modules_are_restored_in_place_and_heads_grow() -> None:
    class Owner:
        def __init__(self) -> None:
            self.linear, self.head, self.items = nn.Linear(2, 2), GrowingHead(2), [torch.zeros(1)]
            self._cache = object()

    old, new = Owner(), Owner()
    old.head.grow_to(3, torch.Generator().manual_seed(0))
    old.head.grow_to(5, torch.Generator().manual_seed(1))
    old.items.append(torch.ones(2))
    linear, weight = new.linear, new.linear.weight
    state.restore(new, state.collect(old))
    assert new.linear is linear and new.linear.weight is weight and torch.equal(weight, old.linear.weight)
    x = torch.randn(4, 2)
    assert new.head.widths == [3, 2] and torch.equal(new.head(x), old.head(x))
    assert len(new.items) == 2 and not hasattr(new, "missing")


class Holds:
    """An attribute that is a list or a dict of modules itself."""

    def __init__(self, count: int, kind: type[nn.ModuleList] | type[nn.ModuleDict]) -> None:
        made = [nn.Linear(2, 2) for _ in range(count)]
        self.layers = kind(made) if issubclass(kind, nn.ModuleList) else kind({f"m{i}": m for i, m in enumerate(made)})


@pytest.mark.parametrize("kind", [nn.ModuleList, nn.ModuleDict])
def test_a_list_or_dict_of_modules_is_restored_in_place(
    kind: type[nn.ModuleList] | type[nn.ModuleDict], tmp_path: Path
) -> None:
    old, new = Holds(2, kind), Holds(2, kind)
    layers = new.layers
    state.save(tmp_path / "s.safetensors", state.collect(old))
    state.restore(new, state.load(tmp_path / "s.safetensors"))
    assert new.layers is layers
    for mine, theirs in zip(new.layers.parameters(), old.layers.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    with pytest.raises(ContractError, match=r"has 1 modules, but 2 were saved; add its modules in `setup`"):
        state.restore(Holds(1, kind), state.collect(old))


def test_a_full_disk_leaves_the_old_file_intact(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    state.save(path, {"x": torch.ones(10)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(StorageError, match="disk is full or a file-size limit was reached; free space"):
            state.save(path, {"x": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert torch.equal(state.load(path)["x"], torch.ones(10))
    assert [p.name for p in tmp_path.iterdir()] == ["s.safetensors"], "half-written files are removed"


def test_a_damaged_file_names_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    state.save(path, {"x": torch.ones(1000)})
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"damaged .*delete it and run the same command again"):
        state.load(path)


def test_no_flipped_bit_of_a_file_goes_unnoticed(tmp_path: Path) -> None:
    value = {"x": torch.arange(7.0), "n": torch.zeros(0), "flag": torch.tensor(True), "half": torch.ones(3).bfloat16()}
    path = tmp_path / "s.safetensors"
    state.save(path, {**value, "name": "a", "f": float("inf")})
    whole = path.read_bytes()
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1 << (place % 8)
        path.write_bytes(data)
        try:
            found = state.load(path, fix="start over")
        except DataError as error:
            assert "is damaged (" in str(error) and str(error).endswith("; start over.")
            continue
        assert all(torch.equal(found[key], tensor) for key, tensor in value.items()), f"byte {place}"


def test_the_header_of_a_file_is_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    state.save(path, {"a": {"b": [1, torch.ones(2)]}})
    assert state.peek(path) == {"a": {"b": [1, None]}}
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is damaged"):
        state.peek(path)


def test_float64_stays_on_the_cpu_beside_a_device_without_it() -> None:
    owner = SimpleNamespace(sums=None)
    state.restore(owner, {"sums": [torch.ones(2, dtype=torch.float64)]}, "mps")
    assert owner.sums[0].device.type == "cpu" and owner.sums[0].dtype == torch.float64
