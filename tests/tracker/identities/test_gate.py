"""The gate over many pairs forbids exactly what the topology calls impossible of one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.tracker.identities.people import Seen, tracks_of
from tests.tracker.identities.test_cluster import TOPOLOGY
from throughline.domain.time import Instant, Interval
from throughline.domain.topology import Sighting
from throughline.tracker.identities.gate import topology_gate
from throughline.tracker.identities.tracks import Tracks

spans = st.tuples(
    st.sampled_from("abcd"), st.integers(0, 300) | st.integers(0, 6), st.integers(0, 100) | st.integers(0, 4)
)


@given(st.lists(spans, min_size=2, max_size=8))
def test_it_agrees_with_the_topology_s_own_judgement(drawn: list[tuple[str, int, int]]) -> None:
    tracks = tracks_of(
        [Seen(camera, number, at / 10, (at + length) / 10, (1,)) for number, (camera, at, length) in enumerate(drawn)]
    )
    rows = np.arange(len(tracks))
    forbidden = topology_gate(TOPOLOGY, tracks)(tracks, rows, rows)
    for a in rows.tolist():
        for b in rows.tolist():
            one, other = _sighting(tracks, a), _sighting(tracks, b)
            impossible = one.camera != other.camera and TOPOLOGY.judge(one, other, 10**12).objection is not None
            assert forbidden[a, b] == impossible


def _sighting(tracks: Tracks, row: int) -> Sighting:
    span = Interval(Instant(int(tracks.starts_ns[row])), Instant(int(tracks.ends_ns[row])))
    return Sighting(tracks.cameras[row], span)
