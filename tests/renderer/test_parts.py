"""A camera whose settings are changed again and again has a reel of many parts: a film goes through them as through one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from tests.renderer.footage import FRAME_NS, Camera, Seen, build, camera_time, numbered, play
from tests.renderer.test_timelines import SETTINGS, Made, assert_shows_every_moment, order
from throughline.domain.footage import Reel, ReelPart
from throughline.domain.time import Interval
from throughline.domain.work import Work
from throughline.media.encode import Encoder, EncoderSettings
from throughline.renderer.documents import TimelineDocument
from throughline.renderer.timelines import render_timeline
from throughline.storage.documents import dump, load
from throughline.storage.workspace import Artifact, Workspace

CUTS = (0, 13, 31, 32, 40, 57, 64, 80, 91, 110, 120)
"""Frames at which a new part begins."""


def in_parts(workspace: Workspace, camera: Camera) -> Artifact:
    key = f"reels/{'f' * 32}"
    parts: list[ReelPart] = []
    with workspace.create(key) as folder:
        for number, (first, last) in enumerate(pairwise(CUTS)):
            settings = EncoderSettings(crf=8, gop_seconds=1, preset=("veryfast", "ultrafast", "medium")[number % 3])
            file = f"part-{number:03d}.mp4"
            with Encoder(folder / file, camera.size, settings) as encoder:
                for frame in range(first, last):
                    encoder.write(numbered(camera.size, camera.number, frame), (frame - first) * FRAME_NS)
                encoder.close((last - first) * FRAME_NS)
            span = Interval(camera_time(first), camera_time(last))
            parts.append(ReelPart(file, span.start, span, "h264", camera.size, 0, last - first))
        (folder / "reel.json").write_bytes(dump(Reel(camera.name, tuple(parts), (), ())))
    return workspace.get(key)


def test_a_film_over_ten_parts_shows_every_moment_as_one_over_a_single_part_does(tmp_path: Path) -> None:
    cameras = [Camera("cam1", 1, [Seen(1, 5, 115)])]
    workspace, (refs,) = build(tmp_path, cameras)
    refs = replace(refs, reel_uri=in_parts(workspace, cameras[0]).uri)
    result = render_timeline(workspace, order(cameras, (refs,)), SETTINGS, Work())
    document = load(TimelineDocument, result.artifact.path("timeline.json").read_bytes())
    made = Made(result, document, list(play(result.artifact.path("film.mp4"))))

    assert made.cameras() == ["cam1"]
    assert made.document.duration_ns == 111 * FRAME_NS
    assert_shows_every_moment(made, cameras)
