"""timm is imported when a backbone is looked up, and not before."""

from __future__ import annotations

import subprocess
import sys

import timm as imported

from cl.backbone.library import timm


def test_the_contract_and_every_part_are_imported_without_timm() -> None:
    code = (
        "import sys, cl.strategy, cl.bases.prompted, cl.parts.attached, cl.parts.weights, cl.parts.statistics\n"
        "assert 'torch' in sys.modules\n"
        "assert not {'timm', 'torchvision', 'torch._dynamo'} & sys.modules.keys()\n"
        "import cl.backbone.model\n"
        "cl.backbone.model.factory('vit_tiny_patch16_224')\n"
        "assert 'timm' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_library_is_timm_itself() -> None:
    assert timm() is imported and timm().data.resolve_data_config and timm().models.clean_state_dict
