"""Query documents for a simulated store: whom to look for, and that person's track as another tracker would have given it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from throughline.domain.time import NS_PER_MS, NS_PER_SECOND, Instant, Interval, merge_intervals
from throughline.simulation.scene import PERSON
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.truth import TruthTable

_SEEN_VISIBILITY = 0.5
_MIN_HEIGHT_SHARE = 1 / 12
"""Of the frame's height."""
_MAX_HOLE_NS = 700 * NS_PER_MS
_MIN_SPAN_SECONDS = 2.0
_QUERY_SECONDS = 6.0
_OBSERVATIONS_PER_SECOND = 5
_JITTER = 0.02


@dataclass(frozen=True, slots=True)
class Sighting:
    """A span of UTC in which a person is at least half visible in one camera."""

    person: str
    camera: str
    span: Interval


def sightings(table: TruthTable, settings: SimulationSettings) -> list[Sighting]:
    """All sightings of people of two seconds or more, by person and camera; short interruptions are bridged."""
    seen = table.only(
        (table.kind == PERSON)
        & (table.visibility >= _SEEN_VISIBILITY)
        & (table.boxes[:, 3] - table.boxes[:, 1] >= _MIN_HEIGHT_SHARE * settings.height)
    )
    found = []
    for person, camera in sorted(set(zip(seen.name.tolist(), seen.camera.tolist(), strict=True))):
        times = seen.utc_ns[(seen.name == person) & (seen.camera == camera)].tolist()
        frames = [Interval(Instant(time), Instant(time + NS_PER_SECOND // settings.rate)) for time in times]
        spans = merge_intervals(frames, _MAX_HOLE_NS)
        found += [Sighting(person, camera, span) for span in spans if span.duration_seconds >= _MIN_SPAN_SECONDS]
    return found


def choose_people(found: list[Sighting], count: int) -> list[str]:
    """The people who are worth looking for, the best first: seen by many cameras, together and alone, with gaps between."""
    people = sorted({sighting.person for sighting in found})
    return sorted(people, key=lambda person: (-interest(found, person), person))[:count]


def interest(found: list[Sighting], person: str) -> float:
    """How much a film of a person shows: cameras, seconds in two cameras at once, seconds alone, gaps, few fragments."""
    mine = [sighting for sighting in found if sighting.person == person]
    spans = [sighting.span for sighting in mine]
    covered = merge_intervals(spans)
    union = sum(span.duration_seconds for span in covered)
    together = sum(span.duration_seconds for span in spans) - union
    gaps = sum(b.start - a.end > 2 * NS_PER_SECOND for a, b in pairwise(covered))
    cameras = len({sighting.camera for sighting in mine})
    shown = min(together, 8.0) + 0.5 * min(union - together, 15.0) + 4.0 * min(gaps, 2)
    return 10.0 * cameras + shown - 0.5 * len(mine)


def query_sighting(found: list[Sighting], person: str) -> Sighting:
    """The person's longest sighting: the track that is asked about."""
    mine = [sighting for sighting in found if sighting.person == person]
    return max(mine, key=lambda sighting: (sighting.span.duration_ns, sighting.camera))


def query_document(settings: SimulationSettings, table: TruthTable, sighting: Sighting) -> dict[str, Any]:
    """The JSON document of a query: some seconds of a sighting, five boxes a second in the camera's own time, a little off."""
    rows = table.only(
        (table.name == sighting.person)
        & (table.camera == sighting.camera)
        & (table.utc_ns >= sighting.span.start.ns)
        & (table.utc_ns < sighting.span.end.ns)
        & (table.visibility >= _SEEN_VISIBILITY)
    )
    middle = (sighting.span.start.ns + sighting.span.end.ns) // 2
    near = np.abs(rows.utc_ns - middle) <= _QUERY_SECONDS / 2 * NS_PER_SECOND
    rows = rows.only(near)
    step = max(1, settings.rate // _OBSERVATIONS_PER_SECOND)
    rng = np.random.default_rng([settings.seed, 6, sum(sighting.person.encode()), sum(sighting.camera.encode())])
    observations = []
    for time, box in zip(rows.camera_time_ns[::step].tolist(), rows.boxes[::step], strict=True):
        sides = np.tile(box[2:] - box[:2], 2) * _JITTER
        limits = np.tile(np.array([settings.width, settings.height], np.float32), 2)
        jittered = np.clip(box + rng.normal(0, 1, 4) * sides, 0, limits)
        observations.append({"time": str(Instant(time)), "box": [round(float(value), 1) for value in jittered]})
    return {
        "camera": sighting.camera,
        "label": f"Customer {sighting.person}",
        "frame_size": {"width": settings.width, "height": settings.height},
        "box_format": "xyxy",
        "box_units": "pixels",
        "observations": observations,
    }
