"""DomainNet-Sketch: sketches of 345 classes."""

from __future__ import annotations

from cl.data.official.domainnet import domain

RELEASE = domain(
    "sketch",
    69_128,
    "",
    (
        "658d8009644040ff7ce30bb2e820850f",
        "1233bd18aa9a8a200bf4cecf1c34ef3e",
        "d8a222e4672cfd585298aa14d02ea441",
    ),
)
