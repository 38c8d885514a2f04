"""Between protobuf messages and the domain, both ways.

`x_to_proto` can't fail on valid values. `x_from_proto` raises InvalidInput, naming the message and what was expected.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Protocol

from google.protobuf.message import Message

from throughline.domain.correction import Correction
from throughline.domain.errors import InvalidInput
from throughline.domain.geometry import Box, Size
from throughline.domain.pairs import Candidate, TrackId, TrackSpan, Verdict
from throughline.domain.time import ClockMap, Instant, Interval
from throughline.domain.work import Incident, Step
from throughline.v1 import common_pb2, tracker_pb2

MAX_SIDE_PX = 16_384
MAX_DRIFT_PPB = 1_000_000


class Keyed(Protocol):
    """Whatever lies at a URI under a key, such as an artifact of the workspace."""

    @property
    def uri(self) -> str: ...

    @property
    def key(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """Where an artifact lies, and its key."""

    uri: str
    key: str


def interval_to_proto(interval: Interval) -> common_pb2.Interval:
    return common_pb2.Interval(start_ns=interval.start.ns, end_ns=interval.end.ns)


def interval_from_proto(message: common_pb2.Interval) -> Interval:
    if message.end_ns < message.start_ns:
        raise InvalidInput(f"interval: end_ns {message.end_ns} is before start_ns {message.start_ns}; swap them")
    return Interval(Instant(message.start_ns), Instant(message.end_ns))


def optional_interval(message: Message, field: str) -> Interval | None:
    """The interval in `field`, or None where the field is not set."""
    return interval_from_proto(getattr(message, field)) if message.HasField(field) else None


def size_to_proto(size: Size) -> common_pb2.FrameSize:
    return common_pb2.FrameSize(width=size.width, height=size.height)


def size_from_proto(message: common_pb2.FrameSize) -> Size:
    if not (1 <= message.width <= MAX_SIDE_PX and 1 <= message.height <= MAX_SIDE_PX):
        raise InvalidInput(
            f"frame size {message.width}x{message.height}: each side must have 1 to {MAX_SIDE_PX} pixels"
        )
    return Size(message.width, message.height)


def box_to_proto(box: Box) -> common_pb2.Box:
    return common_pb2.Box(left=box.left, top=box.top, right=box.right, bottom=box.bottom)


def box_from_proto(message: common_pb2.Box) -> Box:
    box = Box(message.left, message.top, message.right, message.bottom)
    if not all(map(math.isfinite, (box.left, box.top, box.right, box.bottom))):
        raise InvalidInput(f"{box}: every edge must be a finite number of pixels")
    if box.right <= box.left or box.bottom <= box.top:
        raise InvalidInput(f"{box}: right must be greater than left and bottom greater than top")
    return box


def clock_map_to_proto(camera: str, clock: ClockMap) -> common_pb2.ClockMap:
    return common_pb2.ClockMap(
        camera=camera,
        offset_ns=clock.offset_ns,
        drift_ppb=clock.drift_ppb,
        reference_ns=clock.reference.ns,
        uncertainty_ns=clock.uncertainty_ns,
    )


def clock_map_from_proto(message: common_pb2.ClockMap) -> tuple[str, ClockMap]:
    """The camera's name and its clock; a message that was never set is an exact clock."""
    if abs(message.drift_ppb) > MAX_DRIFT_PPB:
        raise InvalidInput(
            f"clock map of {message.camera!r}: drift_ppb must be within ±{MAX_DRIFT_PPB}, not {message.drift_ppb}"
        )
    if message.uncertainty_ns < 0:
        raise InvalidInput(
            f"clock map of {message.camera!r}: uncertainty_ns must be 0 or more, not {message.uncertainty_ns}"
        )
    clock = ClockMap(message.offset_ns, message.drift_ppb, Instant(message.reference_ns), message.uncertainty_ns)
    return message.camera, clock


def track_to_proto(track: TrackSpan) -> common_pb2.TrackRef:
    return common_pb2.TrackRef(
        camera=track.track.camera,
        track_id=track.track.number,
        span=interval_to_proto(track.span),
        tracks_key=track.track.tracks_key,
    )


def track_from_proto(message: common_pb2.TrackRef) -> TrackSpan:
    if not message.camera or message.track_id < 1 or not message.tracks_key:
        raise InvalidInput(f"track reference {_short(message)}: camera, track_id from 1 and tracks_key must be given")
    return TrackSpan(
        TrackId(message.camera, message.tracks_key, message.track_id),
        interval_from_proto(message.span),
    )


def artifact_to_proto(artifact: Keyed) -> common_pb2.ArtifactRef:
    return common_pb2.ArtifactRef(uri=artifact.uri, key=artifact.key)


def artifact_from_proto(message: common_pb2.ArtifactRef) -> ArtifactRef:
    """The reference; give its `uri` to the workspace."""
    if not message.uri or not message.key:
        raise InvalidInput(f"artifact reference {_short(message)}: uri and key must be given")
    return ArtifactRef(message.uri, message.key)


def incident_to_proto(
    incident: Incident, stage: common_pb2.Stage.ValueType = common_pb2.STAGE_UNSPECIFIED
) -> common_pb2.Incident:
    return common_pb2.Incident(
        code=incident.code, subject=incident.subject, message=incident.message, camera=incident.camera, stage=stage
    )


def incident_from_proto(message: common_pb2.Incident) -> Incident:
    """The incident; its stage stays with the message."""
    return Incident(message.code, message.subject, message.message, message.camera)


_VERDICTS = {
    Verdict.VALID: common_pb2.VERDICT_VALID,
    Verdict.INVALID: common_pb2.VERDICT_INVALID,
    Verdict.UNSURE: common_pb2.VERDICT_UNSURE,
}
_VERDICT_OF = {number: verdict for verdict, number in _VERDICTS.items()}


def verdict_to_proto(verdict: Verdict | None) -> common_pb2.Verdict.ValueType:
    """None, not answered yet, is VERDICT_UNSPECIFIED."""
    return common_pb2.VERDICT_UNSPECIFIED if verdict is None else _VERDICTS[verdict]


def verdict_from_proto(number: common_pb2.Verdict.ValueType) -> Verdict | None:
    """The answer, or None where it is VERDICT_UNSPECIFIED."""
    if number == common_pb2.VERDICT_UNSPECIFIED:
        return None
    verdict = _VERDICT_OF.get(number)
    if verdict is None:
        raise InvalidInput(f"verdict {number} is unknown; give VERDICT_VALID, VERDICT_INVALID or VERDICT_UNSURE")
    return verdict


def candidate_to_proto(candidate: Candidate) -> tracker_pb2.Candidate:
    return tracker_pb2.Candidate(
        pair_id=candidate.pair_id,
        track=track_to_proto(candidate.track),
        similarity=candidate.similarity,
        cosine=candidate.cosine,
        time_gap_ns=candidate.time_gap_ns,
        query_crop_uri=candidate.query_crop_uri,
        candidate_crop_uri=candidate.candidate_crop_uri,
        crop_cosine=candidate.crop_cosine,
        appearance_similarity=candidate.appearance,
        space_time=candidate.space_time,
    )


def candidate_from_proto(message: tracker_pb2.Candidate) -> Candidate:
    return Candidate(
        pair_id=message.pair_id,
        track=track_from_proto(message.track),
        similarity=message.similarity,
        cosine=message.cosine,
        time_gap_ns=message.time_gap_ns,
        query_crop_uri=message.query_crop_uri,
        candidate_crop_uri=message.candidate_crop_uri,
        crop_cosine=message.crop_cosine,
        appearance=message.appearance_similarity,
        space_time=message.space_time,
    )


def correction_to_proto(correction: Correction) -> tracker_pb2.SiteCorrection:
    return tracker_pb2.SiteCorrection(**asdict(correction))


def correction_from_proto(message: tracker_pb2.SiteCorrection) -> Correction:
    """Raises InvalidInput where it would not keep the order."""
    return Correction(
        message.offset, message.slope, message.valid, message.invalid, message.jobs, message.calibrated_by
    )


def step_to_proto(
    step: Step, stage: common_pb2.Stage.ValueType, camera: str = "", rate: float = 0.0, seconds_left: float = -1.0
) -> common_pb2.Progress:
    """A step as the progress of `stage`; rate in units per second, 0 while unknown; seconds_left negative while unknown."""
    return common_pb2.Progress(
        stage=stage,
        camera=camera,
        done=step.done,
        total=step.total,
        unit=step.unit,
        rate=rate,
        seconds_left=seconds_left,
    )


def step_from_proto(message: common_pb2.Progress) -> Step:
    return Step(message.done, message.total, message.unit)


def _short(message: Message) -> str:
    return " ".join(str(message).split())[:200] or "(empty)"
