"""Crops as they are taken: pictures of the best alone, and vectors as they are kept."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from throughline.tracker.identities.samples import Sample
from throughline.tracker.identities.taken import THUMBS_PER_TRACK, TakenCrops

CROP = np.zeros((8, 4, 3), np.uint8)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from([0.1, 0.5, 0.9])), max_size=20))
def test_pictures_are_kept_of_the_best_crops_of_each_track(crops: list[tuple[int, float]]) -> None:
    taken = TakenCrops(8)
    for frame, (track, quality) in enumerate(crops):
        sample = Sample(track, frame, (0, 0, 4, 8), quality)
        taken.show(sample, quality, CROP)
        taken.take(sample, quality, np.array([1, 0], np.float32))
    found = taken.described("", 2, "float32", [])
    shown = {row for row, thumb in enumerate(found.thumbs) if thumb}
    best = np.lexsort((found.sample_frames, -found.sample_qualities))
    expected = {row for track in range(1, 4) for row in best[found.sample_tracks[best] == track][:THUMBS_PER_TRACK]}
    assert shown == expected


def test_vectors_are_in_the_precision_in_which_they_are_kept() -> None:
    taken = TakenCrops(8)
    taken.take(Sample(1, 0, (0, 0, 4, 8), 1.0), 1.0, np.array([0.6000001, 0.8], np.float32))
    found = taken.described("", 2, "float16", [])
    assert found.samples.dtype == np.float32
    assert found.samples.tolist() == found.samples.astype(np.float16).tolist()
