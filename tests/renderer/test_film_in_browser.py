"""A film that is copied, encoded and composed in turn plays to its end and seeks anywhere in a real browser; checked on the screen."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from tests.renderer.footage import FRAME_NS, Camera, Seen, number_in
from tests.renderer.test_splicing import APART, B_FRAMES, PLAIN, runs
from tests.renderer.test_timelines import expected_number, make
from throughline.domain.time import NS_PER_SECOND

PLAY = """async () => {
  const video = document.querySelector('video');
  const ended = new Promise((resolve, reject) => {
    video.onended = resolve;
    video.onerror = () => reject(new Error(video.error.message));
  });
  video.playbackRate = 2;
  await video.play();
  await ended;
  return video.duration;
}"""
SEEK = """async seconds => {
  const video = document.querySelector('video');
  const there = new Promise((resolve, reject) => {
    video.requestVideoFrameCallback(() => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    video.onerror = () => reject(new Error(video.error.message));
  });
  video.currentTime = seconds;
  await there;
}"""


TOGETHER = [
    Camera("a", 1, [Seen(1, 3, 50)], x264=PLAIN),
    Camera("b", 2, [Seen(1, 40, 110)], x264=B_FRAMES, parts=(75,)),
]
PAUSED = [
    Camera(
        "a", 1, [Seen(1, 5, 59, step=1), Seen(2, 90, 93, step=1)], frames=(*range(60), *range(90, 130)), x264=B_FRAMES
    )
]


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
@pytest.mark.parametrize("cameras", [TOGETHER, PAUSED], ids=["split screen", "a pause"])
def test_a_spliced_film_plays_to_its_end_and_seeks_to_any_moment(tmp_path: Path, cameras: list[Camera]) -> None:
    made = make(tmp_path, cameras, settings=APART)
    assert {run.method for run in runs(made)} == {"copied", "encoded"}
    film = made.result.artifact.path("film.mp4")
    page_file = tmp_path / "page.html"
    page_file.write_text(
        f'<body style="margin:0"><video src="{film.as_uri()}" muted width="320" height="180" style="display:block"></video>'
    )
    chosen = random.Random(8)  # noqa: S311
    anywhere = [chosen.randrange(made.document.duration_ns // FRAME_NS) * FRAME_NS + FRAME_NS // 2 for _ in range(10)]
    cuts = [run.film_start_ns for run in runs(made)[1:]]
    around_cuts = [cut + side * FRAME_NS // 2 for cut in cuts for side in (-1, 1)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        page = browser.new_page(viewport={"width": 320, "height": 180})
        page.set_default_timeout(120_000)
        page.goto(page_file.as_uri())
        assert page.evaluate(PLAY) == pytest.approx(made.document.duration_ns / NS_PER_SECOND, abs=0.001)
        for film_ns in [*around_cuts, *anywhere]:
            page.evaluate(SEEK, film_ns / NS_PER_SECOND)
            screen = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
            assert screen is not None
            segment = next(each for each in made.document.segments if each.film_end_ns > film_ns)
            for tile in segment.tiles:
                camera = cameras["ab".index(tile.camera)]
                picture = np.asarray(screen, np.uint8)[tile.picture.slices]
                assert number_in(picture) == expected_number(camera, segment, film_ns)
        browser.close()
