"""A finished learner as one network without clbench: torch.export and ONNX files, compared with the learner."""

from __future__ import annotations

import importlib.util
import inspect
import io
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from cl.backbone.transform import Transform
from cl.errors import ClbenchError, DataError, UsageError
from cl.files import make_folder, replace_file, write_bytes, write_text
from cl.plan.plan import load_plan
from cl.random import numpy_generator
from cl.running.build import build_stream
from cl.running.learner import Learner
from cl.strategy import Extractor, Inputs

FORMATS = ("onnx", "torch")
FILES: Mapping[str, str] = {"onnx": "model.onnx", "torch": "model.pt2"}
"""The file of each format."""
ABOUT = "model.json"

OPSET = 18
"""The version of ONNX's operators that is written."""

TOLERANCE = 1e-3
"""Largest difference of a score from the learner's, as a share of the largest score, that rounding explains."""

LARGEST = 2_000_000_000
"""Bytes of the tensors that one ONNX file can hold."""

_NEEDED = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True)
class Compared:
    """An exported file against its learner: scores of images differ by at most `difference`; `equal` of `images` have
    the same answer, and all others are ties within the rounding."""

    path: Path
    images: int
    equal: int
    difference: float


def check_formats(formats: tuple[str, ...]) -> None:
    """Raise `UsageError` for an unknown format, and for one whose packages are missing, naming how to install them."""
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"There is no format {name!r}; choose from: {', '.join(FORMATS)}.")
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if "onnx" in formats and missing:
        raise UsageError(
            f"ONNX needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: "
            "pip install 'clbench[onnx]'; or write a torch.export file only, with --format torch."
        )


def check_one_network(learner: Learner) -> None:
    """Raise `UsageError` for a learner of a method that is always told the task: it has scores of one task only.

    Those of other tasks are -inf, in a table as long as the batch that is traced.
    """
    if learner.chooses_no_task:
        raise UsageError(
            f"{type(learner.strategy).__name__} has parts of its own for each task and cannot be exported as one "
            "network; predict with `clbench predict --task` or cl.load_learner instead."
        )


def export(
    learner: Learner, folder: Path, pixels: np.ndarray, *, formats: tuple[str, ...] = FORMATS,
    task: str | int | None = None,
) -> list[Compared]:  # fmt: skip
    """Write a learner as networks into `folder`, and `model.json` with what a user of them needs; compare each.

    The networks take float32 images [B, C, s, s] from 0 to 1, resized and cropped to the network's size and not
    normalised, and return scores [B, classes]. `pixels` uint8 [N, C, H, W] of the training images' form are what the
    learner and the files are compared on. That of a task-incremental stream is exported for one `task`. Raises
    `ClbenchError` if a file's answers differ from the learner's, `UsageError` for a learner that cannot be exported.
    """
    check_formats(formats)
    check_one_network(learner)
    chosen = learner.told(task)
    index = chosen.index if chosen is not None else None
    network = Network(learner, index).eval()
    transform = learner.backbone.transform
    example = cropped(transform, torch.from_numpy(pixels[:2]))
    # first, so that parts know the hash of their tensors: it cannot be computed while they are traced
    expected = learner.predict_images(pixels, index).float().cpu().numpy()
    program = _program(network, example)
    make_folder(folder)
    found = []
    for name in formats:
        path = folder / FILES[name]
        run = _write_onnx(program, path) if name == "onnx" else _write_torch(program, path)
        scores = np.concatenate([run(part) for part in _parts(transform, pixels)])
        found.append(compared(path, expected, scores))
    classes = chosen.classes if chosen is not None else tuple(range(learner.classes_seen))
    write_text(folder / ABOUT, json.dumps(about(learner, classes, found), indent=1) + "\n")
    return found


def about(learner: Learner, classes: tuple[int, ...], found: list[Compared]) -> dict[str, Any]:
    """What a user of the files needs to know: preparation of images, classes by column, temperature, comparison."""
    channels, height, width = learner.info.image_shape
    transform = learner.backbone.transform
    return {
        "strategy": learner.name,
        "input": {
            "name": "images",
            "type": "float32, pixels / 255, not normalised",
            "shape": ["batch", channels, transform.size, transform.size],
            "preparation": [
                f"shorter side to {height} pixels (bicubic, antialiased), then the centre {width} x {height}",
                f"shorter side to {round(transform.size / transform.crop_pct)} pixels "
                f"({transform.interpolation}, antialiased), then the centre {transform.size} x {transform.size}",
            ],
        },
        "output": {
            "name": "scores",
            "classes": list(learner.info.class_names),
            "answers": list(classes),
            "probabilities": "softmax of (scores of `answers` / temperature)",
            "temperature": learner.calibration.temperature or 1.0,
            "calibration": asdict(learner.calibration),
        },
        "compared": [{**asdict(each), "path": each.path.name} for each in found],
    }


def images_to_compare(folder: Path, learner: Learner, number: int = 100) -> tuple[np.ndarray, str]:
    """Images uint8 [N, C, H, W] of a run's training images' form, and what they are: its test images if it has them
    here, else noise."""
    rng = numpy_generator(0, "export")
    try:
        stream = build_stream(load_plan(folder))
    except (DataError, UsageError):
        channels, height, width = learner.info.image_shape
        return rng.integers(0, 256, (number, channels, height, width), dtype=np.uint8), "images of noise"
    split = stream.split
    rows = np.sort(rng.permutation(stream.test_rows(range(len(stream.groups)), split)[0])[:number])
    pixels = np.asarray(stream.store(split).pixels[rows]).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(pixels), f"{split} images of {stream.name}"


class Network(nn.Module):
    """A learner as a module: images from 0 to 1 of the network's size to scores [B, classes].

    Its tensors are constants: as parameters of this module they would be replaced while it is traced.
    """

    def __init__(self, learner: Learner, task: int | None = None) -> None:
        super().__init__()
        self._learner, self._task = (learner.strategy,), task  # in a tuple: it is no module

    def forward(self, images: Tensor) -> Tensor:
        return self._learner[0].predict(_Given(images), self._task).float()


class _Given(Inputs):
    """Images from 0 to 1 of the network's size, as a strategy gets its inputs."""

    def __init__(self, images: Tensor) -> None:
        super().__init__(images, images.device)

    def images(self, transform: Transform) -> Tensor:
        if self._pixels.shape[-1] != transform.size:
            raise UsageError("it prepares images in more than one size")
        return transform.normalise(self._pixels * 255)

    def rows(self, index: Tensor) -> Inputs:
        raise UsageError("its network depends on the image")

    def encode(self, extractor: Extractor) -> Tensor:
        return extractor(self.images(extractor.transform))


def cropped(transform: Transform, pixels: Tensor) -> Tensor:
    """Images uint8 [B, C, h, w] as float32 [B, C, s, s] from 0 to 1: what `Transform` does before it normalises."""
    plain = _Unnormalised(
        transform.size, transform.mean, transform.std, transform.interpolation, transform.crop_pct
    )  # fmt: skip
    return plain(pixels)


class _Unnormalised(Transform):
    def normalise(self, pixels: Tensor) -> Tensor:
        return pixels.float() / 255


def compared(path: Path, expected: np.ndarray, scores: np.ndarray) -> Compared:
    """Scores of a file [N, K] against the learner's; raises `ClbenchError` if they differ by more than rounding."""
    difference = float(np.abs(expected - scores).max()) if scores.shape == expected.shape else float("inf")
    most = TOLERANCE * max(float(np.abs(expected).max()), 1e-12)
    if not difference <= most:
        path.unlink(missing_ok=True)
        raise ClbenchError(
            f"The scores of {path.name} differ from the learner's by up to {difference:.3g}, more than rounding "
            f"explains ({most:.3g}); it was deleted, please report this strategy."
        )
    equal = int((expected.argmax(1) == scores.argmax(1)).sum())
    other = np.flatnonzero(expected.argmax(1) != scores.argmax(1))
    gaps = expected[other].max(1) - expected[other, scores[other].argmax(1)]
    if len(other) and gaps.max() > 2 * difference:
        path.unlink(missing_ok=True)
        raise ClbenchError(f"{len(other)} of {len(expected)} answers of {path.name} differ from the learner's.")
    return Compared(path, len(expected), equal, difference)


def _program(network: Network, example: Tensor) -> Any:
    """The traced network; raises `UsageError` with the reason for a learner that cannot be traced."""
    batch = torch.export.Dim("batch", min=1, max=4096)
    try:
        with _plain(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(network, (example,), dynamic_shapes={"images": {0: batch}}, strict=False)
    except Exception as error:  # tracing runs the whole learner and raises nearly every type
        reason = " ".join((str(error) or type(error).__name__).split())[:200].rstrip(".")
        if "Constraints violated (batch)" in reason:  # the rest of PyTorch's sentence is about its own options
            reason = "it fixes the number of images"
        raise UsageError(
            f"{type(network._learner[0]).__name__} cannot be exported as one network ({reason}); predict with "
            "cl.load_learner instead."
        ) from error


def _plain() -> Any:
    """Within a `with` block no kernel of this machine is chosen: a pass that may need gradients takes PyTorch's own."""
    return torch.enable_grad()


def _write_torch(program: Any, path: Path) -> Callable[[Tensor], np.ndarray]:
    content = io.BytesIO()
    torch.export.save(program, content)
    write_bytes(path, content.getvalue())
    module = torch.export.load(str(path)).module()

    def run(images: Tensor) -> np.ndarray:
        with torch.no_grad():
            return cast(np.ndarray, module(images).cpu().numpy())

    return run


def _write_onnx(program: Any, path: Path) -> Callable[[Tensor], np.ndarray]:
    import onnx
    import onnxruntime

    if "dynamo" not in inspect.signature(torch.onnx.export).parameters:
        raise UsageError("ONNX needs PyTorch 2.5 or later; update it, or choose --format torch.")
    if sum(tensor.nbytes for tensor in [*program.state_dict.values(), *program.constants.values()]) > LARGEST:
        raise UsageError("A network of 2 GB or more does not fit one ONNX file; choose --format torch.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.onnx.export(
            program, dynamo=True, verbose=False, opset_version=OPSET, input_names=["images"], output_names=["scores"]
        )  # fmt: skip
    replace_file(path, lambda temporary: onnx.save(cast(Any, made).model_proto, str(temporary)))
    onnx.checker.check_model(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(images: Tensor) -> np.ndarray:
        return cast(np.ndarray, session.run(None, {name: images.cpu().numpy()})[0])

    return run


def _parts(transform: Transform, pixels: np.ndarray) -> list[Tensor]:
    return [
        cropped(transform, torch.from_numpy(pixels[start : start + Learner.batch]))
        for start in range(0, len(pixels), Learner.batch)
    ]
