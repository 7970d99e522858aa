"""DomainNet: each domain in an archive, with the authors' lists of training and test images (cleaned version)."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import MINIATURE, OfficialFile, Release
from cl.errors import DataError

_SITE = "http://csr.bu.edu/ftp/visda/2019/multi-source/"
FOLDERS = ("domainnet", "DomainNet", "domain_net")
"""Names of the folder that ports put the domains into."""


def listed(files: Files, domain: str) -> Listing:
    """A line of a list has the path of an image, DOMAIN/CLASS/NAME, and the number of its class."""
    numbers: dict[str, int] = {}
    rows: dict[str, list[tuple[str, str]]] = {}
    for split in ("train", "test"):
        rows[split] = []
        for line in files.lines(f"{domain}_{split}.txt"):
            path, _, number = line.rpartition(" ")
            parts = path.split("/")
            if len(parts) != 3 or not number.isdecimal() or numbers.setdefault(parts[1], int(number)) != int(number):
                raise DataError(f"{domain}_{split}.txt of {files.where} has an odd line {line[:100]!r}; get it again.")
            rows[split].append((path, parts[1]))
    return by_class(files, rows, sorted(numbers, key=numbers.__getitem__))


def unlisted(files: Files, domain: str) -> Listing:
    """All images of a domain, also those that no list names, as one set."""
    images = files.match(rf"{domain}/([^/]+)/[^/]+\.(?i:jpe?g|png)")
    return by_class(files, {"all": [(name, found[1]) for name, found in images]})


def in_splits(files: tuple[OfficialFile, ...]) -> tuple[tuple[OfficialFile, ...], ...]:
    """The form of ports that put the lists into a folder splits/."""
    archive, *lists = files
    return ((archive, *(OfficialFile(f"splits/{each.name}", md5=each.md5) for each in lists)),)


def domain(name: str, images: int, folder: str, md5: tuple[str, str, str]) -> Release:
    """The release of a domain; `folder` has its archive on the authors' site, and `md5` are those of the archive, the
    list of training images and that of test images."""
    archive, *lists = md5
    files = (
        OfficialFile(f"{name}.zip", (f"{_SITE}{folder}{name}.zip",), md5=archive, holds=(name,)),
        *(
            OfficialFile(f"{name}_{split}.txt", (f"{_SITE}domainnet/txt/{name}_{split}.txt",), md5=digest)
            for split, digest in zip(("train", "test"), lists, strict=True)
        ),
    )
    return Release(
        name=f"domainnet_{name}",
        title=f"DomainNet-{name.capitalize()}",
        files=files,
        also=in_splits(files),
        folders=FOLDERS,
        read=lambda found: listed(found, name),
        part=unlisted,
        classes=345,
        images=images,
        licence="fair use; non-commercial research",
        citation="Peng et al., Moment Matching for Multi-Source Domain Adaptation, ICCV 2019",
        page="http://ai.bu.edu/M3SDA/",
        checked=MINIATURE,
    )
