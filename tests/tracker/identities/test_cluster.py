"""Whatever the tracks: no forbidden pair ever shares an identity, and the order in which they come doesn't matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.tracker.identities.people import Seen, tracks_of
from throughline.domain.errors import Cancelled, FailedPrecondition
from throughline.domain.work import Work
from throughline.tracker.identities.associate import Identities, associate
from throughline.tracker.identities.cluster import Edges, agglomerate
from throughline.tracker.identities.config import Associate
from throughline.tracker.identities.constraints import Constraints, Rules
from throughline.tracker.identities.gate import topology_gate
from throughline.tracker.identities.tracks import Tracks
from throughline.wire.topology_document import parse_topology

TOPOLOGY = parse_topology(
    "transits:\n  - {between: [a, b], least: 3}\n  - {from: b, to: c, least: 6}\noverlaps:\n  - [a, c]\n"
)
COSINE = Associate(min_sim=0.3, scale="cosine", neighbours=5)

seen = st.builds(
    Seen,
    video=st.sampled_from(["a", "b", "c"]),
    number=st.just(0),
    start=st.integers(0, 20).map(float),
    end=st.just(0.0),
    vector=st.tuples(*[st.integers(-2, 4).map(float)] * 3),
    kind=st.sampled_from(["person", "trolley"]),
)


@st.composite
def scenes(draw: st.DrawFn) -> list[Seen]:
    """Up to 14 tracks of three videos; integers make many of them exactly alike."""
    drawn = draw(st.lists(seen, max_size=14))
    lengths = draw(st.lists(st.integers(0, 8), min_size=len(drawn), max_size=len(drawn)))
    return [
        Seen(each.video, number, each.start, each.start + length, each.vector, each.kind)
        for number, (each, length) in enumerate(zip(drawn, lengths, strict=True))
    ]


def identified(tracks: Tracks, rules: Rules, chosen: Associate = COSINE) -> Identities:
    return associate(tracks, chosen, rules, None, Work())


def groups(tracks: Tracks, found: Identities) -> set[frozenset[tuple[str, int]]]:
    keys = tracks.keys
    return {
        frozenset(keys[row] for row in np.flatnonzero(found.clusters == each)) for each in set(found.clusters.tolist())
    }


@settings(max_examples=80)
@given(
    scene=scenes(), same_class=st.booleans(), same_video=st.booleans(), gated=st.booleans(), overlap=st.integers(0, 3)
)
def test_no_forbidden_pair_ever_shares_an_identity(
    scene: list[Seen], same_class: bool, same_video: bool, gated: bool, overlap: int
) -> None:
    tracks = tracks_of(scene)
    rules = Rules(same_class, same_video, overlap * 10**9, topology_gate(TOPOLOGY, tracks) if gated else None)
    found = identified(tracks, rules)
    constraints = Constraints(tracks, rules)
    for each in set(found.clusters.tolist()):
        rows = np.flatnonzero(found.clusters == each)
        forbidden = constraints.forbidden(rows, rows)
        np.fill_diagonal(forbidden, False)
        assert not forbidden.any()


@settings(max_examples=50)
@given(scene=scenes(), order=st.randoms(use_true_random=False))
def test_the_order_of_the_tracks_does_not_matter(scene: list[Seen], order: object) -> None:
    mixed = list(scene)
    order.shuffle(mixed)  # type: ignore[attr-defined]
    first, second = tracks_of(scene), tracks_of(mixed)
    assert first.keys == second.keys
    assert groups(first, identified(first, Rules())) == groups(second, identified(second, Rules()))


@settings(max_examples=50)
@given(scene=scenes())
def test_average_linkage_is_exact(scene: list[Seen]) -> None:
    """With all pairs as edges it does what the textbook does, written down naively."""
    tracks = tracks_of(scene)
    vectors = tracks.vectors
    n = len(vectors)
    a, b = np.triu_indices(n, 1)
    cosines = (vectors @ vectors.T)[a, b] if n else np.zeros(0, np.float32)
    edges = Edges(a.astype(np.int32), b.astype(np.int32), cosines.astype(np.float32))
    found = agglomerate(vectors, edges, 0.3, Constraints(tracks, Rules()).apart)
    assert _linkages(vectors, found, Constraints(tracks, Rules())) < 0.3 + 1e-5


def _linkages(vectors: NDArray[np.float32], clusters: NDArray[np.int64], constraints: Constraints) -> float:
    """The highest mean cosine that is left between two clusters that may be one."""
    rows = [np.flatnonzero(clusters == each) for each in sorted(set(clusters.tolist()))]
    left = [
        float((vectors[one] @ vectors[other].T).mean())
        for at, one in enumerate(rows)
        for other in rows[at + 1 :]
        if not constraints.apart(one, other)
    ]
    return max(left, default=-1.0)


def test_two_people_at_once_stay_two_however_alike() -> None:
    tracks = tracks_of([Seen("a", 1, 0, 10, (1, 0)), Seen("a", 2, 5, 15, (1, 0)), Seen("b", 1, 20, 30, (1, 0.1))])
    sizes = sorted(len(group) for group in groups(tracks, identified(tracks, Rules())))
    assert sizes == [1, 2]


def test_a_handover_within_a_video_is_no_overlap() -> None:
    tracks = tracks_of([Seen("a", 1, 0, 10, (1, 0)), Seen("a", 2, 9.8, 15, (1, 0))])
    assert len(groups(tracks, identified(tracks, Rules()))) == 1
    assert len(groups(tracks, identified(tracks, Rules(allow_merge_same_video=False)))) == 2
    assert len(groups(tracks, identified(tracks, Rules(most_overlap_ns=0)))) == 2


def test_nobody_is_faster_than_the_topology_says() -> None:
    near = [Seen("a", 1, 0, 10, (1, 0)), Seen("b", 1, 11, 15, (1, 0))]
    later = [near[0], Seen("b", 1, 14, 18, (1, 0))]
    for scene, count in ((near, 2), (later, 1)):
        tracks = tracks_of(scene)
        assert len(groups(tracks, identified(tracks, Rules(gate=topology_gate(TOPOLOGY, tracks))))) == count
    untimed = tracks_of(near, timed=False)
    assert len(groups(untimed, identified(untimed, Rules(gate=topology_gate(TOPOLOGY, untimed))))) == 1


def test_classes_are_kept_apart_unless_told_otherwise() -> None:
    tracks = tracks_of([Seen("a", 1, 0, 1, (1, 0)), Seen("b", 1, 5, 6, (1, 0), "trolley")])
    assert len(groups(tracks, identified(tracks, Rules()))) == 2
    assert len(groups(tracks, identified(tracks, Rules(same_class_only=False)))) == 1


def test_tracks_without_crops_are_identities_of_their_own() -> None:
    tracks = tracks_of([Seen("a", 1, 0, 1, (0, 0)), Seen("b", 1, 5, 6, (0, 0)), Seen("c", 1, 8, 9, (1, 0))])
    found = identified(tracks, Rules())
    assert len(groups(tracks, found)) == 3
    assert np.isnan(found.likeness).all()


def test_nothing_at_all_is_identified_as_nobody() -> None:
    found = identified(tracks_of([]), Rules())
    assert len(found.clusters) == 0
    assert np.isnan(found.known_different)


def test_a_calibrated_threshold_needs_a_calibration() -> None:
    with pytest.raises(FailedPrecondition, match="calibrate"):
        identified(tracks_of([]), Rules(), Associate(scale="calibrated"))


def test_what_all_tracks_of_a_camera_share_is_taken_out() -> None:
    generator = np.random.default_rng(0)
    people = generator.normal(size=(60, 32))
    scene = [
        Seen(video, number, number * 10.0, number * 10.0 + 5, tuple(people[number % 60] + shift))
        for video, shift in (("a", generator.normal(size=32) * 3), ("b", generator.normal(size=32) * 3))
        for number in range(120)
    ]
    tracks = tracks_of(scene)
    found = identified(tracks, Rules(), Associate(min_sim=0.6, scale="cosine"))
    assert found.shift_removed
    assert len(groups(tracks, found)) == 60
    plain = identified(tracks, Rules(), Associate(min_sim=0.6, scale="cosine", remove_camera_shift=False))
    assert len(groups(tracks, plain)) != 60


def test_work_is_stopped_while_nothing_may_be_merged() -> None:
    vectors = np.ones((100, 1), np.float32)
    a, b = np.triu_indices(100, 1)
    looked_at = 0

    def refused(_: object, __: object) -> bool:
        nonlocal looked_at
        looked_at += 1
        return True

    def stop() -> None:
        if looked_at:
            raise Cancelled

    edges = Edges(a.astype(np.int32), b.astype(np.int32), np.ones(len(a), np.float32))
    with pytest.raises(Cancelled):
        agglomerate(vectors, edges, 0.5, refused, stop)
    assert looked_at < len(a)


def test_work_that_is_cancelled_ends() -> None:
    work = Work()
    work.cancel()
    tracks = tracks_of([Seen("a", number, number, number, (1, number)) for number in range(30)])
    with pytest.raises(Cancelled):
        associate(tracks, COSINE, Rules(), None, work)
