from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughline.domain.correction import Correction
from throughline.domain.errors import InvalidInput
from throughline.domain.geometry import Box, Size
from throughline.domain.pairs import Candidate, TrackId, TrackSpan, Verdict
from throughline.domain.time import ClockMap, Instant, Interval
from throughline.domain.work import Incident, Step
from throughline.v1 import common_pb2, ingest_pb2, tracker_pb2
from throughline.wire import convert

int64 = st.integers(-(2**63), 2**63 - 1)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = text.filter(bool)
fractions = st.floats(-1, 1)
intervals = st.tuples(int64, int64).map(sorted).map(lambda ends: Interval(Instant(ends[0]), Instant(ends[1])))
pixels = st.floats(-20_000, 20_000, width=32)
spans = st.tuples(pixels, pixels).map(sorted).filter(lambda span: span[0] < span[1])
boxes = st.builds(lambda across, down: Box(across[0], down[0], across[1], down[1]), spans, spans)
sizes = st.builds(Size, st.integers(1, convert.MAX_SIDE_PX), st.integers(1, convert.MAX_SIDE_PX))
clocks = st.builds(
    ClockMap,
    int64,
    st.integers(-convert.MAX_DRIFT_PPB, convert.MAX_DRIFT_PPB),
    st.builds(Instant, int64),
    st.integers(0, 2**63 - 1),
)
tracks = st.builds(TrackSpan, st.builds(TrackId, names, names, st.integers(1, 2**63 - 1)), intervals)
candidates = st.builds(Candidate, text, tracks, fractions, fractions, int64, text, text, fractions)
numbers = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 2**31 - 1)
corrections = st.builds(Correction, numbers, numbers.filter(lambda each: each > 0), counts, counts, counts, text)
incidents = st.builds(Incident, text, text, text, text)
steps = st.builds(Step, int64, int64, text)


def _wired(message: Any) -> Any:
    """The message as it comes out at the other end."""
    return type(message).FromString(message.SerializeToString())


@given(intervals)
def test_an_interval_comes_back(interval: Interval) -> None:
    assert convert.interval_from_proto(_wired(convert.interval_to_proto(interval))) == interval


@given(boxes)
def test_a_box_comes_back(box: Box) -> None:
    assert convert.box_from_proto(_wired(convert.box_to_proto(box))) == box


@given(sizes)
def test_a_size_comes_back(size: Size) -> None:
    assert convert.size_from_proto(_wired(convert.size_to_proto(size))) == size


@given(names, clocks)
def test_a_clock_map_comes_back(camera: str, clock: ClockMap) -> None:
    assert convert.clock_map_from_proto(_wired(convert.clock_map_to_proto(camera, clock))) == (camera, clock)


def test_a_clock_map_that_was_never_set_is_exact() -> None:
    assert convert.clock_map_from_proto(tracker_pb2.CameraTracks().clock_map) == ("", ClockMap())


@given(tracks)
def test_a_track_comes_back(track: TrackSpan) -> None:
    assert convert.track_from_proto(_wired(convert.track_to_proto(track))) == track


@given(candidates)
def test_a_candidate_comes_back(candidate: Candidate) -> None:
    assert convert.candidate_from_proto(_wired(convert.candidate_to_proto(candidate))) == candidate


@given(corrections)
def test_a_correction_comes_back(correction: Correction) -> None:
    assert convert.correction_from_proto(_wired(convert.correction_to_proto(correction))) == correction


@given(incidents, st.sampled_from(common_pb2.Stage.values()))
def test_an_incident_comes_back(incident: Incident, stage: common_pb2.Stage.ValueType) -> None:
    message = _wired(convert.incident_to_proto(incident, stage))
    assert (convert.incident_from_proto(message), message.stage) == (incident, stage)


@given(steps)
def test_a_step_comes_back_and_says_that_the_rest_is_unknown(step: Step) -> None:
    message = _wired(convert.step_to_proto(step, common_pb2.STAGE_TRACK, "cam1"))
    assert (convert.step_from_proto(message), message.stage, message.camera) == (step, common_pb2.STAGE_TRACK, "cam1")
    assert message.rate == 0
    assert message.seconds_left < 0


@given(names, names)
def test_an_artifact_reference_comes_back(uri: str, key: str) -> None:
    reference = convert.ArtifactRef(uri, key)
    assert convert.artifact_from_proto(_wired(convert.artifact_to_proto(reference))) == reference


@pytest.mark.parametrize("verdict", [*Verdict, None])
def test_a_verdict_comes_back(verdict: Verdict | None) -> None:
    assert convert.verdict_from_proto(convert.verdict_to_proto(verdict)) is verdict


def test_every_verdict_of_the_contract_has_a_meaning() -> None:
    assert {convert.verdict_from_proto(number) for number in common_pb2.Verdict.values()} == {*Verdict, None}


def test_an_interval_that_is_not_set_is_none() -> None:
    request = ingest_pb2.CollateRequest()
    assert convert.optional_interval(request, "camera_window") is None
    request.camera_window.end_ns = 5
    assert convert.optional_interval(request, "camera_window") == Interval(Instant(0), Instant(5))


Refused = tuple[Callable[[Any], object], Any]


@pytest.mark.parametrize(
    "refused",
    [
        (convert.interval_from_proto, common_pb2.Interval(start_ns=2, end_ns=1)),
        (convert.size_from_proto, common_pb2.FrameSize()),
        (convert.size_from_proto, common_pb2.FrameSize(width=20_000, height=1)),
        (convert.box_from_proto, common_pb2.Box()),
        (convert.box_from_proto, common_pb2.Box(left=2, right=1, bottom=1)),
        (convert.box_from_proto, common_pb2.Box(right=math.nan, bottom=1)),
        (convert.box_from_proto, common_pb2.Box(right=math.inf, bottom=1)),
        (convert.clock_map_from_proto, common_pb2.ClockMap(drift_ppb=10**6 + 1)),
        (convert.clock_map_from_proto, common_pb2.ClockMap(uncertainty_ns=-1)),
        (convert.track_from_proto, common_pb2.TrackRef()),
        (convert.track_from_proto, common_pb2.TrackRef(camera="a", tracks_key="k")),
        (convert.artifact_from_proto, common_pb2.ArtifactRef(uri="x")),
        (convert.verdict_from_proto, 99),
        (convert.candidate_from_proto, tracker_pb2.Candidate()),
    ],
)
def test_what_no_valid_value_looks_like_is_refused(refused: Refused) -> None:
    read, message = refused
    with pytest.raises(InvalidInput):
        read(message)
