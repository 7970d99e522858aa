"""DomainNet-Clipart: drawings of 345 classes, in its cleaned version."""

from __future__ import annotations

from cl.data.official.domainnet import domain

RELEASE = domain(
    "clipart",
    48_129,
    "groundtruth/",
    (
        "cd0d8f2d77a4e181449b78ed62bccf1e",
        "b4349693a7f9c05c53955725c47ed6cb",
        "f5ddbcfd657a3acf9d0f7da10db22565",
    ),
)
