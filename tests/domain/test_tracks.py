"""Tables of tracks give back what was put in, and nothing where nothing was seen."""

import numpy as np
import pytest

from throughline.domain.time import Instant
from throughline.domain.tracks import Track, TrackEmbeddings, TrackTable

TRACK = Track(
    track_id=1,
    times_ns=np.array([0, 100, 400], np.int64),
    boxes=np.array([[0, 0, 10, 10], [10, 0, 20, 10], [40, 0, 50, 10]], np.float32),
    scores=np.ones(3, np.float32),
)


@pytest.mark.parametrize(
    ("time", "left"),
    [
        (0, 0.0),  # on the first box
        (50, 5.0),  # half-way
        (100, 10.0),  # on a box beside a long gap
        (250, None),  # within a gap longer than the limit
        (400, 40.0),  # on the last box
        (-1, None),  # before the track
        (401, None),  # after it
    ],
)
def test_boxes_are_interpolated_inside_the_track_only(time: int, left: float | None) -> None:
    box = TRACK.boxes_at(np.array([time], np.int64), max_gap_ns=200)[0]
    assert np.isnan(box).all() if left is None else box[0] == pytest.approx(left)
    alone = TRACK.box_at(Instant(time), max_gap_ns=200)
    assert (alone is None) == (left is None)
    assert alone is None or np.allclose(alone, box)


def test_a_table_gives_each_track_its_own_rows() -> None:
    table = TrackTable(
        track_ids=np.array([1, 1, 7], np.int64),
        times_ns=np.array([5, 6, 5], np.int64),
        boxes=np.arange(12, dtype=np.float32).reshape(3, 4),
        scores=np.ones(3, np.float32),
    )
    assert len(table) == 2
    assert [track.track_id for track in table.tracks()] == [1, 7]
    assert table.track(7).boxes.tolist() == [[8, 9, 10, 11]]
    with pytest.raises(KeyError):
        table.track(2)


def test_a_descriptor_is_the_unit_mean_of_the_tracks_vectors_weighted_by_quality() -> None:
    embeddings = TrackEmbeddings(
        vectors=np.array([[1, 0], [0, 1], [0, 1]], np.float32),
        track_ids=np.array([3, 3, 4], np.int64),
        times_ns=np.array([0, 1, 2], np.int64),
        qualities=np.array([0.3, 0.4, 0.9], np.float32),
        clear=np.ones(3, bool),
        crops=("a.jpg", "b.jpg", "c.jpg"),
    )
    ids, descriptors = embeddings.descriptors()
    assert ids.tolist() == [3, 4]
    np.testing.assert_allclose(descriptors, np.array([[0.6, 0.8], [0, 1]]), atol=1e-6)


def test_poor_crops_count_in_means_and_not_in_descriptors_unless_there_are_no_others() -> None:
    embeddings = TrackEmbeddings(
        vectors=np.array([[1, 0], [0, 1], [0, 1]], np.float32),
        track_ids=np.array([3, 3, 4], np.int64),
        times_ns=np.array([0, 1, 2], np.int64),
        qualities=np.array([0.8**4, 0.6**4, 0.1], np.float32),
        clear=np.array([True, False, False]),
        crops=("a.jpg", "b.jpg", "c.jpg"),
    )
    np.testing.assert_allclose(embeddings.descriptors()[1], np.array([[1, 0], [0, 1]]), atol=1e-6)
    np.testing.assert_allclose(embeddings.means()[1], np.array([[0.8, 0.6], [0, 1]]), atol=1e-6)
    assert embeddings.only(3).clear.tolist() == [True, False]
