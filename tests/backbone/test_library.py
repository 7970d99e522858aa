"""timm and open_clip are imported when a backbone is looked up, and not before."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import timm as imported

from cl.backbone.library import CLIP_CONFIGS, open_clip, timm
from cl.errors import UsageError


def test_the_contract_and_every_part_are_imported_without_timm() -> None:
    code = (
        "import sys, cl.strategy, cl.bases.prompted, cl.parts.attached, cl.parts.weights, cl.parts.statistics\n"
        "assert 'torch' in sys.modules\n"
        "import cl.strategies.cpe_clip, cl.strategies.zero_shot\n"
        "assert not {'timm', 'torchvision', 'torch._dynamo', 'open_clip'} & sys.modules.keys()\n"
        "import cl.backbone.model\n"
        "cl.backbone.model.factory('vit_tiny_patch16_224')\n"
        "assert 'timm' in sys.modules and 'open_clip' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_library_is_timm_itself() -> None:
    assert timm() is imported and timm().data.resolve_data_config and timm().models.clean_state_dict


def test_open_clip_knows_our_architectures() -> None:
    ours = {path.stem for path in CLIP_CONFIGS.glob("*.json")}
    assert {"micro_clip", "tiny_clip"} <= ours <= set(open_clip().list_models())
    assert open_clip() is open_clip()


@pytest.mark.parametrize("version", ["2.30.0", None])
def test_an_old_open_clip_is_refused(version: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if version is None:
        monkeypatch.delattr(open_clip(), "__version__")
    else:
        monkeypatch.setattr(open_clip(), "__version__", version)
    open_clip.cache_clear()
    with pytest.raises(UsageError, match=rf"3\.0 or newer, and {version or 'an older one'} is .*'clbench\[clip\]'"):
        open_clip()


@pytest.mark.parametrize(("missing", "says"), [("ftfy", "cannot be imported: .*ftfy"), ("open_clip", "pip install")])
def test_a_broken_open_clip_is_not_a_missing_one(missing: str, says: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from cl.backbone.library import open_clip\n"
        "from cl.errors import UsageError\n"
        "try:\n    open_clip()\nexcept UsageError as error:\n    print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert re.search(says, told), told
