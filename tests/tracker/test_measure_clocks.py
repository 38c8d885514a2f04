"""The tracker measures clocks from the tracks of people who were confirmed, by what is known of the clocks already."""

from __future__ import annotations

import numpy as np
import pytest

from tests.domain.test_shared_views import people
from throughline.domain.time import ClockMap
from throughline.domain.tracks import Track, TrackTable
from throughline.storage.tables import TRACKS_FILE, write_tracks
from throughline.storage.workspace import Artifact, Workspace
from throughline.tracker.measure_clocks import measured_clocks
from throughline.v1.common_pb2 import TrackRef
from throughline.v1.tracker_pb2 import CameraPair, CameraTracks, ConfirmedPerson, MeasureClocksRequest
from throughline.wire.convert import artifact_to_proto, clock_map_to_proto

SECOND = 10**9
COUNT = 8


def published(workspace: Workspace, camera: str, tracks: list[Track]) -> Artifact:
    ids = np.concatenate([np.full(len(track.times_ns), number) for number, track in enumerate(tracks, start=1)])
    columns = (np.concatenate([getattr(track, name) for track in tracks]) for name in ("times_ns", "boxes", "scores"))
    with workspace.create(f"tracks/{camera}") as place:
        write_tracks(place / TRACKS_FILE, TrackTable(ids, *columns))
    return workspace.get(f"tracks/{camera}")


def asked(workspace: Workspace, known: ClockMap) -> MeasureClocksRequest:
    """People who were before cam1 and cam2, whose clock is 3.7 s ahead, of which `known` tells."""
    pairs = people(COUNT, 3.7)
    artifacts = {
        "cam1": published(workspace, "cam1", [one for (one,), _ in pairs]),
        "cam2": published(workspace, "cam2", [other for _, (other,) in pairs]),
    }
    return MeasureClocksRequest(
        tracks=[
            CameraTracks(
                camera=camera,
                tracks=artifact_to_proto(artifact),
                clock_map=clock_map_to_proto(camera, known if camera == "cam2" else ClockMap()),
            )
            for camera, artifact in artifacts.items()
        ],
        people=[
            ConfirmedPerson(
                tracks=[
                    TrackRef(camera=camera, track_id=number, tracks_key=artifact.key)
                    for camera, artifact in artifacts.items()
                ]
            )
            for number in range(1, COUNT + 1)
        ],
        overlaps=[CameraPair(one="cam1", other="cam2"), CameraPair(one="cam1", other="cam3")],
    )


@pytest.mark.parametrize(
    "known", [ClockMap(), ClockMap(offset_ns=-2 * SECOND), ClockMap(offset_ns=SECOND, drift_ppb=20)]
)
def test_the_own_times_of_two_clocks_are_told_whatever_is_known_of_them(workspace: Workspace, known: ClockMap) -> None:
    (reading,) = measured_clocks(workspace, asked(workspace, known))
    assert reading.cameras == CameraPair(one="cam1", other="cam2")
    assert (reading.other_time_ns - reading.one_time_ns) / SECOND == pytest.approx(3.7, abs=0.1)
    assert reading.pairs == COUNT
    assert 0 < reading.uncertainty_ns < SECOND // 4


def test_tracks_that_are_gone_are_passed_over(workspace: Workspace) -> None:
    request = asked(workspace, ClockMap())
    request.tracks[1].tracks.uri = f"{workspace.uri}tracks/gone/"
    assert list(measured_clocks(workspace, request)) == []
