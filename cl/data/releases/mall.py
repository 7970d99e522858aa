"""Mall: 2,000 frames of a camera in a shopping mall, with the number of people as ten classes of counts.

As in NEVIS'22, the counts of all frames, test frames too, are divided into ten classes with about the same number of
frames (`cl.data.official.counting`), so the edges depend on the data. The first 800 frames are training, the others
test images, as in the authors' paper.
"""

from __future__ import annotations

import numpy as np

from cl.data.official.counting import equal_bins
from cl.data.official.files import Files
from cl.data.official.listing import Listing, image_files
from cl.data.official.matlab import variables
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.errors import DataError

_TABLE = "mall_dataset/mall_gt.mat"
_TRAINING = 800


def _read(files: Files) -> Listing:
    """`count` of mall_gt.mat has the counts of the frames, which are numbered from 1."""
    frames = [name for name, _ in files.match(r"mall_dataset/frames/seq_\d{6}\.jpg")]
    counts = np.asarray(variables(files, _TABLE).get("count", ()), np.int64).reshape(-1)
    if len(counts) != len(frames):
        raise DataError(
            f"{_TABLE} of {files.where} has {len(counts):,} counts for {len(frames):,} frames; get it again."
        )
    bins = equal_bins(counts.tolist(), 10, files.where)
    parts = {"train": slice(None, _TRAINING), "test": slice(_TRAINING, None)}
    return Listing(
        bins.names,
        {split: image_files(files, frames[part], bins.labels(counts[part].tolist())) for split, part in parts.items()},
    )


RELEASE = Release(
    name="mall",
    title="Mall",
    files=(
        OfficialFile(
            "mall_dataset.zip",
            ("https://personal.ie.cuhk.edu.hk/~ccloy/files/datasets/mall_dataset.zip",),
            md5="48a772b5e55e8e9a66a3c8f98598fc3b",
            holds=("mall_dataset",),
        ),
    ),
    read=_read,
    classes=10,
    images=2_000,
    licence="research",
    citation="Chen et al., Feature Mining for Localised Crowd Counting, BMVC 2012",
    page="https://personal.ie.cuhk.edu.hk/~ccloy/downloads_mall_dataset.html",
    checked=HANDLERS,
)
