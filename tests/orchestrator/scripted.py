"""Stage services, tier and alert that follow a script: they keep the contracts, count what they do, wait and fail when told to."""

# ruff: noqa: N802 - the methods have the names of the contracts

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

import grpc

from throughline.domain.errors import Cancelled, NotServed, ThroughlineError
from throughline.v1 import (
    alert_pb2,
    alert_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    renderer_pb2,
    renderer_pb2_grpc,
    tier_pb2,
    tier_pb2_grpc,
    tracker_pb2,
    tracker_pb2_grpc,
)
from throughline.v1 import common_pb2 as common
from throughline.wire.service import RunningServer, Service, serve
from throughline.wire.settings import ServiceSettings

SECOND = 10**9
CAMERAS = ("cam1", "cam2", "cam3")


class Script:
    """What the services shall do, and what they did. Everything by method, such as `Track`, and subject, such as a camera."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.reset()

    def reset(self) -> None:
        self.cameras: tuple[str, ...] = CAMERAS
        self.empty_cameras: set[str] = set()
        self.spans: dict[str, common.Interval] = {}
        """Camera time that reels cover, where it matters."""
        self.candidates = 3
        self.later: tuple[int, ...] = ()
        """New candidates of the second round and those after it; none in rounds beyond. Whoever was not asked about comes again."""
        self.scouted: list[tracker_pb2.Candidate] = []
        """Whom the first pass of a fast search finds."""
        self.readings: list[tracker_pb2.ClockReading] = []
        """What the clocks of overlapping views are said to have shown."""
        self.models = "a" * 64
        """Digest of the models that jobs are pinned to."""
        self.calibrated_by = ""
        """What rankings say that they were calibrated by."""
        self.unrenderable: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        """(method, subject) of every request."""
        self.done: Counter[tuple[str, str]] = Counter()
        """How often each piece of work was really finished."""
        self.stopped: list[str] = []
        """Methods whose call was cancelled while it waited."""
        self.effects: Counter[str] = Counter()
        """Requests of tier and alert by request_id."""
        self.contents: dict[str, set[bytes]] = {}
        """Their contents by request_id."""
        self.reviews: list[tier_pb2.ReviewPairsRequest] = []
        self.alerts: list[alert_pb2.TimelineReadyRequest] = []
        self.films: list[renderer_pb2.RenderTimelineRequest] = []
        self.messages: list[object] = []
        """Other requests as they came."""
        self.held: set[str] = set()
        """Methods that wait."""
        self.tokens: dict[str, list[str]] = {}
        """Tokens by method."""
        self.failures: dict[str, list[ThroughlineError | grpc.StatusCode]] = {}
        """What the next calls of a method (or of method/subject) raise; a bare status is what a server that is not ours ends them with."""

    def hold(self, *methods: str) -> None:
        with self.changed:
            self.held.update(methods)

    def release(self, *methods: str) -> None:
        with self.changed:
            self.held.difference_update(methods or set(self.held))
            self.changed.notify_all()

    def fail(self, method: str, *errors: ThroughlineError | grpc.StatusCode) -> None:
        self.failures[method] = list(errors)

    def count(self, method: str) -> int:
        with self.changed:
            return sum(name == method for name, _ in self.requests)

    def await_request(self, method: str, times: int = 1, seconds: float = 20.0) -> None:
        with self.changed:
            arrived = self.changed.wait_for(
                lambda: sum(name == method for name, _ in self.requests) >= times, timeout=seconds
            )
        assert arrived, f"{method} was requested {self.count(method)} times, not {times}: {self.requests}"

    def arrive(self, method: str, subject: str, message: object, context: grpc.ServicerContext) -> None:
        """Note a request, wait while the method is held, fail if that is its turn."""
        with self.changed:
            self.requests.append((method, subject))
            self.messages.append(message)
            header = dict(context.invocation_metadata()).get("authorization", "")
            self.tokens.setdefault(method, []).append(str(header).removeprefix("Bearer "))
            self.changed.notify_all()
            while method in self.held:
                self.changed.wait(0.02)
                if not context.is_active():
                    self.stopped.append(method)
                    self.changed.notify_all()
                    raise Cancelled("the caller is gone")
        for key in (method, f"{method}/{subject}"):
            if self.failures.get(key):
                failure = self.failures[key].pop(0)
                if isinstance(failure, grpc.StatusCode):
                    context.abort(failure, "too many calls")
                raise failure

    def finish(self, method: str, subject: str) -> bool:
        """Do the work unless it was done; return whether it was."""
        with self.changed:
            reused = self.done[method, subject] > 0
            self.done[method, subject] += not reused
            return reused

    def rankings(self, number: int) -> list[tracker_pb2.RankCandidatesRequest]:
        """What was asked for a round's ranking."""
        asked = [each for each in self.messages if isinstance(each, tracker_pb2.RankCandidatesRequest)]
        return [each for each in asked if each.round == number]

    def receive(self, request_id: str, content: bytes) -> None:
        with self.changed:
            self.effects[request_id] += 1
            self.contents.setdefault(request_id, set()).add(content)
            self.changed.notify_all()


def artifact(folder: str, key: str) -> common.ArtifactRef:
    return common.ArtifactRef(uri=f"file:///workspace/{folder}/{key}/", key=key)


def track(camera: str, number: int, start: int = 0) -> common.TrackRef:
    span = common.Interval(start_ns=start * SECOND, end_ns=(start + 5) * SECOND)
    return common.TrackRef(camera=camera, track_id=number, span=span, tracks_key=f"tracks-{camera}")


def scouted(*tracks: common.TrackRef) -> list[tracker_pb2.Candidate]:
    """What the first pass of a fast search finds."""
    return [tracker_pb2.Candidate(pair_id=f"scouted{at}", track=each) for at, each in enumerate(tracks)]


class Ingest(ingest_pb2_grpc.IngestServicer):
    def __init__(self, script: Script) -> None:
        self.script = script

    def ListFootage(self, request, context):  # type: ignore[no-untyped-def]
        self.script.arrive("ListFootage", "", request, context)
        self.script.finish("ListFootage", request.job_id)
        wanted = set(request.cameras or self.script.cameras)
        return ingest_pb2.ListFootageResponse(
            footage=artifact("footage", request.job_id),
            cameras=[ingest_pb2.CameraFootage(camera=camera) for camera in self.script.cameras if camera in wanted],
        )

    def Collate(self, request, context) -> Iterator[ingest_pb2.CollateResponse]:  # type: ignore[no-untyped-def]
        yield ingest_pb2.CollateResponse(progress=common.Progress(done=1, total=4, unit="chunks"))
        self.script.arrive("Collate", request.camera, request, context)
        reused = self.script.finish("Collate", f"{request.footage.key}/{request.camera}")
        empty = request.camera in self.script.empty_cameras
        result = ingest_pb2.CollateResult(part_count=int(not empty), reused=reused)
        if not empty:
            result.reel.CopyFrom(artifact("reels", f"reel-{request.camera}"))
        if request.camera in self.script.spans:
            result.camera_span.CopyFrom(self.script.spans[request.camera])
        yield ingest_pb2.CollateResponse(progress=common.Progress(done=4, total=4, unit="chunks"))
        yield ingest_pb2.CollateResponse(result=result)


class Tracker(tracker_pb2_grpc.TrackerServicer):
    def __init__(self, script: Script) -> None:
        self.script = script

    def PinModels(self, request, context):  # type: ignore[no-untyped-def]
        self.script.arrive("PinModels", "", request, context)
        models = [common.ModelPin(name=name, digest=self.script.models) for name in ("detector", "reid")]
        return tracker_pb2.PinModelsResponse(models=models)

    def Track(self, request, context) -> Iterator[tracker_pb2.TrackResponse]:  # type: ignore[no-untyped-def]
        yield tracker_pb2.TrackResponse(progress=common.Progress(done=10, total=100, unit="frames"))
        self.script.arrive("Track", request.camera, request, context)
        closer = "-closer" if request.spans else ""
        reused = self.script.finish("Track", f"{request.job_id}/{request.camera}{closer}")
        tracks = artifact("tracks", f"tracks-{request.camera}{closer}")
        yield tracker_pb2.TrackResponse(result=tracker_pb2.TrackResult(tracks=tracks, track_count=4, reused=reused))

    def LocateQuery(self, request, context):  # type: ignore[no-untyped-def]
        self.script.arrive("LocateQuery", "", request, context)
        self.script.finish("LocateQuery", request.job_id)
        camera = request.camera_tracks.camera
        return tracker_pb2.LocateQueryResponse(
            query=artifact("query", request.job_id), tracks=[track(camera, 1, 100)], iou=0.8
        )

    def RankCandidates(self, request, context):  # type: ignore[no-untyped-def]
        number = request.round
        self.script.arrive("RankCandidates", "scouts" if request.scouts else str(number), request, context)
        if request.scouts:
            self.script.finish("RankCandidates", f"{request.job_id}/scouts")
            return tracker_pb2.RankCandidatesResponse(candidates=self.script.scouted, compared=9)
        self.script.finish("RankCandidates", f"{request.job_id}/{number}")
        cameras = [camera.camera for camera in request.cameras]
        asked = {(track.camera, track.track_id) for track in request.asked}
        counts = enumerate((self.script.candidates, *self.script.later)[:number], start=1)
        candidates = [
            tracker_pb2.Candidate(
                pair_id=f"pair{index}" if appeared == 1 else f"round{appeared}-pair{index}",
                track=track(cameras[index % len(cameras)], 10 * appeared + index, 90 + 20 * index),
                similarity=0.9 - 0.01 * index,
                cosine=0.8 - 0.01 * index,
                query_crop_uri="file:///workspace/q.jpg",
                candidate_crop_uri=f"file:///workspace/{index}.jpg",
            )
            for appeared, count in counts
            for index in range(count)
            if (cameras[index % len(cameras)], 10 * appeared + index) not in asked
        ]
        return tracker_pb2.RankCandidatesResponse(
            candidates=candidates, compared=9, calibrated_by=self.script.calibrated_by
        )

    def MeasureClocks(self, request, context):  # type: ignore[no-untyped-def]
        self.script.arrive("MeasureClocks", "", request, context)
        return tracker_pb2.MeasureClocksResponse(readings=self.script.readings)

    def IdentifyGlobally(self, request, context):  # type: ignore[no-untyped-def]
        raise NotServed("no workflow asks for it")


class Renderer(renderer_pb2_grpc.RendererServicer):
    def __init__(self, script: Script) -> None:
        self.script = script

    def RenderPairs(self, request, context) -> Iterator[renderer_pb2.RenderPairsResponse]:  # type: ignore[no-untyped-def]
        for number, pair in enumerate(request.pairs):
            if number == len(request.pairs) - 1:  # the first ones are rendered before it waits
                self.script.arrive("RenderPairs", str(len(request.pairs)), request, context)
            if pair.pair_id in self.script.unrenderable:
                incident = common.Incident(
                    code="pair_failed", subject=pair.pair_id, message="no frame of it is readable"
                )
                yield renderer_pb2.RenderPairsResponse(incident=incident)
                continue
            reused = self.script.finish("RenderPairs", f"{request.job_id}/{pair.pair_id}")
            clip = renderer_pb2.PairClip(
                pair_id=pair.pair_id, clip_uri=f"file:///workspace/{pair.pair_id}/clip.mp4", reused=reused
            )
            yield renderer_pb2.RenderPairsResponse(clip=clip)

    def RenderTimeline(self, request, context) -> Iterator[renderer_pb2.RenderTimelineResponse]:  # type: ignore[no-untyped-def]
        self.script.arrive("RenderTimeline", str(request.revision), request, context)
        reused = self.script.finish("RenderTimeline", f"{request.job_id}/{request.revision}")
        self.script.films.append(request)
        folder = f"file:///workspace/jobs/{request.job_id}/timelines/{request.revision}"
        result = renderer_pb2.RenderTimelineResult(
            film_uri=f"{folder}/film.mp4",
            timeline_json_uri=f"{folder}/timeline.json",
            contact_sheet_uri=f"{folder}/contact-sheet.jpg",
            duration_ns=len(request.tracks) * 5 * SECOND,
            reused=reused,
        )
        yield renderer_pb2.RenderTimelineResponse(result=result)


class Tier(tier_pb2_grpc.TierServicer):
    def __init__(self, script: Script) -> None:
        self.script = script

    def ReviewPairs(self, request, context):  # type: ignore[no-untyped-def]
        self.script.arrive("ReviewPairs", str(request.reminder), request, context)
        self.script.reviews.append(request)
        self.script.receive(request.request_id, request.SerializeToString(deterministic=True))
        return tier_pb2.ReviewPairsResponse(accepted=len(request.pairs))


class Alert(alert_pb2_grpc.AlertServicer):
    def __init__(self, script: Script) -> None:
        self.script = script

    def TimelineReady(self, request, context):  # type: ignore[no-untyped-def]
        self.script.arrive("TimelineReady", "", request, context)
        self.script.alerts.append(request)
        self.script.receive(request.request_id, request.SerializeToString(deterministic=True))
        return alert_pb2.TimelineReadyResponse()


def serve_script(script: Script) -> RunningServer:
    """All scripted services on one free port of loopback."""
    services = [
        Service(
            "ingest", ("throughline.v1.Ingest",), partial(ingest_pb2_grpc.add_IngestServicer_to_server, Ingest(script))
        ),
        Service(
            "tracker",
            ("throughline.v1.Tracker",),
            partial(tracker_pb2_grpc.add_TrackerServicer_to_server, Tracker(script)),
        ),
        Service(
            "renderer",
            ("throughline.v1.Renderer",),
            partial(renderer_pb2_grpc.add_RendererServicer_to_server, Renderer(script)),
        ),
        Service("tier", ("throughline.v1.Tier",), partial(tier_pb2_grpc.add_TierServicer_to_server, Tier(script))),
        Service("alert", ("throughline.v1.Alert",), partial(alert_pb2_grpc.add_AlertServicer_to_server, Alert(script))),
    ]
    return serve(services, ServiceSettings(listen="127.0.0.1:0"))


def wait_until(condition, seconds: float = 20.0, what: str = "") -> None:  # type: ignore[no-untyped-def]
    """Wait for a condition that nobody signals."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what or "the condition never came true"
        time.sleep(0.02)
