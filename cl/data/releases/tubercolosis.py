"""Tuberculosis chest X-rays: 3,500 images of healthy lungs and 700 with tuberculosis. NEVIS'22 spells it so."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_TREE = r"TB_Chest_Radiography_Database/(Normal|Tuberculosis)/[^/]+\.png"


def _read(files: Files) -> Listing:
    return by_class(files, {"all": [(name, found[1]) for name, found in files.match(_TREE)]})


RELEASE = Release(
    name="tubercolosis",
    title="Tuberculosis chest X-rays",
    files=(
        OfficialFile(
            "tuberculosis-tb-chest-xray-dataset.zip",
            md5="3abdda8a1100ff97c9dce7cc2413d941",
            holds=("TB_Chest_Radiography_Database",),
        ),
    ),
    read=_read,
    classes=2,
    images=4_200,
    licence="the terms on its Kaggle page; please cite",
    citation="Rahman et al., Reliable Tuberculosis Detection Using Chest X-Ray With Deep Learning, Segmentation and "
    "Visualization, IEEE Access 8, 2020",
    page="https://www.kaggle.com/tawsifurrahman/tuberculosis-tb-chest-xray-dataset",
    checked=HANDLERS,
    access="download https://www.kaggle.com/tawsifurrahman/tuberculosis-tb-chest-xray-dataset (a Kaggle account is "
    "needed)",
    kaggle="tawsifurrahman/tuberculosis-tb-chest-xray-dataset",
)
