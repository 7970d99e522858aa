"""Files of weights: every form that people have gives the features of the same weights loaded plainly."""

from __future__ import annotations

import argparse
import os
import pickle
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cl.backbone import Backbone, load
from cl.backbone.options import BackboneOptions
from cl.errors import DataError

Tensors = dict[str, Tensor]
ARCH = "test_vit"


@pytest.fixture(scope="module")
def state() -> Tensors:
    """The weights of a small ViT with a classifier of seven classes."""
    torch.manual_seed(3)
    model = timm.create_model(ARCH, num_classes=7)
    for tensor in model.state_dict().values():
        tensor.normal_()
    return model.state_dict()


def under(prefix: str, state: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in state.items()}


def other(state: Tensors) -> Tensors:
    """Weights of the same shapes and other values, which must not be taken."""
    return {name: torch.full_like(tensor, 0.5) for name, tensor in state.items()}


def headless(state: Tensors) -> Tensors:
    return {name: tensor for name, tensor in state.items() if not name.startswith("head")}


def holds(backbone: Backbone, state: Tensors) -> bool:
    here = backbone.model.state_dict()
    return set(here) == set(headless(state)) and all(torch.equal(here[name], state[name]) for name in here)


class Logger:
    """An object that training code leaves in a checkpoint."""

    def __init__(self) -> None:
        self.best, self.items = np.float64(0.5), [1]


class Code:
    """An object that would make a folder when unpickled."""

    def __init__(self, target: Path, call: Any = shutil.copytree) -> None:
        self.target, self.call = target, call

    def __reduce__(self) -> Any:
        return self.call, (str(self.target.parent / "source"), str(self.target))


FORMS: dict[str, Any] = {
    "plain": lambda s: s,
    "with the rest of a training": lambda s: {
        "model": s, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}, "epoch": 7,
        "args": argparse.Namespace(lr=1), "best": np.float64(0.5), "log": Logger(),
    },
    "numbers among the tensors": lambda s: {**s, "epoch": 3},
    "DDP": lambda s: {"state_dict": under("module.", s)},
    "compiled": lambda s: {"model": under("_orig_mod.", s)},
    "compiled DDP": lambda s: {"model": under("module._orig_mod.", s)},
    "Lightning": lambda s: {"state_dict": under("model.", s) | {"criterion.weight": torch.ones(7)}},
    "backbone": lambda s: {"state_dict": under("backbone.", s)},
    "encoder": lambda s: under("encoder.", s),
    "visual": lambda s: under("visual.", s) | {"logit_scale": torch.ones(())},
    "MoCo v3": lambda s: {
        "state_dict": {**under("module.momentum_encoder.", other(s)), **under("module.base_encoder.", headless(s))}
        | {"module.base_encoder.head.0.weight": torch.ones(2, 2), "module.predictor.0.weight": torch.ones(2)}
    },
    "MoCo": lambda s: {"state_dict": {**under("module.encoder_k.", other(s)), **under("module.encoder_q.", s)}},
    "DINO": lambda s: {
        "student": under("module.backbone.", other(s)),
        "teacher": under("backbone.", s) | {"head.mlp.0.weight": torch.ones(2, 2), "head.last_layer.g": torch.ones(2)},
    },
    "averaged": lambda s: {"state_dict": other(s), "state_dict_ema": s},
    "model_state_dict": lambda s: {"model_state_dict": s, "optimizer_state_dict": {}},
    "net": lambda s: {"net": under("module.", s), "acc": 93.1},
    "an unknown wrapper": lambda s: {"weights": {"student_of_mine": s}},
    "a head called fc": lambda s: {**headless(s), "fc.weight": torch.zeros(7, 64), "fc.bias": torch.zeros(7)},
    "a projection head": lambda s: {**headless(s), "projector.0.weight": torch.zeros(7, 64)},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_features_of_the_plain_weights(form: str, state: Tensors, tmp_path: Path) -> None:
    torch.save(headless(state), tmp_path / "plain.pth")
    torch.save(FORMS[form](state), tmp_path / "form.pth")
    plain, found = (load(f"{ARCH}@{tmp_path / name}") for name in ("plain.pth", "form.pth"))
    assert holds(plain, state) and holds(found, state)
    size = plain.transform.size
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(plain(images), found(images))


def test_a_residual_network_takes_a_prefix_and_a_head_of_another_name_too(tmp_path: Path) -> None:
    model = timm.create_model("test_resnet", num_classes=0)
    content = {"state_dict": under("module.encoder_q.", model.state_dict()) | {"module.queue": torch.ones(2)}}
    content["state_dict"] |= {"module.encoder_q.classifier.weight": torch.ones(2, 2)}
    torch.save(content, tmp_path / "moco.tar")
    found = load(f"test_resnet@{tmp_path / 'moco.tar'}").model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())


def test_a_prefix_is_stripped_in_safetensors_and_with_another_image_size(state: Tensors, tmp_path: Path) -> None:
    save_file(under("backbone.", state), str(tmp_path / "mine.safetensors"))
    (tmp_path / "mine.bin").write_bytes((tmp_path / "mine.safetensors").read_bytes())
    assert holds(load(f"{ARCH}@{tmp_path / 'mine.safetensors'}"), state)
    assert holds(load(f"{ARCH}@{tmp_path / 'mine.bin'}"), state), "a safetensors file under another suffix"
    torch.save(headless(state), tmp_path / "plain.pth")
    one, two = (
        load(f"{ARCH}@{tmp_path / name}", BackboneOptions(image_size=64)) for name in ("mine.safetensors", "plain.pth")
    )
    assert one.model.pos_embed.shape[1] == 17 and torch.equal(one.model.pos_embed, two.model.pos_embed)  # type: ignore


def refusal(path: Path, arch: str = ARCH) -> str:
    with pytest.raises(DataError) as caught:
        load(f"{arch}@{path}")
    assert caught.value.exit_code == 3
    text = str(caught.value)
    assert "the network," not in text and "hub" not in text and "\n" not in text, "a local file needs no network"
    return text


def test_tensors_that_do_not_fit_are_named(state: Tensors, tmp_path: Path) -> None:
    content = headless(state)
    content["cls_token"] = torch.zeros(1, 1, 32)
    del content["norm.bias"]
    content["blocks.0.gate"] = torch.zeros(1)
    torch.save({"model": under("module.", content)}, tmp_path / "mine.pth")
    text = refusal(tmp_path / "mine.pth")
    assert "1 tensor is missing (norm.bias)" in text and "1 tensor is unexpected (blocks.0.gate)" in text
    assert "cls_token has the shape (1, 1, 32) in the file and (1, 1, 64) in the network" in text
    torch.save(timm.create_model("test_resnet", num_classes=0).state_dict(), tmp_path / "resnet.pth")
    assert "tensors are missing (cls_token first)" in refusal(tmp_path / "resnet.pth")


def test_a_checkpoint_without_weights_does_not_send_timm_to_the_hub(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "mine.pth")
    assert "it holds no tensors;" in refusal(tmp_path / "mine.pth")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty; download it again"),
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page, not a file of weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "is a Git LFS pointer"),
        (b"not weights at all", "it is damaged, no file of weights"),
        (b"PK\x03\x04" + bytes(40), "it is damaged, no file of weights"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
def test_files_that_are_no_weights_are_named(content: bytes, words: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(content)
    text = refusal(path)
    assert words in text or (suffix == ".npz" and "cannot load the arrays" in text and "damaged" in words)


def test_damaged_and_unreadable_files_are_refused(state: Tensors, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "half.pth").write_bytes(whole[: len(whole) // 2])
    assert "it is damaged, no file of weights" in refusal(tmp_path / "half.pth")
    (tmp_path / "locked.pth").write_bytes(whole)
    (tmp_path / "locked.pth").chmod(0)
    if not os.access(tmp_path / "locked.pth", os.R_OK):
        assert "check its permissions" in refusal(tmp_path / "locked.pth")


def test_no_code_of_a_file_runs(state: Tensors, tmp_path: Path) -> None:
    target = tmp_path / "written"
    (tmp_path / "source").mkdir()
    torch.save({"model": state, "args": Code(target)}, tmp_path / "mine.pth")
    assert holds(load(f"{ARCH}@{tmp_path / 'mine.pth'}"), state), "the weights are read, the object is not built"
    torch.save(Code(target), tmp_path / "code.pth")
    assert "no named tensors" in refusal(tmp_path / "code.pth")
    torch.save(nn.Linear(2, 2), tmp_path / "module.pth")
    assert "whole pickled network" in refusal(tmp_path / "module.pth")
    torch.save({"model": state, "args": Code(target, os.rename)}, tmp_path / "system.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"model": Code(target)}))
    with tarfile.open(tmp_path / "old.pth", "w") as archive:  # as PyTorch 0.1 saved
        archive.add(tmp_path / "plain.pth", "storages")
    for name in ("system.pth", "plain.pth", "old.pth"):
        text = refusal(tmp_path / name)
        assert "needs code to run" in text and "weights_only" not in text
    assert not target.exists()


class Writes(nn.Module):
    """Creates a file when TorchScript restores it."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path, self.training = path, False

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0] + str(torch.from_file(state[0], shared=True, size=4).sum())
        self.training = state[1]

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_no_code_of_a_torchscript_archive_runs(tmp_path: Path) -> None:
    target = tmp_path / "written"
    torch.jit.script(Writes(str(target))).save(str(tmp_path / "script.pth"))
    assert "needs code to run" in refusal(tmp_path / "script.pth") and not target.exists()
    torch.jit.load(str(tmp_path / "script.pth"))
    assert target.exists(), "the file would have written"


def test_reading_leaves_what_the_user_allowed(state: Tensors, tmp_path: Path) -> None:
    torch.save({"model": state, "args": Logger()}, tmp_path / "mine.pth")
    before = list(torch.serialization.get_safe_globals())
    torch.serialization.add_safe_globals([Code])
    try:
        load(f"{ARCH}@{tmp_path / 'mine.pth'}")
        assert set(torch.serialization.get_safe_globals()) == {Code, *before}
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def google(state: Tensors, heads: int) -> dict[str, Any]:
    """The tensors of a timm ViT as Google stored its own."""
    width = len(state["norm.weight"])
    value = {name: tensor.numpy() for name, tensor in state.items()}
    found: dict[str, Any] = {
        "cls": value["cls_token"],
        "embedding/kernel": value["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "embedding/bias": value["patch_embed.proj.bias"],
        "Transformer/posembed_input/pos_embedding": value["pos_embed"],
        "Transformer/encoder_norm/scale": value["norm.weight"],
        "Transformer/encoder_norm/bias": value["norm.bias"],
        "head/kernel": np.zeros((width, 9), np.float32),
        "head/bias": np.zeros(9, np.float32),
    }
    for block in range(sum(name.endswith("norm1.weight") for name in state)):
        old, new = f"blocks.{block}.", f"Transformer/encoderblock_{block}/"
        for norm, place in (("norm1", 0), ("norm2", 2)):
            found[f"{new}LayerNorm_{place}/scale"] = value[f"{old}{norm}.weight"]
            found[f"{new}LayerNorm_{place}/bias"] = value[f"{old}{norm}.bias"]
        attention = f"{new}MultiHeadDotProductAttention_1/"
        weights, biases = np.split(value[f"{old}attn.qkv.weight"], 3), np.split(value[f"{old}attn.qkv.bias"], 3)
        for name, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True):
            found[f"{attention}{name}/kernel"] = weight.T.reshape(width, heads, -1)
            found[f"{attention}{name}/bias"] = bias.reshape(heads, -1)
        out = value[f"{old}attn.proj.weight"].reshape(width, heads, -1)
        found[f"{attention}out/kernel"] = out.transpose(1, 2, 0)
        found[f"{attention}out/bias"] = value[f"{old}attn.proj.bias"]
        for place in (0, 1):
            found[f"{new}MlpBlock_3/Dense_{place}/kernel"] = value[f"{old}mlp.fc{place + 1}.weight"].T
            found[f"{new}MlpBlock_3/Dense_{place}/bias"] = value[f"{old}mlp.fc{place + 1}.bias"]
    return found


def test_arrays_of_google_are_loaded_by_timm(tmp_path: Path) -> None:
    model: Any = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=32, depth=2)
    arrays = google(model.state_dict(), model.blocks[0].attn.num_heads)
    np.savez(tmp_path / "two.npz", **arrays)
    with pytest.raises(DataError, match="the file holds 2 blocks, the network has 12"):
        load(f"vit_tiny_patch16_224@{tmp_path / 'two.npz'}", BackboneOptions(image_size=32))
    whole: Any = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=32)
    for tensor in whole.state_dict().values():
        tensor.normal_()
    np.savez(tmp_path / "Ti_16.npz", **google(whole.state_dict(), 3))
    found = load(f"vit_tiny_patch16_224@{tmp_path / 'Ti_16.npz'}", BackboneOptions(image_size=32))
    assert holds(found, whole.state_dict())
    assert "give the Vision Transformer" in refusal(tmp_path / "Ti_16.npz", "vit_small_patch16_224")
    assert "holds NumPy arrays, which timm cannot load" in refusal(tmp_path / "Ti_16.npz", "test_resnet")
