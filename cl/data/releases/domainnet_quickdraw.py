"""DomainNet-Quickdraw: drawings of 345 classes by players of a game, 500 of each."""

from __future__ import annotations

from cl.data.official.domainnet import domain

RELEASE = domain(
    "quickdraw",
    172_500,
    "",
    (
        "bdc1b6f09f277da1a263389efe0c7a66",
        "b732ced3939ac8efdd8c0a889dca56cc",
        "c1a828fdfe216fb109f1c0083a252c6f",
    ),
)
