"""When a chunk was taken: object metadata, then file name, then what lies in the container, then a guess.

A download keeps none of a file's own times: `LastModified` is when the object was uploaded. So it comes last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from throughline.domain.footage import ChunkObject, ChunkTime, TimeSource
from throughline.domain.time import NS_PER_MS, NS_PER_SECOND, Instant, Interval
from throughline.ingest.names import FileNameTimes
from throughline.media.probe import ClipScan

DEFAULT_METADATA_KEYS = ("start-time", "capture-time", "start_time", "capture_time")
"""User metadata of the object, in S3 `x-amz-meta-start-time` and so on."""

_RECORDED = Interval(Instant.parse("2000-01-01T00:00:00Z"), Instant.parse("2200-01-01T00:00:00Z"))
"""What states another time, such as year 1 or 9999, means that it knows none."""
PRODUCER_UNCERTAINTY_NS = NS_PER_MS
CONTAINER_UNCERTAINTY_NS = NS_PER_SECOND
GUESS_UNCERTAINTY_NS = 60 * NS_PER_SECOND
"""An upload ends some time after the recording: seconds as a rule, far more after an outage."""

_EPOCH = re.compile(r"(?P<whole>\d{10}|\d{13}|\d{16}|\d{19})(?:\.(?P<fraction>\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class TimeRules:
    """How times are found without looking into chunks."""

    metadata_keys: tuple[str, ...]
    names: FileNameTimes

    def stated(self, chunk: ChunkObject, metadata: Mapping[str, str]) -> ChunkTime | None:
        """The time that the object's metadata states, or else its name, or None. Unreadable metadata states nothing."""
        for key in self.metadata_keys:
            time = read_metadata_time(metadata.get(key.lower(), ""))
            if time is not None:
                return time
        named = self.names.read(chunk.name)
        return None if named is None else ChunkTime(named.start, TimeSource.FILE_NAME, named.uncertainty_ns)


def read_metadata_time(text: str) -> ChunkTime | None:
    """ISO 8601 with a zone, or 10, 13, 16 or 19 digits since 1970; None for anything else, and for times of no recording."""
    time = _metadata_time(text.strip())
    return time if time is not None and time.start in _RECORDED else None


def _metadata_time(text: str) -> ChunkTime | None:
    epoch = _EPOCH.fullmatch(text)
    if epoch:
        unit = 10 ** (19 - len(epoch["whole"]))
        decimals = epoch["fraction"] or ""
        if decimals and unit != NS_PER_SECOND:
            return None
        start = Instant(int(epoch["whole"]) * unit + int(decimals.ljust(9, "0")))
        return ChunkTime(start, TimeSource.OBJECT_METADATA, 10 ** (9 - len(decimals)) if decimals else unit)
    try:
        start = Instant.parse(text)
    except ValueError:
        return None
    stated = re.search(r"[.,](\d+)", text)
    return ChunkTime(start, TimeSource.OBJECT_METADATA, 10 ** (9 - len(stated[1])) if stated else NS_PER_SECOND)


def time_from_content(chunk: ChunkObject, scan: ClipScan) -> ChunkTime:
    """For a chunk whose metadata and name state no time.

    A producer reference time is what the recorder's clock said at a frame.
    The container's creation time is taken as the start of the recording, which is what the movie header's definition and most
    recorders mean by it; some write the end. Without it the recording is taken to have ended when the object was uploaded, and has to
    be read to know how long it is.
    """
    produced = scan.producer_time
    if produced is not None:
        return ChunkTime(produced + -scan.lead_ns, TimeSource.PRODUCER, PRODUCER_UNCERTAINTY_NS)
    if scan.creation_time is not None:
        return ChunkTime(scan.creation_time, TimeSource.CONTAINER, CONTAINER_UNCERTAINTY_NS)
    info = scan.read()
    recorded_ns = info.lead_ns + info.duration_ns
    return ChunkTime(chunk.last_modified + -recorded_ns, TimeSource.LAST_MODIFIED, GUESS_UNCERTAINTY_NS)
