"""Synthetic COVID-19 chest X-rays: images that a network turned into COVID-19, of normal lungs and of pneumonia.

The task of NEVIS'22 is to tell what the image was made of: normal (G1/) or pneumonia (G2/).
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_CLASSES = {"G1": "Normal", "G2": "Pneumonia"}
_SITE = "https://github.com/hasibzunair/synthetic-covid-cxr-dataset/releases/download/v0.1/"


def _read(files: Files) -> Listing:
    images = files.match(r"(G1|G2)/[^/]+\.(?:png|jpe?g)")
    return by_class(files, {"all": [(name, _CLASSES[found[1]]) for name, found in images]}, tuple(_CLASSES.values()))


RELEASE = Release(
    name="synthetic_covid19_xray",
    title="Synthetic COVID-19 Chest X-ray",
    files=(
        OfficialFile("G_NC.zip", (f"{_SITE}G_NC.zip",), md5="bd82149d00283fca892bc41e997a3070", holds=("G1",)),
        OfficialFile("G_PC.zip", (f"{_SITE}G_PC.zip",), md5="acf56668f97be81fd8c05c4308f80c61", holds=("G2",)),
    ),
    read=_read,
    classes=2,
    images=21_295,
    licence="none stated; research",
    citation="Zunair, Ben Hamza, Synthesis of COVID-19 chest X-rays using unpaired image-to-image translation, Social "
    "Network Analysis and Mining 11, 2021",
    page="https://github.com/hasibzunair/synthetic-covid-cxr-dataset",
    checked=HANDLERS,
)
