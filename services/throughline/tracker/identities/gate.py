"""What a topology forbids, over many pairs of tracks at once."""

from __future__ import annotations

import numpy as np

from throughline.domain.topology import HANDOVER_NS, Topology
from throughline.tracker.identities.constraints import Gate, Matrix, Rows
from throughline.tracker.identities.tracks import Tracks


def topology_gate(topology: Topology, tracks: Tracks) -> Gate:
    """Forbids what `Topology.judge` calls impossible, of clocks that are exact. Videos whose times are not UTC are left alone."""
    cameras = sorted({video.camera for video in tracks.videos})
    place_of = {camera: place for place, camera in enumerate(cameras)}
    count = len(cameras)
    apart = np.zeros((count, count), bool)
    least_ns = np.zeros((count, count), np.int64)
    for start in cameras:
        for end in cameras:
            if start == end:
                continue
            at = place_of[start], place_of[end]
            apart[at] = topology.overlapping(start, end) is False
            transit = topology.transit(start, end)
            least_ns[at] = 0 if transit is None else transit.least_ns
    camera = np.array([place_of[video.camera] for video in tracks.videos], np.int64)
    timed = np.array([video.is_timed for video in tracks.videos], bool)

    def forbidden(among: Tracks, a: Rows, b: Rows) -> Matrix:
        one, other = camera[among.video[a]][:, None], camera[among.video[b]][None]
        starts = among.starts_ns[a][:, None], among.starts_ns[b][None]
        ends = among.ends_ns[a][:, None], among.ends_ns[b][None]
        shared = np.minimum(*ends) - np.maximum(*starts)
        at_once = apart[one, other] & (shared > HANDOVER_NS)
        way = np.where(starts[0] <= starts[1], least_ns[one, other], least_ns[other, one])
        too_soon = (shared <= 0) & (HANDOVER_NS - shared < way)
        known = timed[among.video[a]][:, None] & timed[among.video[b]][None] & (one != other)
        return np.asarray(known & (at_once | too_soon))

    return forbidden
