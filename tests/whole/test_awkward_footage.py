"""One real job over everything that footage should not be, and jobs that cannot be done: each says what was wrong, by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest

from tests.whole.deployment import Theatre
from throughline.cli.objectstore import local_s3
from throughline.domain.time import Instant
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import STAGE_INGEST, STAGE_LOCATE, VERDICT_VALID

BUCKET, PREFIX = "awkward-store", "Filiale 7 – Süd"
DEFEKT = "defekt " + "é" * 440
"""Longer than any file's name."""
TEN_HOURS_LATER = Instant.parse("2026-03-01T19:59:00Z")


def awkward(chunk: Path, scale: int = 1) -> bytes:
    """The chunk with B-frames, sound, times that start at 90 s, and every fifth frame missing; `scale` times smaller."""
    buffer = BytesIO()
    with av.open(str(chunk)) as source, av.open(buffer, "w", format="mp4") as target:
        given = source.streams.video[0]
        video = target.add_stream("libx264", rate=10, options={"preset": "veryfast", "crf": "20"})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = given.width // scale, given.height // scale, "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, 90_000)
        video.codec_context.max_b_frames = 3
        sound = target.add_stream("aac", rate=8000)
        assert isinstance(sound, av.AudioStream)
        for index, frame in enumerate(source.decode(given)):
            if index % 5 == 4:
                continue
            smaller = frame.reformat(video.width, video.height, "yuv420p")
            smaller.pts = round((frame.pts or 0) * (frame.time_base or Fraction(1)) * 90_000) + 90 * 90_000
            smaller.time_base, smaller.pict_type = Fraction(1, 90_000), av.video.frame.PictureType.NONE
            target.mux(video.encode(smaller))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate, samples.pts = 8000, 90 * 8000
        target.mux(sound.encode(samples))
        target.mux(video.encode(None))
        target.mux(sound.encode(None))
    return buffer.getvalue()


def later(name: str, delay: timedelta) -> str:
    """The name of a chunk that begins so much later."""
    moment = Instant.parse(name.removesuffix(".mp4").replace("_", "T").replace("-", ":").replace(":", "-", 2))
    return f"{moment.to_datetime() + delay:%Y-%m-%d_%H-%M-%S}.mp4"


@pytest.fixture(scope="module")
def awkward_uri(theatre: Theatre) -> str:
    """Three cameras of the store, all of them spoiled somehow, among much else, in a bucket."""
    s3 = local_s3(theatre.deployment.s3_endpoint_url)
    s3.create_bucket(Bucket=BUCKET)
    cam1, cam2, cam3 = (sorted((theatre.store.footage / camera).iterdir()) for camera in ("cam1", "cam2", "cam3"))
    first, whole = cam1[0].name, cam1[0].read_bytes()
    objects = {
        **{f"cam1/{chunk.name}": chunk.read_bytes() for chunk in cam1},
        f"cam1/{later(first, timedelta(minutes=10))}": b"",
        f"cam1/{later(first, timedelta(minutes=11))}": whole[: len(whole) // 2],
        f"cam1/{later(first, timedelta(minutes=12))}": b"<html>503 Slow Down</html>" * 20,
        f"cam1/{first.removesuffix('.mp4')} (copy).mp4": whole,
        # Names in the reverse order of their times; one chunk of another size, and one ten hours later.
        **{f"cam2/{9 - place}/{chunk.name}": awkward(chunk, 1 + (place == 3)) for place, chunk in enumerate(cam2)},
        f"cam2/0/{later(cam2[0].name, timedelta(hours=10))}": awkward(cam2[0]),
        **{f"Kasse 3 – 録画/Bild {chunk.name}": chunk.read_bytes() for chunk in cam3},
        "nur Notizen/notes.txt": b"cleaned the lens",
        f"{DEFEKT}/2026-03-01_10-00-00.mp4": b"",
        "lose.mp4": whole,
        "../flucht/2026-03-01_10-00-00.mp4": whole,
    }
    for name, content in objects.items():
        s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=content)
    return f"s3://{BUCKET}/{PREFIX}/"


def test_a_job_over_awkward_footage_names_what_it_left_out_and_finds_the_person(
    theatre: Theatre, awkward_uri: str
) -> None:
    job = theatre.finished(theatre.submit("awkward", awkward_uri, analysis_rate=8, cameras=[]))
    assert job.state == pb.JOB_STATE_SUCCEEDED, job.error
    told = {(incident.code, incident.subject.removeprefix(awkward_uri)) for incident in job.incidents}
    first = sorted(path.name for path in (theatre.store.footage / "cam1").iterdir())[0]
    assert told == {
        ("chunk_empty", f"cam1/{later(first, timedelta(minutes=10))}"),
        ("chunk_truncated", f"cam1/{later(first, timedelta(minutes=11))}"),
        ("chunk_not_video", f"cam1/{later(first, timedelta(minutes=12))}"),
        ("chunk_covered", f"cam1/{first}"),
        ("chunk_empty", f"{DEFEKT}/2026-03-01_10-00-00.mp4"),
        ("camera_without_footage", DEFEKT),
        ("camera_without_video", "nur Notizen"),
        ("object_not_video", "nur Notizen/notes.txt"),
        ("object_outside_camera", "lose.mp4"),
        ("object_name_unsafe", "../flucht/2026-03-01_10-00-00.mp4"),
        ("clock_map_unused", "cam3"),
    }
    ten_hours_later = [each.track.camera for each in job.candidates if each.track.span.start_ns > TEN_HOURS_LATER.ns]
    assert set(ten_hours_later) == {"cam2"}
    valid = {each.track.camera for each in job.candidates if each.verdict == VERDICT_VALID}
    assert "cam2" in valid, "times and pictures of awkward chunks are what they were"
    film = {camera for _, cameras in theatre.outcome(job).film for camera in cameras}
    assert film == {"cam1"} | valid


def moved(query: str, hours: int) -> str:
    """The query as if it were so much later."""
    document = json.loads(query)
    for observation in document["observations"]:
        moment = Instant.parse(observation["time"])
        observation["time"] = str(moment + hours * 3_600_000_000_000)
    return json.dumps(document)


def of_camera(query: str, camera: str) -> str:
    return json.dumps(json.loads(query) | {"camera": camera})


def in_a_square(query: str) -> str:
    """The query as if its boxes had been measured in square frames, of the same width."""
    document = json.loads(query)
    size = document["frame_size"]
    return json.dumps(document | {"frame_size": size | {"height": size["width"]}})


def test_a_query_measured_in_frames_of_another_shape_is_told_of_before_anyone_waits(
    theatre: Theatre, undisturbed_job: pb.Job
) -> None:
    job_id = theatre.submit("in-a-square", undisturbed_job.footage_uri, in_a_square(theatre.query))
    job = theatre.finished(job_id)
    told = [incident for incident in job.incidents if incident.code == "query_frame_deformed"]
    assert [(incident.subject, incident.stage) for incident in told] == [("cam1", STAGE_INGEST)]
    width, height = json.loads(theatre.query)["frame_size"].values()
    assert f"is {width}x{width}" in told[0].message
    assert f"camera cam1, {width}x{height}:" in told[0].message


@pytest.mark.usefixtures("awkward_uri")
@pytest.mark.parametrize(
    ("footage", "change", "words"),
    [
        pytest.param("s3://no-such-bucket-at-all/x/", str, "no-such-bucket-at-all", id="bucket that is not there"),
        pytest.param(f"s3://{BUCKET}/empty/", str, "has no footage", id="prefix without objects"),
        pytest.param("", lambda query: of_camera(query, "cam9"), "'cam9' has no footage below", id="unknown camera"),
        pytest.param(
            "",
            lambda query: moved(query, 1),
            "query observations[0].time: expected a time within the footage of camera cam1, 2026-03-01T10:00:00",
            id="times outside the footage",
        ),
    ],
)
def test_a_job_that_cannot_be_done_fails_at_once_and_says_why(
    theatre: Theatre,
    undisturbed_job: pb.Job,
    footage: str,
    change: Callable[[str], str],
    words: str,
) -> None:
    query = change(theatre.query)
    name = hashlib.sha256(f"{footage} {query}".encode()).hexdigest()
    job = theatre.finished(theatre.submit(name, footage or undisturbed_job.footage_uri, query))
    assert job.state == pb.JOB_STATE_FAILED
    assert words in job.error
    assert STAGE_LOCATE not in [timing.stage for timing in job.timings]
