from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughline.domain.errors import InvalidQuery, LimitExceeded, NotFound
from throughline.domain.geometry import Size
from throughline.domain.time import Instant
from throughline.wire.query_document import MAX_BYTES, TimedObservation, deformation, parse_query, resolve

ISO = "2026-03-01T10:00:00.250Z"
NOON = Instant.parse("2026-03-01T12:00:00Z")


def _query(*observations: Any, **fields: Any) -> dict[str, Any]:
    """A good query for a frame of 100 x 50, with further or other parts."""
    seen = list(observations) or [{"time": ISO, "box": [1, 2, 3, 4]}]
    return {"camera": "cam 2", "frame_size": {"width": 100, "height": 50}, "observations": seen, **fields}


def _times(text: str) -> list[int]:
    observations = parse_query(text).observations
    return [observation.time.ns for observation in observations if isinstance(observation, TimedObservation)]


def _boxes(**fields: Any) -> list[list[float]]:
    boxes: list[list[float]] = resolve(parse_query(json.dumps(_query(**fields))), _no_chunks).boxes.tolist()
    return boxes


def _no_chunks(chunk: str, frame: int) -> Instant:
    raise NotFound(f"there is no chunk {chunk}")


def _mistake(query: Any) -> InvalidQuery:
    with pytest.raises(InvalidQuery) as caught:
        parse_query(query if isinstance(query, (str, bytes)) else json.dumps(query))
    return caught.value


def test_a_query_becomes_arrays_in_order_of_time() -> None:
    first, second = {"time": "2026-03-01T10:00:01Z", "box": [5, 6, 7, 8]}, {"time": ISO, "box": [1, 2, 3, 4]}
    query = resolve(parse_query(json.dumps(_query(first, second, label="red coat"))), _no_chunks)
    assert (query.camera, query.label) == ("cam 2", "red coat")
    assert query.times_ns.tolist() == [Instant.parse(ISO).ns, Instant.parse("2026-03-01T10:00:01Z").ns]
    assert (query.times_ns.dtype, query.boxes.dtype) == (np.dtype(np.int64), np.dtype(np.float32))
    assert query.boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


@pytest.mark.parametrize(
    ("written", "ns"),
    [
        ('"2026-03-01T11:00:00.123456789+01:00"', 1772359200123456789),
        ("1772359200", 1772359200000000000),
        ("1772359200.123456789", 1772359200123456789),
        ('"1772359200.123456789"', 1772359200123456789),
        ("1772359200.1234567894999999999999999999999999999", 1772359200123456789),
        ("1772359200.1234567895", 1772359200123456790),
        ("1.7723592e9", 1772359200000000000),
        ("0", 0),
    ],
)
def test_a_time_is_exact_in_every_form(written: str, ns: int) -> None:
    text = json.dumps(_query({"time": "HERE", "box": [1, 2, 3, 4]})).replace('"HERE"', written)
    assert _times(text) == [ns]


@given(st.integers(0, 2**63 - 1))
def test_every_nanosecond_survives_as_iso_number_and_text(ns: int) -> None:
    seconds = Decimal(ns).scaleb(-9)
    for written in (f'"{Instant(ns)}"', f"{seconds:f}", f'"{seconds:f}"'):
        text = json.dumps(_query({"time": "HERE", "box": [1, 2, 3, 4]})).replace('"HERE"', written)
        assert _times(text) == [ns]


@pytest.mark.parametrize(
    "time",
    [
        -1,
        "-1",
        True,
        None,
        [],
        {},
        "",
        "yesterday",
        "2026-03-01T10:00:00",
        "2026-02-30T10:00:00Z",
        1772359200000,
        "1e9",
    ],
)
def test_what_is_no_time_is_answered_with_the_forms_of_one(time: Any) -> None:
    mistake = _mistake(_query({"time": time, "box": [1, 2, 3, 4]}))
    assert mistake.path == "observations[0].time"
    assert "expected a time" in str(mistake)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e400", "1" * 4000, "1e999999999"])
@pytest.mark.parametrize("where", ["time", "box"])
def test_numbers_that_are_not_finite_or_senseless_are_named(constant: str, where: str) -> None:
    good = {"time": ISO, "box": [1, 2, 3, 4]}
    bad = {**good, **({"time": "HERE"} if where == "time" else {"box": [1, 2, "HERE", 4]})}
    mistake = _mistake(json.dumps(_query(good, bad)).replace('"HERE"', constant))
    assert mistake.path == f"observations[1].{where}"
    assert len(str(mistake)) < 300


@pytest.mark.parametrize("written", ["xyxy pixels", "xywh pixels", "xyxy normalised", "xywh normalised"])
def test_a_box_is_the_same_in_every_form(written: str) -> None:
    box_format, units = written.split()
    box = np.array([10, 5, 30, 25] if box_format == "xyxy" else [10, 5, 20, 20], float)
    if units == "normalised":
        box /= [100, 50, 100, 50]
    seen = {"time": ISO, "box": box.tolist()}
    document = parse_query(json.dumps(_query(seen, box_format=box_format, box_units=units)))
    assert np.allclose(resolve(document, _no_chunks).boxes, [[10, 5, 30, 25]])
    assert np.allclose(resolve(document, _no_chunks, Size(200, 200)).boxes, [[20, 20, 60, 100]])


def test_a_box_that_sticks_out_by_rounding_is_cut_to_the_frame() -> None:
    assert _boxes(observations=[{"time": ISO, "box": [-0.4, 0, 100.9, 50.5]}]) == [[0, 0, 100, 50]]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([1, 2, 3], "a list of four numbers"),
        ("1 2 3 4", "a list of four numbers"),
        ({"left": 1}, "a list of four numbers"),
        ([1, 2, 3, None], "four finite numbers"),
        ([1, 2, 3, "4"], "four finite numbers"),
        ([1, 2, 3, True], "four finite numbers"),
        ([-5, 2, 3, 4], "inside the frame, 0 to 100 and 0 to 50 pixels"),
        ([1, 2, 103, 4], "inside the frame"),
        ([200, 200, 300, 300], "inside the frame"),
        ([3, 2, 1, 4], "right over left"),
        ([1, 2, 1, 4], "right over left"),
        ([100.2, 2, 100.8, 4], "right over left"),
    ],
)
def test_a_bad_box_is_named_by_its_path_and_what_was_expected(box: Any, expected: str) -> None:
    mistake = _mistake(_query({"time": ISO, "box": [1, 2, 3, 4]}, {"time": NOON.isoformat(), "box": box}))
    assert mistake.path == "observations[1].box"
    assert expected in str(mistake)


def test_a_box_in_the_other_form_is_answered_in_its_own_words() -> None:
    mistake = _mistake(_query({"time": ISO, "box": [1, 2, 0, 4]}, box_format="xywh"))
    assert "xywh with width and height over 0" in str(mistake)
    assert "0 to 1" in str(_mistake(_query({"time": ISO, "box": [10, 20, 30, 40]}, box_units="normalised")))


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("", ""),
        ("{", ""),
        ("[]", ""),
        ("null", ""),
        (b"\xff\xfe", ""),
        ('{"camera": "a", "camera": "b"}', ""),
        ("[" * 100_000, ""),
        ({}, "camera"),
        (_query(camera=""), "camera"),
        (_query(camera=3), "camera"),
        (_query(label="x" * 1025), "label"),
        (_query(frame_size=None), "frame_size"),
        (_query(frame_size={"width": 0, "height": 5}), "frame_size.width"),
        (_query(frame_size={"width": 5}), "frame_size.height"),
        (_query(frame_size={"width": 5.5, "height": 5}), "frame_size.width"),
        (_query(box_format="cxcywh"), "box_format"),
        (_query(box_units="metres"), "box_units"),
        (_query(observations=[]), "observations"),
        (_query(observations={}), "observations"),
        (_query(observations=None), "observations"),
        (_query(5), "observations[0]"),
        (_query({}), "observations[0].time"),
        (_query({"time": ISO}), "observations[0].box"),
        (_query({"time": ISO, "bux": [1, 2, 3, 4]}), "observations[0].box"),
        (_query({"chunk": "a.mp4", "box": [1, 2, 3, 4]}), "observations[0].frame"),
        (_query({"chunk": "", "frame": 0, "box": [1, 2, 3, 4]}), "observations[0].chunk"),
        (_query({"chunk": "a.mp4", "frame": -1, "box": [1, 2, 3, 4]}), "observations[0].frame"),
        (_query({"chunk": "a.mp4", "frame": 1.5, "box": [1, 2, 3, 4]}), "observations[0].frame"),
        (_query({"chunk": "a.mp4", "frame": 1, "time": ISO, "box": [1, 2, 3, 4]}), "observations[0].chunk"),
        (_query(colour="red"), "colour"),
    ],
)
def test_a_query_of_the_wrong_shape_is_answered_by_the_path_and_what_was_expected(query: Any, path: str) -> None:
    mistake = _mistake(query)
    assert mistake.path == path
    assert str(mistake).startswith(f"query {path}: expected" if path else "query: expected")


def test_all_mistakes_are_named_at_once() -> None:
    text = str(_mistake(_query({"time": "x", "box": [1, 2, 3, 4]}, {"time": ISO, "box": [1]}, camera="", colour="red")))
    for path in ("camera", "observations[0].time", "observations[1].box", "colour"):
        assert f"{path}: expected" in text


def test_very_many_mistakes_are_counted() -> None:
    mistake = _mistake(_query(*({"time": second, "box": [3, 2, 1, 4]} for second in range(500))))
    assert str(mistake).endswith("and 490 more mistakes")
    assert mistake.path == "observations[0].box"


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_any_json_at_any_place_is_taken_or_answered_with_a_mistake(value: Any) -> None:
    good = {"time": ISO, "box": [1, 2, 3, 4]}
    queries = [
        value,
        _query(value),
        _query({**good, "time": value}),
        _query({**good, "box": value}),
        _query(frame_size=value),
    ]
    for query in [*queries, _query(observations=value), _query(camera=value)]:
        with suppress(InvalidQuery):
            parse_query(json.dumps(query))


def test_a_query_that_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(LimitExceeded, match="at most"):
        parse_query("x" * (MAX_BYTES + 1))


def test_a_byte_order_mark_does_no_harm() -> None:
    assert parse_query(b"\xef\xbb\xbf" + json.dumps(_query()).encode()).camera == "cam 2"


def _chunk_frame_time(chunk: str, frame: int) -> Instant:
    if chunk != "a b.mp4":
        raise NotFound(f"there is no chunk {chunk}")
    return NOON + frame * 40_000_000


def test_frames_of_chunks_become_times_and_may_stand_among_times() -> None:
    frames = [{"chunk": "a b.mp4", "frame": frame, "box": [1, 2, 3, 4]} for frame in (5, 0)]
    query = resolve(parse_query(json.dumps(_query(*frames, {"time": ISO, "box": [1, 2, 3, 4]}))), _chunk_frame_time)
    assert query.times_ns.tolist() == [Instant.parse(ISO).ns, NOON.ns, NOON.ns + 200_000_000]


def test_a_frame_of_an_unknown_chunk_is_named_by_its_path() -> None:
    good, bad = ({"chunk": chunk, "frame": 1, "box": [1, 2, 3, 4]} for chunk in ("a b.mp4", "b.mp4"))
    with pytest.raises(InvalidQuery, match="no chunk b") as caught:
        resolve(parse_query(json.dumps(_query(good, bad))), _chunk_frame_time)
    assert caught.value.path == "observations[1]"


def test_two_observations_of_one_moment_are_a_mistake_in_whatever_form() -> None:
    seen: list[dict[str, Any]] = [{"time": NOON.isoformat()}, {"time": ISO}, {"chunk": "a b.mp4", "frame": 0}]
    document = parse_query(json.dumps(_query(*({**moment, "box": [1, 2, 3, 4]} for moment in seen))))
    with pytest.raises(InvalidQuery, match=r"that of observations\[0\]") as caught:
        resolve(document, _chunk_frame_time)
    assert caught.value.path == "observations[2]"


@pytest.mark.parametrize(
    ("sizes", "is_deformed"),
    [
        ([], False),
        ([Size(640, 480)], False),
        ([Size(1440, 1080)], False),
        ([Size(352, 262)], False),
        ([Size(640, 360)], True),
        ([Size(480, 640)], True),
        ([Size(640, 360), Size(320, 240)], False),
        ([Size(640, 360), Size(1920, 1072)], True),
    ],
)
def test_boxes_that_must_be_stretched_to_every_frame_of_the_camera_are_told_of(
    sizes: list[Size], is_deformed: bool
) -> None:
    query = parse_query(json.dumps(_query(frame_size={"width": 640, "height": 480})))
    told = deformation(query, sizes)
    assert bool(told) is is_deformed
    assert all(f"{size.width}x{size.height}" in told for size in sizes) or not is_deformed
