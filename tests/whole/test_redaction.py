"""A job whose clips and film show nobody but the person who is looked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tests.whole.deployment import Theatre
from throughline.domain.geometry import iou_matrix
from throughline.renderer.documents import TimelineDocument
from throughline.renderer.timelines import DOCUMENT
from throughline.storage.documents import load
from throughline.v1 import orchestrator_pb2 as pb

Image = NDArray[np.uint8]
FRAME_NS = 100_000_000
CHANGED = 12
"""Mean difference of pixels that encoding anew does not make, and squares do."""
SEEN, LEAST_HEIGHT = 0.7, 32
"""Least visible share, and height in pixels of the camera, of those who are looked at."""


def film_of(job: pb.Job) -> tuple[TimelineDocument, dict[int, Image]]:
    """What a film says that it shows, and its frames by their place."""
    film = Path(job.timeline.film_uri.removeprefix("file://"))
    with av.open(str(film)) as container:
        frames = {
            round((frame.time or 0) * 1e9 / FRAME_NS): frame.to_ndarray(format="rgb24").astype(np.uint8)
            for frame in container.decode(video=0)
        }
    return load(TimelineDocument, (film.parent / DOCUMENT).read_bytes()), frames


def people_in(theatre: Theatre, document: TimelineDocument) -> Iterator[tuple[int, bool, tuple[slice, slice]]]:
    """Everybody who is seen well and apart from the subject: the frame's place, whether they are the subject, and where."""
    person = theatre.store.document.people.index(theatre.store.document.queries[0].person)
    source = theatre.store.document.settings.size
    for segment in document.segments:
        for tile in segment.tiles:
            truth = theatre.store.camera(tile.camera)
            shown = (truth.times_ns >= tile.camera_time.start.ns) & (truth.times_ns < tile.camera_time.end.ns)
            for time_ns in np.unique(truth.times_ns[shown]).tolist():
                here = truth.times_ns == time_ns
                boxes, persons = truth.boxes[here], truth.persons[here]
                subject = boxes[persons == person]
                apart = iou_matrix(boxes, subject).max(axis=1, initial=0) == 0
                at_ns = segment.film_start_ns + time_ns - tile.camera_time.start.ns
                scale = tile.picture.width / source.width
                for box, is_subject, is_apart, seen in zip(
                    boxes, persons == person, apart, truth.visibility[here], strict=True
                ):
                    if seen >= SEEN and (is_subject or is_apart) and box[3] - box[1] >= LEAST_HEIGHT:
                        corner = [tile.picture.left, tile.picture.top] * 2
                        left, top, right, bottom = np.round(box * scale + corner).astype(int).tolist()
                        yield round(at_ns / FRAME_NS), bool(is_subject), (slice(top, bottom), slice(left, right))


def test_a_redacted_film_shows_the_person_and_nobody_else(theatre: Theatre, undisturbed_job: pb.Job) -> None:
    job = theatre.finished(theatre.submit("redacted", undisturbed_job.footage_uri, redaction=pb.REDACTION_BODIES))
    assert job.state == pb.JOB_STATE_SUCCEEDED, job.error
    assert theatre.outcome(job) == theatre.outcome(undisturbed_job)
    document, redacted = film_of(job)
    _, plain = film_of(undisturbed_job)
    changes: dict[bool, list[float]] = {True: [], False: []}
    for place, is_subject, part in people_in(theatre, document):
        if place in plain and place in redacted:
            change = np.abs(plain[place][part].astype(int) - redacted[place][part]).mean()
            changes[is_subject].append(float(change))
    people = {is_subject: np.array(found) for is_subject, found in changes.items()}
    assert all(len(found) > 100 for found in people.values())
    assert np.mean(people[True] < CHANGED) >= 0.95, "the person is as clear as before"
    assert np.mean(people[False] > CHANGED) >= 0.95, "everybody else is not"
