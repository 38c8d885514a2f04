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
        gap = np.maximum(*starts) - np.minimum(*ends)
        is_apart = apart[one, other]
        at_once = is_apart & (gap < -HANDOVER_NS)
        comes_first = (starts[0] < starts[1]) | ((starts[0] == starts[1]) & (ends[0] <= ends[1]))
        there, away = least_ns[one, other], least_ns[other, one]
        forth, back = np.where(comes_first, there, away), np.where(comes_first, away, there)
        back_gap = np.minimum(*starts) - np.where(comes_first, ends[1], ends[0])
        not_back = (back_gap < -HANDOVER_NS) | (back_gap + HANDOVER_NS < back)
        too_soon = ((gap >= 0) | is_apart) & (gap + HANDOVER_NS < forth) & not_back
        known = timed[among.video[a]][:, None] & timed[among.video[b]][None] & (one != other)
        return np.asarray(known & (at_once | too_soon))

    return forbidden
