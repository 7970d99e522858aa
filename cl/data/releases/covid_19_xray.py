"""COVID-19 radiography: chest X-rays with COVID-19, with lung opacity, with viral pneumonia, and normal ones.

Kaggle's archive grew: the earlier one that NEVIS'22 used (MD5 1888824db56de7f47b886a536961b763) has the images in the
folders of the classes, a later one in their subfolders images/, next to masks of the lungs. Both are read.

Differs from NEVIS'22's code: it leaves out an image that equals an earlier one of its class, and makes all grey; here
the archive's images are kept as they are.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release

_CLASSES = ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")
_TREE = rf"COVID-19_Radiography_Dataset/({'|'.join(_CLASSES)})/(?:images/)?[^/]+\.png"


def _read(files: Files) -> Listing:
    return by_class(files, {"all": [(name, found[1]) for name, found in files.match(_TREE)]}, _CLASSES)


RELEASE = Release(
    name="covid_19_xray",
    title="COVID-19 X-ray",
    files=(OfficialFile("covid19-radiography-database.zip", holds=("COVID-19_Radiography_Dataset",)),),
    read=_read,
    classes=4,
    images=21_165,
    licence="the terms on its Kaggle page; please cite",
    citation="Chowdhury et al., Can AI Help in Screening Viral and COVID-19 Pneumonia?, IEEE Access 8, 2020",
    page="https://www.kaggle.com/tawsifurrahman/covid19-radiography-database",
    checked=HANDLERS,
    access="download https://www.kaggle.com/tawsifurrahman/covid19-radiography-database (a Kaggle account is needed)",
    kaggle="tawsifurrahman/covid19-radiography-database",
)
