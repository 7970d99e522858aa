"""DomainNet-Infograph: infographics with an object of 345 classes."""

from __future__ import annotations

from cl.data.official.domainnet import domain

RELEASE = domain(
    "infograph",
    51_605,
    "",
    (
        "720380b86f9e6ab4805bb38b6bd135f8",
        "379b50054f4ac2018dca4f89421b92d9",
        "779626b50869edffe8ea6941c3755c71",
    ),
)
