from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.renderer.footage import Camera, Seen, build, track_id
from throughline.domain.errors import InvalidInput, LimitExceeded, ThroughlineError
from throughline.domain.time import ClockMap
from throughline.renderer.__main__ import build as build_renderer
from throughline.renderer.settings import RendererSettings
from throughline.renderer.sources import CameraRefs
from throughline.storage.objects import file_uri
from throughline.v1 import renderer_pb2, tracker_pb2
from throughline.v1.common_pb2 import ArtifactRef, TrackRef
from throughline.v1.renderer_pb2_grpc import RendererStub
from throughline.wire.client import connect, translated_errors
from throughline.wire.convert import clock_map_to_proto
from throughline.wire.service import serve

CAMERAS = [Camera("a", 1, [Seen(1, 0, 10), Seen(2, 40, 50)]), Camera("b", 2, [Seen(1, 5, 20)], clock=ClockMap(7))]


@contextmanager
def serving(root: Path) -> Iterator[RendererStub]:
    settings = RendererSettings(workspace_uri=file_uri(root), allowed_roots=(root,), cache_dir=root / "cache")
    server = serve([build_renderer(settings)], settings)
    channel = connect(server.address, settings)
    try:
        yield RendererStub(channel)
    finally:
        channel.close()
        server.stop()


def camera_message(refs: CameraRefs) -> tracker_pb2.CameraTracks:
    tracks, reel = (ArtifactRef(uri=uri, key=uri.rstrip("/")[-32:]) for uri in (refs.tracks_uri, refs.reel_uri))
    return tracker_pb2.CameraTracks(
        camera=refs.camera, tracks=tracks, reel=reel, clock_map=clock_map_to_proto(refs.camera, refs.clock)
    )


def track(refs: CameraRefs, number: int) -> TrackRef:
    return TrackRef(camera=refs.camera, track_id=number, tracks_key=track_id(refs, number).tracks_key)


def pairs_request(refs: tuple[CameraRefs, ...]) -> renderer_pb2.RenderPairsRequest:
    return renderer_pb2.RenderPairsRequest(
        job_id="job",
        query_tracks=[track(refs[0], 1)],
        cameras=[camera_message(each) for each in refs],
        pairs=[
            renderer_pb2.PairToRender(pair_id="one", candidate=track(refs[1], 1)),
            renderer_pb2.PairToRender(pair_id="two", candidate=track(refs[0], 77)),
        ],
    )


def timeline_request(refs: tuple[CameraRefs, ...]) -> renderer_pb2.RenderTimelineRequest:
    return renderer_pb2.RenderTimelineRequest(
        job_id="job",
        revision=1,
        tracks=[track(refs[0], 1), track(refs[1], 1), track(refs[0], 2)],
        cameras=[camera_message(each) for each in refs],
    )


def test_clips_and_film_are_served(tmp_path: Path) -> None:
    workspace, refs = build(tmp_path, CAMERAS)
    with serving(tmp_path) as renderer, translated_errors("renderer"):
        events = list(renderer.RenderPairs(pairs_request(refs)))
        (clip,) = [event.clip for event in events if event.HasField("clip")]
        (incident,) = [event.incident for event in events if event.HasField("incident")]
        *_, film = renderer.RenderTimeline(timeline_request(refs))

    assert (clip.pair_id, clip.reused) == ("one", False)
    assert clip.clip_uri == workspace.get(clip.artifact.uri).uri_of("clip.mp4")
    assert incident.subject == "two"
    assert events[-1].HasField("progress") or events[-1].HasField("clip")
    assert film.result.duration_ns > 0
    names = {
        uri.rpartition("/")[2]
        for uri in (film.result.film_uri, film.result.timeline_json_uri, film.result.contact_sheet_uri)
    }
    beside = {"film.vtt", "boxes.json", "cover.jpg"}
    assert names | beside == set(workspace.get("jobs/job/timelines/1").names())


Change = Callable[[renderer_pb2.RenderTimelineRequest], object]
MISTAKES: dict[str, tuple[Change, type[ThroughlineError], str]] = {
    "redaction": (lambda r: setattr(r, "redaction", 9), InvalidInput, "redaction 9 is unknown"),
    "revision": (lambda r: setattr(r, "revision", 0), InvalidInput, "from 1"),
    "max_tiles": (lambda r: setattr(r, "max_tiles", 17), InvalidInput, "1 to 16"),
    "film": (lambda r: setattr(r.film, "max_height", 181), InvalidInput, "film.max_height: is 181"),
    "tracks": (lambda r: r.ClearField("tracks"), InvalidInput, "tracks is empty"),
    "too many": (lambda r: r.tracks.extend([r.tracks[0]] * 10_000), LimitExceeded, "at most 10000"),
    "job_id": (lambda r: setattr(r, "job_id", "../../etc"), InvalidInput, "job_id is '../../etc'"),
    "cameras": (lambda r: r.ClearField("cameras"), ThroughlineError, "the request's cameras are"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_by_its_field(name: str, tmp_path: Path) -> None:
    change, error, words = MISTAKES[name]
    _, refs = build(tmp_path, CAMERAS[1:])
    request = timeline_request((refs[0], refs[0]))
    change(request)
    with serving(tmp_path) as renderer, pytest.raises(error, match=words), translated_errors("renderer"):
        list(renderer.RenderTimeline(request))


def test_a_renderer_without_a_workspace_does_not_start() -> None:
    with pytest.raises(InvalidInput, match="THROUGHLINE_WORKSPACE_URI"):
        build_renderer(RendererSettings(workspace_uri=""))
