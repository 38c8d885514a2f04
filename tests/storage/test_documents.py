from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughline.domain.errors import CorruptArtifact
from throughline.domain.footage import ChunkObject, ChunkTime, Listing, Reel, ReelChunk, ReelPart, TimeSource
from throughline.domain.geometry import Size
from throughline.domain.time import Instant, Interval
from throughline.domain.work import Incident
from throughline.storage.documents import dump, load
from throughline.storage.manifest import artifact_key

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.integers(0, 2**62)
instants = st.builds(Instant, numbers)
intervals = st.lists(instants, min_size=2, max_size=2).map(sorted).map(lambda pair: Interval(*pair))
incidents = st.builds(Incident, text, text, text, text)
chunk_times = st.builds(ChunkTime, instants, st.sampled_from(TimeSource), numbers)
chunks = st.builds(
    ReelChunk,
    name=text,
    uri=text,
    etag=text,
    size_bytes=numbers,
    time=st.none() | chunk_times,
    part=st.none() | st.integers(0, 99),
    span=st.none() | intervals,
    snapped_ns=st.integers(-(2**62), 2**62),
)
parts = st.builds(ReelPart, text, instants, intervals, text, st.builds(Size, numbers, numbers), st.just(90), numbers)
reels = st.builds(
    Reel,
    text,
    st.lists(parts, max_size=3).map(tuple),
    st.lists(chunks, max_size=3).map(tuple),
    st.lists(intervals, max_size=3).map(tuple),
    st.lists(incidents, max_size=3).map(tuple),
)
objects = st.builds(ChunkObject, text, text, numbers, text, instants)
listings = st.builds(Listing, text, st.dictionaries(text, st.lists(objects, max_size=3).map(tuple), max_size=3))


@given(st.one_of(reels, listings))
def test_a_document_that_is_loaded_equals_what_was_dumped(value: Reel | Listing) -> None:
    assert load(type(value), dump(value)) == value


def test_times_stand_as_iso_8601() -> None:
    start = Instant.parse("2026-03-01T10:00:00.000000001Z")
    assert b'"start": "2026-03-01T10:00:00.000000001Z"' in dump(ChunkTime(start, TimeSource.FILE_NAME, 1))


@dataclass(frozen=True)
class Small:
    count: int


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"count": "many"}', b"\xff", b'{"count": 1'])
def test_what_is_not_the_document_is_a_corrupt_artifact(data: bytes) -> None:
    with pytest.raises(CorruptArtifact, match="Small"):
        load(Small, data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abcdef"), json_values))
def test_a_key_depends_on_the_inputs_and_not_on_their_order(inputs: dict[str, object]) -> None:
    key = artifact_key(**inputs)
    assert key == artifact_key(**dict(reversed(inputs.items())))
    assert len(key) == 32
    assert key != artifact_key(**inputs, one_more=1)


def test_inputs_that_json_cannot_say_have_no_key() -> None:
    with pytest.raises(ValueError, match="JSON"):
        artifact_key(threshold=float("nan"))
