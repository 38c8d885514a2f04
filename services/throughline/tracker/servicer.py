"""The Tracker service over the wire."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from throughline.domain.errors import InvalidInput
from throughline.domain.transits import LearnedTransit
from throughline.domain.work import Step
from throughline.perception.triton.client import InferenceClient
from throughline.storage.workspace import Artifact, Workspace
from throughline.tracker.artifacts import CameraTracks, read_summary
from throughline.tracker.identities.config import Associate
from throughline.tracker.identities.stage import IdentifyStage, identity_rules
from throughline.tracker.locate import LocatedQuery, LocateStage, read_located
from throughline.tracker.measure_clocks import measured_clocks
from throughline.tracker.pins import pinned_digests
from throughline.tracker.rank import Ranking, RankRules, Scale
from throughline.tracker.rank_stage import SCOUTS, RankStage
from throughline.tracker.space import Known
from throughline.tracker.track import TrackedReel, TrackStage, Where
from throughline.v1 import common_pb2, tracker_pb2
from throughline.v1.tracker_pb2_grpc import TrackerServicer
from throughline.wire.convert import (
    artifact_from_proto,
    artifact_to_proto,
    candidate_to_proto,
    clock_map_from_proto,
    correction_from_proto,
    incident_to_proto,
    interval_from_proto,
    optional_interval,
    step_to_proto,
    track_from_proto,
    track_to_proto,
)
from throughline.wire.streaming import stream, work_for

DEFAULT_RATE = 10.0
DEFAULT_MIN_IOU = 0.3
DEFAULT_SIMILARITY = 0.5


class Tracker(TrackerServicer):
    """Tracks, locates and ranks."""

    def __init__(
        self,
        workspace: Workspace,
        client: InferenceClient,
        track: TrackStage,
        locate: LocateStage,
        rank: RankStage,
        identify: IdentifyStage,
    ) -> None:
        self._workspace = workspace
        self._client = client
        self._track = track
        self._locate = locate
        self._rank = rank
        self._identify = identify

    def PinModels(
        self, request: tracker_pb2.PinModelsRequest, context: grpc.ServicerContext
    ) -> tracker_pb2.PinModelsResponse:
        if not request.job_id:
            raise InvalidInput("job_id: is empty; name the job to pin")
        digests = pinned_digests(self._workspace, self._client, request.job_id, context.time_remaining())
        models = [common_pb2.ModelPin(name=name, digest=digest) for name, digest in digests.items()]
        return tracker_pb2.PinModelsResponse(models=models)

    def Track(
        self, request: tracker_pb2.TrackRequest, context: grpc.ServicerContext
    ) -> Iterator[tracker_pb2.TrackResponse]:
        reel, rate = artifact_from_proto(request.reel), request.analysis_rate or DEFAULT_RATE
        spans = tuple(interval_from_proto(span) for span in request.spans)
        where = Where(optional_interval(request, "camera_window"), spans)
        for event in stream(
            context, lambda work: self._track.run(reel.uri, request.camera, rate, where, work, request.job_id)
        ):
            if isinstance(event, Step):
                progress = step_to_proto(event, common_pb2.STAGE_TRACK, request.camera)
                yield tracker_pb2.TrackResponse(progress=progress)
            else:
                yield tracker_pb2.TrackResponse(result=_tracked(event))

    def LocateQuery(
        self, request: tracker_pb2.LocateQueryRequest, context: grpc.ServicerContext
    ) -> tracker_pb2.LocateQueryResponse:
        min_iou = request.min_iou if request.HasField("min_iou") else DEFAULT_MIN_IOU
        tracks = self._camera_tracks(request.camera_tracks)
        reel = artifact_from_proto(request.camera_tracks.reel)
        return _located(*self._locate.run(request.job_id, request.query_json, tracks, reel.uri, min_iou))

    def RankCandidates(
        self, request: tracker_pb2.RankCandidatesRequest, context: grpc.ServicerContext
    ) -> tracker_pb2.RankCandidatesResponse:
        query = read_located(self._workspace.get(artifact_from_proto(request.query).uri))
        cameras = [self._camera_tracks(each) for each in request.cameras]
        job_round = (request.job_id, SCOUTS if request.scouts else request.round or 1)
        return _ranked(*self._rank.run(job_round, query, cameras, _rules(request), _known(request)))

    def MeasureClocks(
        self, request: tracker_pb2.MeasureClocksRequest, context: grpc.ServicerContext
    ) -> tracker_pb2.MeasureClocksResponse:
        readings = measured_clocks(self._workspace, request, work_for(context).check)
        return tracker_pb2.MeasureClocksResponse(readings=readings)

    def IdentifyGlobally(
        self, request: tracker_pb2.IdentifyGloballyRequest, context: grpc.ServicerContext
    ) -> Iterator[tracker_pb2.IdentifyGloballyResponse]:
        cameras = [self._camera_tracks(each) for each in request.cameras]
        rules = _identity_rules(request)
        for event in stream(context, lambda work: self._identify.run(request.request_id, cameras, rules, work)):
            if isinstance(event, Step):
                progress = step_to_proto(event, common_pb2.STAGE_IDENTIFY)
                yield tracker_pb2.IdentifyGloballyResponse(progress=progress)
            else:
                yield tracker_pb2.IdentifyGloballyResponse(identities=artifact_to_proto(event))

    def _camera_tracks(self, message: tracker_pb2.CameraTracks) -> CameraTracks:
        artifact = self._workspace.get(artifact_from_proto(message.tracks).uri)
        summary = read_summary(artifact)
        if summary.camera != message.camera:
            raise InvalidInput(f"tracks {artifact.uri} are of camera {summary.camera}, not {message.camera}")
        return CameraTracks(artifact, summary, clock_map_from_proto(message.clock_map)[1])


def _tracked(tracked: TrackedReel) -> tracker_pb2.TrackResult:
    summary = tracked.summary
    return tracker_pb2.TrackResult(
        tracks=artifact_to_proto(tracked.artifact),
        track_count=summary.track_count,
        box_count=summary.box_count,
        frame_count=summary.frame_count,
        incidents=[incident_to_proto(incident, common_pb2.STAGE_TRACK) for incident in summary.incidents],
        reused=tracked.reused,
    )


def _located(artifact: Artifact, located: LocatedQuery) -> tracker_pb2.LocateQueryResponse:
    return tracker_pb2.LocateQueryResponse(
        query=artifact_to_proto(artifact),
        tracks=[track_to_proto(track) for track in located.tracks],
        iou=located.iou,
        incidents=[incident_to_proto(incident, common_pb2.STAGE_LOCATE) for incident in located.incidents],
    )


def _rules(request: tracker_pb2.RankCandidatesRequest) -> RankRules:
    defaults = RankRules()
    cosine = request.threshold_scale == common_pb2.SIMILARITY_SCALE_COSINE
    return RankRules(
        request.similarity_threshold if request.HasField("similarity_threshold") else defaults.threshold,
        Scale.COSINE if cosine else Scale.CALIBRATED,
        request.max_candidates or defaults.max_candidates,
        request.rerank,
    )


def _known(request: tracker_pb2.RankCandidatesRequest) -> Known:
    learned = (
        LearnedTransit(each.from_camera, each.to_camera, each.median_ns, each.spread, each.pairs)
        for each in request.learned_transits
    )
    return Known(
        tuple(track_from_proto(track) for track in request.confirmed),
        tuple(track_from_proto(track).track for track in request.asked),
        request.topology_yaml,
        tuple(sorted(learned)),
        correction_from_proto(request.correction) if request.HasField("correction") else None,
    )


def _identity_rules(request: tracker_pb2.IdentifyGloballyRequest) -> Associate:
    cosine = request.threshold_scale == common_pb2.SIMILARITY_SCALE_COSINE
    least = request.similarity_threshold if request.HasField("similarity_threshold") else DEFAULT_SIMILARITY
    return identity_rules(least, "cosine" if cosine else "calibrated")


def _ranked(artifact: Artifact, ranking: Ranking) -> tracker_pb2.RankCandidatesResponse:
    return tracker_pb2.RankCandidatesResponse(
        scores=artifact_to_proto(artifact),
        candidates=[candidate_to_proto(candidate) for candidate in ranking.candidates],
        compared=ranking.compared,
        impossible=ranking.impossible,
        incidents=[incident_to_proto(incident, common_pb2.STAGE_RANK) for incident in ranking.incidents],
        calibrated_by=ranking.calibrated_by,
    )
