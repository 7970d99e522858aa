"""DomainNet-Painting: paintings of 345 classes, in its cleaned version.

The published lists have no training image of t-shirt, whose test images are left out, and no test image of syringe.
"""

from __future__ import annotations

from cl.data.official.domainnet import domain

RELEASE = domain(
    "painting",
    72_266,
    "groundtruth/",
    (
        "1ae32cdb4f98fe7ab5eb0a351768abfd",
        "7db0e7ca73ad9982f6e1f7f3ef372c0a",
        "232b35dc53f26d414686ae579e38d9b5",
    ),
)
