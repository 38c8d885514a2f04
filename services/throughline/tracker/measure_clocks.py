"""Measures how far clocks are off each other, where views overlap, from the tracks of people who were confirmed."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from throughline.domain.errors import CorruptArtifact, NotFound
from throughline.domain.shared_views import measure_offset
from throughline.domain.time import ClockMap, Instant
from throughline.domain.tracks import Track, TrackTable
from throughline.storage.object_store import go_on
from throughline.storage.tables import TRACKS_FILE, read_tracks
from throughline.storage.workspace import Workspace
from throughline.v1.common_pb2 import TrackRef
from throughline.v1.tracker_pb2 import ClockReading, MeasureClocksRequest
from throughline.wire.convert import artifact_from_proto, clock_map_from_proto

_log = logging.getLogger(__name__)


def measured_clocks(
    workspace: Workspace, request: MeasureClocksRequest, check: Callable[[], None] = go_on
) -> Iterator[ClockReading]:
    """What the clocks showed at one moment, for each overlap of which that is sure. `check` is called before each; what it raises
    ends the work."""
    clocks = dict(clock_map_from_proto(each.clock_map) for each in request.tracks)
    tables = _tables(workspace, request)
    people = [_in_utc(person.tracks, tables, clocks) for person in request.people]
    for cameras in request.overlaps:
        check()
        both = [
            (person[cameras.one], person[cameras.other])
            for person in people
            if {cameras.one, cameras.other} <= set(person)
        ]
        found = measure_offset(both)
        if found is not None:
            one, other = (clocks.get(camera, ClockMap()) for camera in (cameras.one, cameras.other))
            yield ClockReading(
                cameras=cameras,
                one_time_ns=one.to_camera(found.at).ns,
                other_time_ns=other.to_camera(found.at + found.offset_ns).ns,
                uncertainty_ns=found.uncertainty_ns,
                pairs=found.pairs,
            )


def _tables(workspace: Workspace, request: MeasureClocksRequest) -> dict[str, TrackTable]:
    """By key of the artifact the tracks that are asked for; without artifacts that are gone."""
    wanted: dict[str, set[int]] = defaultdict(set)
    for person in request.people:
        for track in person.tracks:
            wanted[track.tracks_key].add(track.track_id)
    tables = {}
    for each in request.tracks:
        try:
            path = workspace.get(artifact_from_proto(each.tracks).uri).path(TRACKS_FILE)
            tables[each.tracks.key] = read_tracks(path, track_ids=wanted[each.tracks.key])
        except (NotFound, CorruptArtifact) as error:
            _log.warning("tracks %s are passed over: %s", each.tracks.uri, error)
    return tables


def _in_utc(
    tracks: Sequence[TrackRef], tables: dict[str, TrackTable], clocks: dict[str, ClockMap]
) -> dict[str, list[Track]]:
    """A person's tracks by camera, their times by what is known of the clocks."""
    found: dict[str, list[Track]] = defaultdict(list)
    for each in tracks:
        table = tables.get(each.tracks_key)
        if table is not None and np.isin(each.track_id, table.ids):
            track = table.track(each.track_id)
            start = Instant(int(track.times_ns[0]))
            shift_ns = clocks.get(each.camera, ClockMap()).to_utc(start) - start
            found[each.camera].append(replace(track, times_ns=track.times_ns + shift_ns))
    return found
